-- Each kind of call is a table of its own.
select
    id,
    anonymous_id,
    user_id,
    timestamp,
    'page_view' as event_type

from {{ source('segment', 'pages') }}

union all

select
    id,
    anonymous_id,
    user_id,
    timestamp,
    event as event_type

from {{ source('segment', 'tracks') }}

where event in ('products_searched', 'product_viewed', 'product_added', 'checkout_started')
