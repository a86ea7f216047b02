with

orders_as_of as (

    select
        as_of_date,
        customer_id,
        order_id

    from {{ ref('int_coterie__orders_as_of') }}

    where is_valid

),

order_lines as (

    select * from {{ ref('int_coterie__order_lines') }}

),

products as (

    select
        product_id,
        category

    from {{ ref('int_coterie__products') }}

),

product_totals as (

    select
        orders_as_of.as_of_date,
        orders_as_of.customer_id,
        order_lines.product_id,
        count(distinct orders_as_of.order_id) as order_count,
        sum(order_lines.quantity) as quantity,
        sum(order_lines.line_amount) as line_amount

    from orders_as_of

    inner join order_lines
        on orders_as_of.order_id = order_lines.order_id

    group by orders_as_of.as_of_date, orders_as_of.customer_id, order_lines.product_id

),

category_totals as (

    select
        product_totals.as_of_date,
        product_totals.customer_id,
        products.category,
        sum(product_totals.line_amount) as line_amount

    from product_totals

    inner join products
        on product_totals.product_id = products.product_id

    group by product_totals.as_of_date, product_totals.customer_id, products.category

),

category_mixes as (

    select
        as_of_date,
        customer_id,
        count(*) as category_count,
        max(line_amount) as top_category_amount,
        sum(line_amount) as category_amount

    from category_totals

    group by as_of_date, customer_id

),

product_mixes as (

    select
        as_of_date,
        customer_id,
        count(*) as product_count,
        sum(case when order_count > 1 then 1 else 0 end) as repeat_product_count,
        sum(quantity) as quantity

    from product_totals

    group by as_of_date, customer_id

),

lined_orders as (

    select
        orders_as_of.as_of_date,
        orders_as_of.customer_id,
        count(distinct order_lines.order_id) as order_count

    from orders_as_of

    inner join order_lines
        on orders_as_of.order_id = order_lines.order_id

    group by orders_as_of.as_of_date, orders_as_of.customer_id

),

line_features as (

    select
        product_mixes.as_of_date,
        product_mixes.customer_id,
        {{ coterie.ratio('product_mixes.quantity', 'lined_orders.order_count') }}
            as avg_item_count,
        product_mixes.product_count,
        category_mixes.category_count,
        {{ coterie.ratio('category_mixes.top_category_amount', 'category_mixes.category_amount') }}
            as top_category_share,
        {{ coterie.ratio('product_mixes.repeat_product_count', 'product_mixes.product_count') }}
            as repeat_product_share

    from product_mixes

    inner join lined_orders
        on
            product_mixes.as_of_date = lined_orders.as_of_date
            and product_mixes.customer_id = lined_orders.customer_id

    left join category_mixes
        on
            product_mixes.as_of_date = category_mixes.as_of_date
            and product_mixes.customer_id = category_mixes.customer_id

)

select * from line_features
