-- Every metric of the tool is a row of one table, so an order and what became of it are rows apart.
select
    property_event_id as order_id,
    min(person_id) as person_id,
    min(case when type = 'Placed Order' then datetime end) as ordered_at,
    max(case when type = 'Placed Order' then property_value end) as order_amount,
    max(case when type = 'Cancelled Order' then 'cancelled' end) as status,
    min(case when type = 'Cancelled Order' then datetime end) as status_changed_at,
    sum(case when type = 'Refunded Order' then property_value end) as refund_amount,
    max(case when type = 'Refunded Order' then datetime end) as refunded_at

from {{ source('klaviyo', 'event') }}

where type in ('Placed Order', 'Cancelled Order', 'Refunded Order')

group by property_event_id

having count(case when type = 'Placed Order' then 1 end) > 0
