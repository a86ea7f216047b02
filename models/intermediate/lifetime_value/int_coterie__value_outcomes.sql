{% set horizons = coterie.value_horizons() %}
{% set days_ahead = coterie.days_between('customers.as_of_date', 'orders.ordered_on') %}

with

customers as (

    select
        as_of_date,
        customer_id,
        is_scoring_date,
        data_through,
        order_day_count,
        {{ coterie.value_cohort() }} as cohort,
        net_amount_90d,
        net_amount_365d

    from {{ ref('int_coterie__customer_features') }}

    where is_in_sample

),

orders as (

    -- Outcomes use what is known when the build looks.
    select
        orders.customer_id,
        orders.ordered_on,
        {{ coterie.net_amount_as_of('as_of.as_of_date') }} as net_amount

    from {{ ref('int_coterie__orders') }} as orders

    cross join {{ ref('int_coterie__as_of') }} as as_of

    where
        orders.customer_id is not null
        and {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

amounts as (

    select
        {%- for horizon in horizons %}
        sum(case when {{ days_ahead }} < {{ horizon }} then orders.net_amount else 0 end)
            as amount_{{ horizon }}d,
        {%- endfor %}
        customers.as_of_date,
        customers.customer_id

    from customers

    inner join orders
        on
            customers.customer_id = orders.customer_id
            and customers.as_of_date <= orders.ordered_on

    where not customers.is_scoring_date

    group by
        customers.as_of_date,
        customers.customer_id

),

value_outcomes as (

    -- Of other spans than 90 and 365 days the past is read off the nearest.
    select
        customers.as_of_date,
        customers.customer_id,
        customers.is_scoring_date,
        {%- for horizon in horizons %}
        case
            when
                {{ coterie.days_after('customers.as_of_date', horizon) }} <= customers.data_through
                then cast(coalesce(amounts.amount_{{ horizon }}d, 0) as decimal(18, 2))
        end as amount_{{ horizon }}d,
        {%- set nearest = 90 if horizon <= 180 else 365 %}
        cast(
            customers.net_amount_{{ nearest }}d * {{ horizon }} / {{ nearest }}.0
            as decimal(18, 2)
        ) as past_amount_{{ horizon }}d,
        {%- endfor %}
        customers.order_day_count,
        customers.cohort

    from customers

    left join amounts
        on
            customers.as_of_date = amounts.as_of_date
            and customers.customer_id = amounts.customer_id

)

select * from value_outcomes
