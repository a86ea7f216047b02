with

orders as (

    select * from {{ ref('stg_orders') }}

),

order_payments as (

    select
        order_id,
        sum(amount) as amount,
        sum(case when payment_method = 'coupon' then amount else 0 end) as coupon_amount

    from {{ ref('stg_payments') }}

    group by order_id

)

select
    orders.order_id,
    orders.customer_id,
    orders.order_date,
    orders.status,
    order_payments.coupon_amount,
    order_payments.amount

from orders

left join order_payments
    on orders.order_id = order_payments.order_id
