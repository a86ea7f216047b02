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
        '{{ prediction.name }}' as prediction_name,
        '{{ prediction.name }}' as model_name,
        {{ prediction.horizon_days }} as horizon_days
    {% endfor %}

),

eligible as (

    select
        customer_id,
        prediction_name

    from {{ ref('int_coterie__customer_outcomes') }}

    where is_scoring_date

),

champions as (

    select * from {{ ref('int_coterie__propensity_versions') }}
    where is_champion

),

scores as (

    select
        *,
        percent_rank() over (partition by model_name order by probability) as percent_rank

    from {{ ref('int_coterie__propensity_scores') }}

    where is_champion

),

feature_reasons as (

    select * from {{ ref('coterie__feature_reasons') }}

),

reasons as (

    {% for part in ['reason_1', 'reason_2', 'reason_3', 'counter_reason'] %}
    {{ 'union all' if not loop.first }}
    select
        scores.customer_id,
        scores.model_name,
        '{{ part }}' as part,
        {{ coterie.reason_sentence(
            'scores.' ~ part ~ '_value', 'feature_reasons.value_format',
            'feature_reasons.sentence', 'feature_reasons.missing_sentence'
        ) }} as sentence

    from scores

    inner join feature_reasons
        on
            scores.{{ part }}_code = feature_reasons.feature
            and feature_reasons.direction
            = '{{ 'lowers' if part == 'counter_reason' else 'raises' }}'
    {% endfor %}

),

sentences as (

    select
        customer_id,
        model_name,
        max(case when part = 'reason_1' then sentence end) as reason_1_sentence,
        max(case when part = 'reason_2' then sentence end) as reason_2_sentence,
        max(case when part = 'reason_3' then sentence end) as reason_3_sentence,
        max(case when part = 'counter_reason' then sentence end) as counter_reason_sentence

    from reasons

    group by customer_id, model_name

),

customer_predictions as (

    select
        customers.customer_id,
        predictions.prediction_name,
        predictions.model_name,
        scores.probability,
        cast(1 + floor(99 * scores.percent_rank) as bigint) as percentile,
        case
            when scores.probability < 0.1 then 'very_low'
            when scores.probability < 0.25 then 'low'
            when scores.probability < 0.5 then 'medium'
            when scores.probability < 0.75 then 'high'
            when scores.probability is not null then 'very_high'
        end as band,
        case
            when eligible.customer_id is null then 'not_eligible'
            when scores.customer_id is null then 'withheld'
            else 'scored'
        end as score_status,
        scores.reason_1_code,
        sentences.reason_1_sentence,
        scores.reason_1_contribution,
        scores.reason_2_code,
        sentences.reason_2_sentence,
        scores.reason_2_contribution,
        scores.reason_3_code,
        sentences.reason_3_sentence,
        scores.reason_3_contribution,
        scores.counter_reason_code,
        sentences.counter_reason_sentence,
        scores.counter_reason_contribution,
        customers.as_of_date,
        cast(predictions.horizon_days as bigint) as horizon_days,
        scores.model_version,
        champions.fitted_as_of,
        champions.data_through,
        case
            when scores.customer_id is not null
                then {{ coterie.days_after(
                    'customers.as_of_date', 'least(predictions.horizon_days, 30)'
                ) }}
        end as expires_on

    from customers

    cross join predictions

    left join eligible
        on
            customers.customer_id = eligible.customer_id
            and predictions.prediction_name = eligible.prediction_name

    left join scores
        on
            customers.customer_id = scores.customer_id
            and predictions.model_name = scores.model_name

    left join sentences
        on
            customers.customer_id = sentences.customer_id
            and predictions.model_name = sentences.model_name

    left join champions
        on scores.model_version = champions.model_version

)

select
    cast(customer_id as string) as customer_id,
    cast(prediction_name as string) as prediction_name,
    cast(model_name as string) as model_name,
    cast(probability as double) as probability,
    percentile,
    cast(band as string) as band,
    cast(score_status as string) as score_status,
    {%- for part in ['reason_1', 'reason_2', 'reason_3', 'counter_reason'] %}
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

from customer_predictions
