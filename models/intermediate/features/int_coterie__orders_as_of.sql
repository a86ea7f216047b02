with

customer_as_of_dates as (

    select
        as_of_date,
        customer_id

    from {{ ref('int_coterie__customer_as_of_dates') }}

),

orders as (

    select * from {{ ref('int_coterie__orders') }}
    where
        customer_id is not null
        and not is_test

),

orders_as_of as (

    select
        customer_as_of_dates.as_of_date,
        orders.customer_id,
        orders.order_id,
        orders.ordered_at,
        orders.ordered_on,
        {{ coterie.days_between('orders.ordered_on', 'customer_as_of_dates.as_of_date') }}
            as days_ago,
        orders.order_amount,
        orders.discount_amount,
        orders.sales_channel,
        orders.coupon_code,
        {{ coterie.refund_amount_as_of('customer_as_of_dates.as_of_date') }} as refund_amount,
        {{ coterie.net_amount_as_of('customer_as_of_dates.as_of_date') }} as net_amount,
        {{ coterie.has_invalid_status_as_of('customer_as_of_dates.as_of_date') }}
            as has_invalid_status,
        {{ coterie.is_valid_order_as_of('customer_as_of_dates.as_of_date') }} as is_valid

    from customer_as_of_dates

    inner join orders
        on
            customer_as_of_dates.customer_id = orders.customer_id
            and customer_as_of_dates.as_of_date > orders.ordered_at

)

select * from orders_as_of
