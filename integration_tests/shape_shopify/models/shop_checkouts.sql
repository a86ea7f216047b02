-- What was put into a cart and left there is all that the shop itself records of visits.
select
    id,
    customer_id,
    created_at,
    'checkout' as event_type

from {{ source('shopify', 'abandoned_checkout') }}
