{% set parts = ['reason_1', 'reason_2', 'reason_3', 'counter_reason'] %}

with

customers as (

    select
        as_of_date,
        customer_id

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

predictions as (

    {% for prediction in coterie.predictions() %}
    {{ 'union all' if not loop.first }}
    select
        {{ coterie.quoted(prediction.name) }} as prediction_name,
        {{ coterie.quoted(prediction.model_name) }} as model_name,
        {{ prediction.horizon_days }} as horizon_days,
        {{ 'true' if prediction.complement_of else 'false' }} as is_complement
    {% endfor %}

),

candidates as (

    select
        customer_id,
        prediction_name,
        is_eligible

    from {{ ref('int_coterie__customer_outcomes') }}

    where is_scoring_date

),

cohort_rates as (

    select
        customer_id,
        prediction_name,
        cohort_rate

    from {{ ref('int_coterie__cohort_rates') }}

),

champions as (

    select * from {{ ref('int_coterie__propensity_versions') }}
    where is_champion

),

champion_scores as (

    select * from {{ ref('int_coterie__propensity_scores') }}
    where is_champion

),

scores as (

    -- A complement is the opposite of its model: what speaks against the one speaks for the other.
    {% for is_complement in [false, true] %}
    {{ 'union all' if not loop.first }}
    select
        champion_scores.customer_id,
        predictions.prediction_name,
        champion_scores.model_version,
        champion_scores.is_extrapolated,
        {{ '1 - ' if is_complement }}champion_scores.probability as probability,
        {%- for part in parts %}
        {%- if is_complement %}
        {%- set theirs = 'reason_1' if part == 'counter_reason' else 'counter_' ~ part %}
        {%- else %}
        {%- set theirs = 'counter_reason_1' if part == 'counter_reason' else part %}
        {%- endif %}
        champion_scores.{{ theirs }}_code as {{ part }}_code,
        {{ '-' if is_complement }}champion_scores.{{ theirs }}_contribution as {{ part }}_contribution,
        champion_scores.{{ theirs }}_value as {{ part }}_value,
        champion_scores.{{ theirs }}_usual_value as {{ part }}_usual_value{{ ',' if not loop.last }}
        {%- endfor %}

    from champion_scores

    inner join predictions
        on champion_scores.model_name = predictions.model_name

    where {{ '' if is_complement else 'not ' }}predictions.is_complement
    {% endfor %}

),

eligible_scores as (

    -- A complement may be predicted of fewer customers than its model: it is ranked among its own.
    select
        scores.*,
        percent_rank() over (
            partition by scores.prediction_name
            order by scores.probability
        ) as percent_rank

    from scores

    inner join candidates
        on
            scores.customer_id = candidates.customer_id
            and scores.prediction_name = candidates.prediction_name

    where candidates.is_eligible

),

feature_reasons as (

    select * from {{ ref('coterie__feature_reasons') }}

),

worded_scores as (

    select
        eligible_scores.*,
        {%- for part in parts %}
        {{ coterie.reason_sentence('eligible_scores.' ~ part, part ~ 's') }}
            as {{ part }}_sentence{{ ',' if not loop.last }}
        {%- endfor %}

    from eligible_scores

    {% for part in parts %}
    left join feature_reasons as {{ part }}s
        on
            eligible_scores.{{ part }}_code = {{ part }}s.feature
            and {{ part }}s.direction = '{{ 'lowers' if part == 'counter_reason' else 'raises' }}'

    {% endfor %}
),

customer_predictions as (

    select
        customers.customer_id,
        predictions.prediction_name,
        predictions.model_name,
        coalesce(scores.probability, cohort_rates.cohort_rate) as probability,
        cast(1 + floor(99 * scores.percent_rank) as bigint) as percentile,
        case
            when scores.customer_id is not null then 'scored'
            when cohort_rates.customer_id is not null then 'cohort_rate'
            when coalesce(candidates.is_eligible, false) then 'withheld'
            else 'not_eligible'
        end as score_status,
        scores.is_extrapolated,
        {%- for part in parts %}
        scores.{{ part }}_code,
        scores.{{ part }}_sentence,
        scores.{{ part }}_contribution,
        {%- endfor %}
        customers.as_of_date,
        cast(predictions.horizon_days as bigint) as horizon_days,
        scores.model_version,
        champions.fitted_as_of,
        champions.data_through

    from customers

    cross join predictions

    left join candidates
        on
            customers.customer_id = candidates.customer_id
            and predictions.prediction_name = candidates.prediction_name

    left join worded_scores as scores
        on
            customers.customer_id = scores.customer_id
            and predictions.prediction_name = scores.prediction_name

    left join cohort_rates
        on
            customers.customer_id = cohort_rates.customer_id
            and predictions.prediction_name = cohort_rates.prediction_name

    left join champions
        on scores.model_version = champions.model_version

),

dated as (

    select
        *,
        case
            when probability < 0.1 then 'very_low'
            when probability < 0.25 then 'low'
            when probability < 0.5 then 'medium'
            when probability < 0.75 then 'high'
            when probability is not null then 'very_high'
        end as band,
        case
            when probability is not null
                then {{ coterie.days_after('as_of_date', 'least(horizon_days, 30)') }}
        end as expires_on

    from customer_predictions

)

select
    cast(customer_id as string) as customer_id,
    cast(prediction_name as string) as prediction_name,
    cast(model_name as string) as model_name,
    cast(probability as double) as probability,
    percentile,
    cast(band as string) as band,
    cast(score_status as string) as score_status,
    is_extrapolated,
    {%- for part in parts %}
    cast({{ part }}_code as string) as {{ part }}_code,
    cast({{ part }}_sentence as string) as {{ part }}_sentence,
    cast({{ part }}_contribution as double) as {{ part }}_contribution,
    {%- endfor %}
    as_of_date,
    horizon_days,
    cast(model_version as string) as model_version,
    fitted_as_of,
    data_through,
    expires_on

from dated
