-- 74,215 jars and 80,995 paper crafts, both cancelled within half an hour.
with

refunded_giants as (

    select *
    from {{ ref('shop_orders') }}
    where
        order_id in ('541431', '581483')
        and refund_amount = order_amount
        and refunded_at <= ordered_at + interval 30 minute

)

select count(*) as refunded_giant_count
from refunded_giants
having count(*) != 2
