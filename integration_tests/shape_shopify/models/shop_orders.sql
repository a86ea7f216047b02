with

refunds as (

    -- Of several refunds the sum, and the time of the last. Shipping is no part of the subtotal, so
    -- what is given back of it (order_adjustment) is left out.
    select
        refund.order_id,
        sum(order_line_refund.subtotal) as refund_amount,
        max(refund.processed_at) as refunded_at

    from {{ source('shopify', 'refund') }} as refund

    inner join {{ source('shopify', 'order_line_refund') }} as order_line_refund
        on refund.id = order_line_refund.refund_id

    group by refund.order_id

),

codes as (

    select
        order_id,
        min(code) as coupon_code

    from {{ source('shopify', 'order_discount_code') }}

    group by order_id

)

select
    orders.*,
    refunds.refund_amount,
    refunds.refunded_at,
    codes.coupon_code

from {{ source('shopify', 'order') }} as orders

left join refunds
    on orders.id = refunds.order_id

left join codes
    on orders.id = codes.order_id
