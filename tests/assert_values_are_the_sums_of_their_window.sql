{{ config(enabled=coterie.is_topic_enabled('lifetime_value')) }}

-- What customers brought is the net amount of their valid orders from the date on, each on a day of
-- the window and on no other: recounted here from the accepted orders, without what builds the
-- outcomes.
{% set horizons = coterie.value_horizons() %}

with

outcomes as (

    {% for horizon in horizons %}
    {{ 'union all' if not loop.first }}
    select
        as_of_date,
        customer_id,
        {{ horizon }} as horizon_days,
        {{ coterie.days_after('as_of_date', horizon) }} as ends_on,
        amount_{{ horizon }}d as amount

    from {{ ref('coterie', 'int_coterie__value_outcomes') }}

    where amount_{{ horizon }}d is not null
    {% endfor %}

),

customers_at_origins as (

    select distinct customer_id from outcomes

),

orders as (

    -- What stood when the build looked.
    select
        orders.customer_id,
        orders.ordered_on,
        orders.order_amount
        - case when orders.refunded_at < as_of.as_of_date then orders.refund_amount else 0 end
            as net_amount

    from {{ ref('coterie', 'int_coterie__orders') }} as orders

    inner join customers_at_origins
        on orders.customer_id = customers_at_origins.customer_id

    cross join {{ ref('coterie', 'int_coterie__as_of') }} as as_of

    where
        not orders.is_test
        and not (orders.has_invalid_status and orders.status_changed_at < as_of.as_of_date)

),

recounted as (

    select
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.horizon_days,
        sum(orders.net_amount) as amount

    from outcomes

    inner join orders
        on
            outcomes.customer_id = orders.customer_id
            and outcomes.as_of_date <= orders.ordered_on
            and outcomes.ends_on > orders.ordered_on

    where orders.net_amount > 0

    group by
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.horizon_days

),

wrong as (

    select
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.horizon_days,
        outcomes.amount,
        recounted.amount as recounted_amount

    from outcomes

    left join recounted
        on
            outcomes.as_of_date = recounted.as_of_date
            and outcomes.customer_id = recounted.customer_id
            and outcomes.horizon_days = recounted.horizon_days

    where outcomes.amount != coalesce(recounted.amount, 0)

)

select * from wrong
