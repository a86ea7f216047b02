select *
from {{ ref('shop_orders') }}
where
    order_amount <= 0
    or refund_amount < 0
    or refund_amount > order_amount
    or (refund_amount > 0 and refunded_at is null)
    or refunded_at < ordered_at
