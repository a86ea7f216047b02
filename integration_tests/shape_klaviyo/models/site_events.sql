-- Mails and orders are rows of the same table, and no visits.
select
    id,
    person_id,
    datetime,
    type,
    property_product_id

from {{ source('klaviyo', 'event') }}

where type in ('Active on Site', 'Viewed Product', 'Added to Cart', 'Checkout Started')
