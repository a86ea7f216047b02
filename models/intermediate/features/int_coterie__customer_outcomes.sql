with

customer_features as (

    select
        as_of_date,
        customer_id,
        is_scoring_date,
        data_through,
        order_count_365d,
        engaged_session_count_90d

    from {{ ref('int_coterie__customer_features') }}

),

orders as (

    -- Outcomes use what is known when the build looks.
    select
        orders.customer_id,
        orders.ordered_at

    from {{ ref('int_coterie__orders') }} as orders

    cross join {{ ref('int_coterie__as_of') }} as as_of

    where
        orders.customer_id is not null
        and {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

eligible as (

    {% for prediction in coterie.predictions() %}
    {{ 'union all' if not loop.first }}
    select
        as_of_date,
        customer_id,
        is_scoring_date,
        data_through,
        '{{ prediction.name }}' as prediction_name,
        {{ prediction.horizon_days }} as horizon_days,
        {{ coterie.days_after('as_of_date', prediction.horizon_days) }} as window_ends_on

    from customer_features

    where
        order_count_365d > 0
        or engaged_session_count_90d > 0
    {% endfor %}

),

closed as (

    select * from eligible
    where window_ends_on <= data_through

),

buyers as (

    select distinct
        closed.as_of_date,
        closed.customer_id,
        closed.prediction_name

    from closed

    inner join orders
        on
            closed.customer_id = orders.customer_id
            and closed.as_of_date <= orders.ordered_at
            and closed.window_ends_on > orders.ordered_at

),

customer_outcomes as (

    select
        eligible.as_of_date,
        eligible.customer_id,
        eligible.is_scoring_date,
        eligible.prediction_name,
        cast(eligible.horizon_days as bigint) as horizon_days,
        case
            when eligible.window_ends_on <= eligible.data_through
                then cast(case when buyers.customer_id is not null then 1 else 0 end as bigint)
        end as outcome

    from eligible

    left join buyers
        on
            eligible.as_of_date = buyers.as_of_date
            and eligible.customer_id = buyers.customer_id
            and eligible.prediction_name = buyers.prediction_name

)

select * from customer_outcomes
