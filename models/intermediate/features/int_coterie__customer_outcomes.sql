{% set predictions = coterie.predictions() %}
{% set has_custom_outcomes = predictions | rejectattr('outcome', 'equalto', 'purchase') | list %}

with

customer_features as (

    select
        as_of_date,
        customer_id,
        is_scoring_date,
        is_in_sample,
        data_through,
        order_count,
        order_count_365d,
        days_since_last_order,
        days_since_signup,
        engaged_session_count_90d,
        message_count_90d,
        is_unsubscribed

    from {{ ref('int_coterie__customer_features') }}

),

outcome_events as (

    select * from {{ ref('int_coterie__outcome_events') }}

),

{% if has_custom_outcomes %}

custom_outcome_days as (

    -- What others tell may end before the orders do.
    select {{ coterie.days_after('cast(max(occurred_at) as date)', 1) }} as ends_on

    from outcome_events

    where outcome != 'purchase'

),

{% endif %}

candidates as (

    {% for prediction in predictions %}
    {{ 'union all' if not loop.first }}
    select
        customer_features.as_of_date,
        customer_features.customer_id,
        customer_features.is_scoring_date,
        {{ coterie.quoted(prediction.name) }} as prediction_name,
        {{ coterie.quoted(prediction.model_name) }} as model_name,
        {{ coterie.quoted(prediction.outcome) }} as outcome_name,
        {{ 'true' if prediction.complement_of else 'false' }} as is_complement,
        {{ prediction.horizon_days }} as horizon_days,
        {{ prediction.condition }} as is_eligible,
        {{ coterie.days_after('customer_features.as_of_date', prediction.horizon_days) }}
            as window_ends_on,
        {% if prediction.outcome == 'purchase' %}
        customer_features.data_through
        {% else %}
        least(customer_features.data_through, custom_outcome_days.ends_on) as data_through
        {% endif %}

    from customer_features

    {% if prediction.outcome != 'purchase' %}
    cross join custom_outcome_days
    {% endif %}

    where {{ coterie.is_candidate(prediction) }}
    {% endfor %}

),

looked_for as (

    select distinct
        as_of_date,
        customer_id,
        outcome_name

    from candidates

    where window_ends_on <= data_through

),

next_events as (

    select
        looked_for.as_of_date,
        looked_for.customer_id,
        looked_for.outcome_name,
        min(outcome_events.occurred_at) as occurred_at

    from looked_for

    inner join outcome_events
        on
            looked_for.customer_id = outcome_events.customer_id
            and looked_for.outcome_name = outcome_events.outcome
            and looked_for.as_of_date <= outcome_events.occurred_at

    group by
        looked_for.as_of_date,
        looked_for.customer_id,
        looked_for.outcome_name

),

observed as (

    select
        candidates.*,
        candidates.window_ends_on <= candidates.data_through as is_closed,
        coalesce(next_events.occurred_at < candidates.window_ends_on, false) as has_happened

    from candidates

    left join next_events
        on
            candidates.as_of_date = next_events.as_of_date
            and candidates.customer_id = next_events.customer_id
            and candidates.outcome_name = next_events.outcome_name

),

customer_outcomes as (

    select
        as_of_date,
        customer_id,
        is_scoring_date,
        prediction_name,
        model_name,
        is_eligible,
        cast(horizon_days as bigint) as horizon_days,
        case
            when is_closed
                then cast(case when has_happened != is_complement then 1 else 0 end as bigint)
        end as outcome

    from observed

)

select * from customer_outcomes
