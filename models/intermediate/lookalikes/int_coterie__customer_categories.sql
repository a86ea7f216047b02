with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

orders as (

    select * from {{ ref('int_coterie__orders') }}
    where
        customer_id is not null
        and {{ 'true' if coterie.has_seed_audiences() else 'false' }}

),

valid_orders as (

    select
        orders.order_id,
        orders.customer_id

    from orders

    cross join as_of

    where {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

products as (

    select
        product_id,
        category

    from {{ ref('int_coterie__products') }}

),

customer_categories as (

    -- A line that gives money back takes nothing away from what is liked.
    select
        valid_orders.customer_id,
        products.category,
        sum(greatest(order_lines.line_amount, 0)) as line_amount

    from {{ ref('int_coterie__order_lines') }} as order_lines

    inner join valid_orders
        on order_lines.order_id = valid_orders.order_id

    inner join products
        on order_lines.product_id = products.product_id

    group by
        valid_orders.customer_id,
        products.category

)

select * from customer_categories
