with

customer_as_of_dates as (

    -- A number stands for the two, because a short key makes what follows cheaper.
    select
        as_of_date,
        customer_id,
        cast(row_number() over (order by as_of_date, customer_id) as integer) as pair_number

    from {{ ref('int_coterie__customer_as_of_dates') }}

),

orders as (

    select * from {{ ref('int_coterie__orders') }}
    where customer_id is not null

),

valid_orders as (

    select
        customer_as_of_dates.pair_number,
        orders.order_id,
        {{ coterie.row_hash(['orders.order_id']) }} as order_hash,
        orders.ordered_at,
        orders.sales_channel

    from customer_as_of_dates

    inner join orders
        on customer_as_of_dates.customer_id = orders.customer_id

    where {{ coterie.is_valid_order_as_of('customer_as_of_dates.as_of_date') }}

),

channels as (

    select
        pair_number,
        sales_channel,
        count(*) as order_count,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at

    from valid_orders

    group by pair_number, sales_channel

),

channel_mixes as (

    select
        pair_number,
        min(first_ordered_at) as first_ordered_at,
        max(last_ordered_at) as last_ordered_at,
        count(sales_channel) as sales_channel_count,
        {{ coterie.ratio(
            'max(case when sales_channel is not null then order_count end)',
            'sum(case when sales_channel is not null then order_count end)'
        ) }} as top_sales_channel_share

    from channels

    group by pair_number

),

products as (

    select
        {{ coterie.row_hash(['product_id']) }} as product_hash,
        category

    from {{ ref('int_coterie__products') }}

),

product_totals as (

    -- Orders and products are told apart by hashes of 64 bits, because texts cost more.
    select
        valid_orders.pair_number,
        {{ coterie.row_hash(['order_lines.product_id']) }} as product_hash,
        min(valid_orders.order_hash) != max(valid_orders.order_hash) as is_bought_again,
        sum(order_lines.line_amount) as line_amount

    from {{ ref('int_coterie__order_lines') }} as order_lines

    inner join valid_orders
        on order_lines.order_id = valid_orders.order_id

    group by valid_orders.pair_number, {{ coterie.row_hash(['order_lines.product_id']) }}

),

category_totals as (

    -- A product that the products input does not know belongs to no category.
    select
        product_totals.pair_number,
        products.category,
        count(*) as product_count,
        count(case when product_totals.is_bought_again then 1 end) as repeat_product_count,
        sum(product_totals.line_amount) as line_amount

    from product_totals

    left join products
        on product_totals.product_hash = products.product_hash

    group by product_totals.pair_number, products.category

),

product_mixes as (

    select
        pair_number,
        sum(product_count) as product_count,
        {{ coterie.ratio('sum(repeat_product_count)', 'sum(product_count)') }}
            as repeat_product_share,
        count(category) as category_count,
        {{ coterie.ratio(
            'max(case when category is not null then line_amount end)',
            'sum(case when category is not null then line_amount end)'
        ) }} as top_category_share

    from category_totals

    group by pair_number

),

basket_features as (

    select
        customer_as_of_dates.as_of_date,
        customer_as_of_dates.customer_id,
        channel_mixes.first_ordered_at,
        channel_mixes.last_ordered_at,
        channel_mixes.sales_channel_count,
        channel_mixes.top_sales_channel_share,
        product_mixes.product_count,
        product_mixes.category_count,
        product_mixes.top_category_share,
        product_mixes.repeat_product_share

    from channel_mixes

    inner join customer_as_of_dates
        on channel_mixes.pair_number = customer_as_of_dates.pair_number

    left join product_mixes
        on channel_mixes.pair_number = product_mixes.pair_number

)

select * from basket_features
