select
    id as payment_id,
    order_id,
    payment_method,
    -- The till counts in cents.
    cast(amount / 100.0 as decimal(18, 2)) as amount

from {{ ref('raw_payments') }}
