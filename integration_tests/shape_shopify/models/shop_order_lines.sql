select
    order_id,
    product_id,
    quantity,
    price * quantity - total_discount as line_amount,
    total_discount as discount_amount

from {{ source('shopify', 'order_line') }}

where not gift_card
