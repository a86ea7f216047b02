{{ config(severity = 'warn') }}

-- Without a valid order before the date every mart is empty or a prospect's, with nothing else to
-- say why: look at the vars coterie__as_of_date and coterie__invalid_order_statuses.

with

orders as (

    select
        count(*) as order_count,
        sum(
            case when {{ coterie.is_valid_order_as_of('as_of.as_of_date') }} then 1 else 0 end
        ) as valid_order_count

    from {{ ref('int_coterie__orders') }}

    cross join {{ ref('int_coterie__as_of') }} as as_of

)

select
    order_count,
    'No order is valid before the date; see the vars coterie__as_of_date and '
    || 'coterie__invalid_order_statuses.' as words

from orders

where
    order_count > 0
    and coalesce(valid_order_count, 0) = 0
