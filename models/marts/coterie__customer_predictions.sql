{% set has_baselines = coterie.is_baseline_published() %}
{% set parts = ['reason_1', 'reason_2', 'reason_3', 'counter_reason'] %}
{# Whose reasons they are in the scores: a complement turns them. #}
{% set turned_parts = {
    false: {
        'reason_1': 'reason_1',
        'reason_2': 'reason_2',
        'reason_3': 'reason_3',
        'counter_reason': 'counter_reason_1'
    },
    true: {
        'reason_1': 'counter_reason_1',
        'reason_2': 'counter_reason_2',
        'reason_3': 'counter_reason_3',
        'counter_reason': 'reason_1'
    }
} %}

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

versions as (

    select
        model_version,
        fitted_as_of,
        data_through

    from {{ ref('int_coterie__propensity_versions') }}

),

champion_scores as (

    select * from {{ ref('int_coterie__propensity_scores') }}
    where is_champion

),

scores as (

    -- A complement is the opposite of its model: what speaks against the one speaks for the other.
    {% for is_complement, theirs in turned_parts.items() %}
    {{ 'union all' if not loop.first }}
    select
        scored.customer_id,
        predictions.prediction_name,
        scored.model_version,
        scored.is_extrapolated,
        {%- for part in parts %}
        scored.{{ theirs[part] }}_code as {{ part }}_code_as_read,
        {{ -1 if is_complement else 1 }} * scored.{{ theirs[part] }}_contribution
            as {{ part }}_contribution,
        scored.{{ theirs[part] }}_value as {{ part }}_value_as_read,
        scored.{{ theirs[part] }}_usual_value as {{ part }}_usual_value_as_read,
        {%- endfor %}
        {{ '1 - scored.probability' if is_complement else 'scored.probability + 0' }} as probability

    from champion_scores as scored

    inner join predictions
        on
            scored.model_name = predictions.model_name
            and predictions.is_complement = {{ is_complement | lower }}
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

baseline_scores as (

    {% if has_baselines %}
    select
        customer_id,
        model_name,
        model_version,
        probability

    from {{ ref('int_coterie__baseline_scores') }}
    {% else %}
    select
        cast(null as string) as customer_id,
        cast(null as string) as model_name,
        cast(null as string) as model_version,
        cast(null as double) as probability

    where false
    {% endif %}

),

feature_reasons as (

    select * from {{ ref('coterie__feature_reasons') }}

),

worded_scores as (

    select
        {%- for part in parts %}
        {{ coterie.reason_sentence('eligible_scores.' ~ part, part ~ 's') }} as {{ part }}_sentence,
        {%- endfor %}
        eligible_scores.*

    from eligible_scores

    {% for part in parts %}
    left join feature_reasons as {{ part }}s
        on
            eligible_scores.{{ part }}_code_as_read = {{ part }}s.feature
            and {{ part }}s.direction = '{{ 'lowers' if part == 'counter_reason' else 'raises' }}'
    {% endfor %}

),

customer_predictions as (

    select
        customers.customer_id,
        predictions.prediction_name,
        predictions.model_name,
        coalesce(
            scores.probability,
            cohort_rates.cohort_rate,
            case
                when predictions.is_complement then 1 - baseline_scores.probability
                else baseline_scores.probability
            end
        ) as probability,
        cast(1 + floor(99 * scores.percent_rank) as bigint) as percentile,
        case
            when scores.customer_id is not null then 'scored'
            when cohort_rates.customer_id is not null then 'cohort_rate'
            when baseline_scores.customer_id is not null then 'baseline_rate'
            when coalesce(candidates.is_eligible, false) then 'withheld'
            else 'not_eligible'
        end as score_status,
        scores.is_extrapolated,
        {%- for part in parts %}
        scores.{{ part }}_code_as_read as {{ part }}_code,
        scores.{{ part }}_sentence,
        scores.{{ part }}_contribution,
        {%- endfor %}
        customers.as_of_date,
        cast(predictions.horizon_days as bigint) as horizon_days,
        versions.model_version,
        versions.fitted_as_of,
        versions.data_through

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

    left join baseline_scores
        on
            coalesce(candidates.is_eligible, false)
            and scores.customer_id is null
            and customers.customer_id = baseline_scores.customer_id
            and predictions.model_name = baseline_scores.model_name

    left join versions
        on coalesce(scores.model_version, baseline_scores.model_version) = versions.model_version

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
