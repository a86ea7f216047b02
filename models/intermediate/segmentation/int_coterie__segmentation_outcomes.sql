{% set features = coterie.segmentation_features() %}

with

past_customers as (

    select * from {{ ref('int_coterie__customer_features') }}

    where
        is_in_sample
        and not is_scoring_date
        and order_count_lookback > 0

),

known_dates as (

    -- The newest date since when 90 days have passed in the data.
    select max(as_of_date) as as_of_date

    from past_customers

    where {{ coterie.days_after('as_of_date', 90) }} <= data_through

),

customers as (

    select past_customers.*

    from past_customers

    inner join known_dates
        on past_customers.as_of_date = known_dates.as_of_date

),

next_amounts as (

    select
        customers.customer_id,
        sum({{ coterie.net_amount_as_of('as_of.as_of_date') }}) as next_amount_90d

    from {{ ref('int_coterie__orders') }} as orders

    cross join {{ ref('int_coterie__as_of') }} as as_of

    inner join customers
        on
            orders.customer_id = customers.customer_id
            and orders.ordered_on >= customers.as_of_date
            and orders.ordered_on < {{ coterie.days_after('customers.as_of_date', 90) }}

    where {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

    group by customers.customer_id

),

segmentation_outcomes as (

    select
        {%- for feature, kind in features.items() if kind == 'number' %}
        cast(coalesce(customers.{{ adapter.quote(feature) }}, 0) as double)
            as {{ adapter.quote(feature) }},
        {%- endfor %}
        customers.as_of_date,
        customers.customer_id,
        cast(coalesce(next_amounts.next_amount_90d, 0) as double) as next_amount_90d

    from customers

    left join next_amounts
        on customers.customer_id = next_amounts.customer_id

)

select * from segmentation_outcomes
