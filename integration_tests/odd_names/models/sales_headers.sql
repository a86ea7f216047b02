{{ config(alias='Sales Headers') }}

with

order_numbers as (

    select unnest(generate_series(1, 2400)) as order_number

),

-- Most orders come from few customers.
buyers as (

    select
        order_number,
        1 + cast(floor(600 * pow({{ draw('buyer', 'order_number') }}, 1.8)) as integer)
            as customer_number

    from order_numbers

),

-- A customer is there for a stretch of the 500 days.
stretches as (

    select
        order_number,
        customer_number,
        350 * {{ draw('start', 'customer_number') }} as first_day,
        sqrt({{ draw('length', 'customer_number') }}) as length_share

    from buyers

),

dated_orders as (

    select
        order_number,
        customer_number,
        cast(floor(
            first_day
            + (500 - first_day) * length_share * {{ draw('day', 'order_number') }}
        ) as integer) as day_number,
        round(
            exp(
                3 + {{ draw('level', 'customer_number') }} + {{ draw('amount', 'order_number') }}
            ), 2
        ) as amount,
        {{ draw('state', 'order_number') }} as state_draw

    from stretches

),

sales_headers as (

    select
        cast(100000000000000 + order_number as hugeint) as "Order No",
        customer_number as "KundenNr",
        date '2024-01-01' + day_number as "select",
        cast(amount as decimal(12, 3)) as "Total (net)",
        case when state_draw < 0.03 then 'Storno' when state_draw < 0.9 then 'fertig' end as "group",
        case
            when state_draw < 0.9
                then
                    cast(date '2024-01-01' + day_number as timestamp) at time zone 'Europe/Berlin'
                    + interval 30 hour
        end as "Group's Since",
        cast(case when state_draw > 0.97 then floor(amount / 2) end as hugeint) as "from",
        cast(case when state_draw > 0.97 then date '2024-01-01' + day_number + 3 end as date)
            as "Refunded When",
        case when order_number % 2 = 0 then 'card' else 'Nachnahme' end as "paid ""by""",
        case when order_number % 7 = 0 then 'SPRING' end as "Coupon_Code",
        cast(order_number % 3 as smallint) as "Sales Channel"

    from dated_orders

)

select * from sales_headers
