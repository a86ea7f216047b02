with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

valid_orders as (

    -- The time itself is compared with the first day, not the day of it, so that older blocks of
    -- orders are never read.
    select
        orders.order_id,
        orders.customer_id

    from {{ ref('int_coterie__orders') }} as orders

    cross join as_of

    where
        orders.customer_id is not null
        and orders.ordered_at
        >= {{ coterie.days_after('as_of.as_of_date', -coterie.rfm_lookback_days()) }}
        and {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

products as (

    select
        product_id,
        category

    from {{ ref('int_coterie__products') }}

),

customer_categories as (

    -- A product that the products input does not know was bought all the same. What was given back
    -- on a line of its own was not.
    select
        valid_orders.customer_id,
        coalesce(products.category, 'unknown') as category,
        count(*) as line_count,
        sum(greatest(order_lines.line_amount, 0)) as line_amount

    from {{ ref('int_coterie__order_lines') }} as order_lines

    inner join valid_orders
        on order_lines.order_id = valid_orders.order_id

    left join products
        on order_lines.product_id = products.product_id

    where order_lines.quantity > 0

    group by
        valid_orders.customer_id,
        coalesce(products.category, 'unknown')

)

select
    customer_id,
    category,
    line_count,
    cast(line_amount as decimal(18, 2)) as line_amount

from customer_categories
