{% set evidence = coterie.settings('evidence') %}
{% set gates = coterie.settings('gates') %}

with

as_of as (

    select * from {{ ref('int_coterie__as_of') }}

),

outcome_events as (

    select * from {{ ref('int_coterie__outcome_events') }}

),

known_days as (

    -- What others tell may end before the orders do.
    select
        max(as_of.data_through) as orders_end_on,
        least(
            max(as_of.data_through),
            max(
                case
                    when outcome_events.outcome != 'purchase'
                        then {{ coterie.days_after('cast(outcome_events.occurred_at as date)', 1) }}
                end
            )
        ) as custom_outcomes_end_on

    from as_of

    left join outcome_events
        on outcome_events.outcome != 'purchase'

),

published as (

    select
        *,
        {{ coterie.days_after('as_of_date', 'horizon_days') }} as window_ends_on

    from {{ ref('int_coterie__published_predictions') }}

),

closed as (

    select published.*

    from published

    cross join known_days

    where
        published.window_ends_on <= case published.outcome
            when 'purchase' then known_days.orders_end_on
            else known_days.custom_outcomes_end_on
        end

),

happened as (

    select distinct
        closed.prediction_name,
        closed.as_of_date,
        closed.customer_id

    from closed

    inner join outcome_events
        on
            closed.customer_id = outcome_events.customer_id
            and closed.outcome = outcome_events.outcome
            and closed.as_of_date <= outcome_events.occurred_at
            and closed.window_ends_on > outcome_events.occurred_at

),

judged as (

    select
        closed.prediction_name,
        closed.as_of_date,
        closed.band,
        closed.model_version,
        closed.horizon_days,
        closed.window_ends_on,
        closed.probability,
        case
            when (happened.customer_id is not null) = closed.is_complement then 0
            else 1
        end as outcome

    from closed

    left join happened
        on
            closed.prediction_name = happened.prediction_name
            and closed.as_of_date = happened.as_of_date
            and closed.customer_id = happened.customer_id

),

counted as (

    select
        prediction_name,
        as_of_date,
        band,
        max(model_version) as model_version,
        max(horizon_days) as horizon_days,
        max(window_ends_on) as window_ends_on,
        count(*) as customer_count,
        sum(outcome) as positive_count,
        avg(probability) as predicted_rate,
        avg(cast(outcome as double)) as observed_rate

    from judged

    group by prediction_name, as_of_date, band

),

bounded as (

    -- The score interval of a share (Wilson 1927): a customer stands once in a date.
    select
        *,
        (
            observed_rate + 1.920729 / customer_count
            - 1.959964 * sqrt(
                observed_rate * (1 - observed_rate) / customer_count
                + 0.960365 / customer_count / customer_count
            )
        ) / (1 + 3.841459 / customer_count) as rate_lower,
        (
            observed_rate + 1.920729 / customer_count
            + 1.959964 * sqrt(
                observed_rate * (1 - observed_rate) / customer_count
                + 0.960365 / customer_count / customer_count
            )
        ) / (1 + 3.841459 / customer_count) as rate_upper

    from counted

),

prediction_outcomes as (

    select
        prediction_name,
        as_of_date,
        band,
        model_version,
        horizon_days,
        window_ends_on,
        customer_count,
        round(predicted_rate, 6) as predicted_rate,
        round(observed_rate, 6) as observed_rate,
        round(greatest(rate_lower, 0), 6) as observed_rate_lower,
        round(least(rate_upper, 1), 6) as observed_rate_upper,
        round(predicted_rate / nullif(observed_rate, 0), 6) as predicted_over_observed,
        case
            when customer_count < {{ evidence.min_group_customer_count | int }} then 'too_few'
            when predicted_rate > rate_upper * {{ gates.max_predicted_over_observed | float }}
                then 'fewer_than_predicted'
            when predicted_rate < rate_lower * {{ gates.min_predicted_over_observed | float }}
                then 'more_than_predicted'
            else 'as_predicted'
        end as outcome_status

    from bounded

)

select
    cast(prediction_name as string) as prediction_name,
    as_of_date,
    cast(band as string) as band,
    cast(model_version as string) as model_version,
    cast(horizon_days as bigint) as horizon_days,
    window_ends_on,
    cast(customer_count as bigint) as customer_count,
    cast(predicted_rate as double) as predicted_rate,
    cast(observed_rate as double) as observed_rate,
    cast(observed_rate_lower as double) as observed_rate_lower,
    cast(observed_rate_upper as double) as observed_rate_upper,
    cast(predicted_over_observed as double) as predicted_over_observed,
    cast(outcome_status as string) as outcome_status

from prediction_outcomes
