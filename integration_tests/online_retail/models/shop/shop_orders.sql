with

sales as (

    select * from {{ ref('stg_online_retail__lines') }}
    where line_kind = 'sale'

),

refunds as (

    select * from {{ ref('int_online_retail__refunds') }}

),

order_totals as (

    select
        invoice_id as order_id,
        customer_id,
        min(invoiced_at) as ordered_at,
        cast(sum(line_amount) as decimal(18, 2)) as order_amount

    from sales

    group by invoice_id, customer_id

),

order_refunds as (

    select
        order_id,
        cast(sum(refund_amount) as decimal(18, 2)) as refund_amount,
        -- One time stands for all refunds of an order: with the last one, none is known too early.
        max(refunded_at) as refunded_at

    from refunds

    group by order_id

),

orders as (

    select
        order_totals.order_id,
        order_totals.customer_id,
        order_totals.ordered_at,
        order_totals.order_amount,
        coalesce(order_refunds.refund_amount, 0) as refund_amount,
        order_refunds.refunded_at

    from order_totals

    left join order_refunds
        on order_totals.order_id = order_refunds.order_id

)

select * from orders
