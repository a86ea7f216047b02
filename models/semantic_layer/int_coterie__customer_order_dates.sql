with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

order_days as (

    select * from {{ ref('int_coterie__customer_order_days') }}

),

customer_order_dates as (

    -- What became known of a day by the date adds up to what is known of it.
    select
        order_days.customer_id,
        order_days.happened_on as ordered_on,
        cast(sum(order_days.order_count) as bigint) as order_count,
        cast(sum(order_days.net_amount) as decimal(18, 2)) as net_amount

    from order_days

    inner join as_of
        on order_days.known_on < as_of.as_of_date

    group by order_days.customer_id, order_days.happened_on

)

select
    customer_id,
    ordered_on,
    order_count,
    net_amount,
    row_number() over (partition by customer_id order by ordered_on) = 1 as is_first_order_date

from customer_order_dates

where order_count > 0
