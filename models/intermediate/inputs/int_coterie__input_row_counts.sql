with

row_counts as (

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
        count(*) as row_count,
        count(rejection_rule) as rejected_row_count

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

)

select * from row_counts
