{{ config(severity = 'warn') }}

-- Without a valid order before the date every mart is empty or a prospect's, with nothing else to
-- say why: look at the vars coterie__as_of_date and coterie__invalid_order_statuses.

with

orders as (

    select count(*) as order_count from {{ ref('int_coterie__orders') }}

),

valid_orders as (

    select orders.order_id

    from {{ ref('int_coterie__orders') }} as orders

    cross join {{ ref('int_coterie__as_of') }} as as_of

    where {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

)

-- One valid order is enough: `exists` looks no further.
select
    order_count,
    'No order is valid before the date; see the vars coterie__as_of_date and '
    || 'coterie__invalid_order_statuses.' as words

from orders

where
    order_count > 0
    and not exists (select 1 from valid_orders)
