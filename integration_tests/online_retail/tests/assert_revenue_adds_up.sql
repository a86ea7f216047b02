-- To the cent: sold lines are orders are order lines; returned lines are refunds, what exceeds
-- the price paid, and returns without a sale.
with

totals as (

    select
        (
            select sum(line_amount)
            from {{ ref('stg_online_retail__lines') }}
            where line_kind = 'sale'
        ) as sold_amount,
        (
            select -sum(line_amount)
            from {{ ref('stg_online_retail__lines') }}
            where line_kind = 'return'
        ) as returned_amount,
        (select sum(order_amount) from {{ ref('shop_orders') }}) as order_amount,
        (select sum(line_amount) from {{ ref('shop_order_lines') }}) as order_line_amount,
        (select sum(refund_amount) from {{ ref('shop_orders') }}) as order_refund_amount,
        (
            select sum(refund_amount) from {{ ref('int_online_retail__refunds') }}
        ) as refund_amount,
        (
            select sum(returned_amount - refund_amount)
            from {{ ref('int_online_retail__refunds') }}
        ) as excess_amount,
        (
            select sum(returned_amount) from {{ ref('shop_unmatched_returns') }}
        ) as unmatched_amount

)

select * from totals
where
    order_amount != sold_amount
    or order_line_amount != sold_amount
    or order_refund_amount != refund_amount
    or returned_amount != refund_amount + excess_amount + unmatched_amount
