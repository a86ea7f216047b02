with

rejected as (

    select
        'orders' as input_name,
        order_id as record_id,
        rejection_rule as rule_name,
        ordered_at as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_orders') }}

    where rejection_rule is not null

    union all

    select
        'customers' as input_name,
        customer_id as record_id,
        rejection_rule as rule_name,
        signed_up_at as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_customers') }}

    where rejection_rule is not null

    union all

    select
        'order_lines' as input_name,
        order_id as record_id,
        rejection_rule as rule_name,
        cast(null as timestamp) as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_order_lines') }}

    where rejection_rule is not null

    union all

    select
        'products' as input_name,
        product_id as record_id,
        rejection_rule as rule_name,
        launched_at as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_products') }}

    where rejection_rule is not null

    union all

    select
        'events' as input_name,
        rejected_event_id as record_id,
        rejection_rule as rule_name,
        cast(happened_on as timestamp) as occurred_at,
        event_count as row_count

    from {{ ref('int_coterie__checked_events') }}

    where rejection_rule is not null

    union all

    select
        'identities' as input_name,
        anonymous_id as record_id,
        rejection_rule as rule_name,
        linked_at as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_identities') }}

    where rejection_rule is not null

    union all

    select
        'messages' as input_name,
        message_id as record_id,
        rejection_rule as rule_name,
        sent_at as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_messages') }}

    where rejection_rule is not null

    union all

    select
        'custom_outcomes' as input_name,
        customer_id as record_id,
        rejection_rule as rule_name,
        occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_custom_outcomes') }}

    where rejection_rule is not null

    union all

    select
        'seed_audiences' as input_name,
        customer_id as record_id,
        rejection_rule as rule_name,
        cast(null as timestamp) as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_seed_audiences') }}

    where rejection_rule is not null

    union all

    select
        'feedback' as input_name,
        feedback_id as record_id,
        rejection_rule as rule_name,
        occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_feedback') }}

    where rejection_rule is not null

    union all

    select
        'consents' as input_name,
        customer_id as record_id,
        rejection_rule as rule_name,
        changed_at as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_consents') }}

    where rejection_rule is not null

    union all

    select
        'erasure_requests' as input_name,
        cast(null as string) as record_id,
        rejection_rule as rule_name,
        requested_at as occurred_at,
        1 as row_count

    from {{ ref('int_coterie__checked_erasure_requests') }}

    where rejection_rule is not null

)

select * from rejected
