with

input_rows as (

    select
        'orders' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__orders') }}

    union all

    select
        'customers' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__customers') }}

    union all

    select
        'order_lines' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__order_lines') }}

    union all

    select
        'products' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__products') }}

    union all

    select
        'events' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__events') }}

    union all

    select
        'identities' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__identities') }}

    union all

    select
        'messages' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__messages') }}

    union all

    select
        'custom_outcomes' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__custom_outcomes') }}

    union all

    select
        'seed_audiences' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__seed_audiences') }}

    union all

    select
        'feedback' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__feedback') }}

    union all

    select
        'consents' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__consents') }}

    union all

    select
        'erasure_requests' as input_name,
        count(*) as row_count

    from {{ ref('stg_coterie__erasure_requests') }}

),

checked_rows as (

    select
        'orders' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_orders') }}

    union all

    select
        'customers' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_customers') }}

    union all

    select
        'order_lines' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_order_lines') }}

    union all

    select
        'products' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_products') }}

    union all

    select
        'events' as input_name,
        coalesce(sum(event_count), 0) as row_count,
        coalesce(sum(case when rejection_rule is not null then event_count end), 0)
            as rejected_row_count

    from {{ ref('int_coterie__checked_events') }}

    union all

    select
        'identities' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_identities') }}

    union all

    select
        'messages' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_messages') }}

    union all

    select
        'custom_outcomes' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_custom_outcomes') }}

    union all

    select
        'seed_audiences' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_seed_audiences') }}

    union all

    select
        'feedback' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_feedback') }}

    union all

    select
        'consents' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_consents') }}

    union all

    select
        'erasure_requests' as input_name,
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

    from {{ ref('int_coterie__checked_erasure_requests') }}

),

row_counts as (

    -- Incremental builds read every day whose count differs, so a rest is told as a fault.
    select
        input_rows.input_name,
        cast(input_rows.row_count as bigint) as row_count,
        cast(checked_rows.rejected_row_count as bigint) as rejected_row_count,
        cast(input_rows.row_count - checked_rows.row_count as bigint) as unread_row_count

    from input_rows

    inner join checked_rows
        on input_rows.input_name = checked_rows.input_name

)

select * from row_counts
