{% set gates = coterie.settings('gates') %}
{% set has_propensity = coterie.is_topic_enabled('propensity') %}
{% set has_values = coterie.is_topic_enabled('lifetime_value') %}
{% set segmentations = coterie.enabled_segmentations() %}

with

models as (

    {% if has_propensity %}
    {% for prediction in coterie.modelled_predictions() %}
    {{ 'union all' if not loop.first }}
    select
        '{{ prediction.name }}' as model_name,
        true as has_outcomes,
        {{ gates.min_training_positive_count }} as min_count,
        {{ gates.min_training_negative_count }} as min_negative_count,
        'Nothing has been fitted, so scores are withheld.' as never_fitted_reason
    {% endfor %}
    {% endif %}
    {% if has_values %}
    {% for horizon in coterie.value_horizons() %}
    {{ 'union all' if has_propensity or not loop.first }}
    select
        'value_{{ horizon }}d' as model_name,
        true as has_outcomes,
        {{ gates.min_training_positive_count }} as min_count,
        0 as min_negative_count,
        'Nothing has been fitted, so the means of cohorts stand in.' as never_fitted_reason
    {% endfor %}
    {% endif %}
    {% for segmentation in segmentations %}
    {{ 'union all' if has_propensity or has_values or not loop.first }}
    select
        {{ coterie.quoted(segmentation.name) }} as model_name,
        false as has_outcomes,
        {{ segmentation.min_customer_count | int }} as min_count,
        0 as min_negative_count,
        'Nothing has been fitted, so active customers are unassigned.' as never_fitted_reason
    {% endfor %}

),

versions as (

    {% if has_propensity %}
    select
        model_name,
        model_version,
        fitted_as_of,
        data_through,
        horizon_days,
        horizon_days as learned_horizon_days,
        settings,
        training_fingerprint,
        training_row_count,
        positive_count,
        origin_count,
        first_origin,
        last_origin,
        learner,
        max_iter,
        calibration,
        bin_set_id,
        gate_status,
        gate_reason,
        has_current_settings,
        is_newest,
        is_champion,
        champion_reason

    from {{ ref('int_coterie__propensity_versions') }}
    {% endif %}

    {{ 'union all' if has_propensity and has_values }}

    {% if has_values %}
    select
        model_name,
        model_version,
        fitted_as_of,
        data_through,
        horizon_days,
        learned_horizon_days,
        settings,
        training_fingerprint,
        training_row_count,
        buyer_count as positive_count,
        origin_count,
        first_origin,
        last_origin,
        learner,
        max_iter,
        calibration,
        bin_set_id,
        gate_status,
        gate_reason,
        has_current_settings,
        is_newest,
        is_champion,
        champion_reason

    from {{ ref('int_coterie__value_versions') }}
    {% endif %}

    {{ 'union all' if segmentations and (has_propensity or has_values) }}

    {% if segmentations %}
    select
        segmentation_name as model_name,
        segmentation_version as model_version,
        fitted_as_of,
        data_through,
        cast(null as bigint) as horizon_days,
        cast(null as bigint) as learned_horizon_days,
        settings,
        training_fingerprint,
        training_row_count,
        cast(null as bigint) as positive_count,
        cast(null as bigint) as origin_count,
        cast(null as date) as first_origin,
        cast(null as date) as last_origin,
        algorithm as learner,
        cast(null as bigint) as max_iter,
        cast(null as string) as calibration,
        cast(null as string) as bin_set_id,
        gate_status,
        gate_reason,
        has_current_settings,
        is_newest,
        is_champion,
        champion_reason

    from {{ ref('int_coterie__segmentation_versions') }}
    {% endif %}

),

training_counts as (

    {% if has_propensity %}
    select
        model_name,
        count(*) as row_count,
        sum(outcome) as positive_count

    from {{ ref('int_coterie__propensity_training_rows') }}

    group by model_name
    {% endif %}
    {% if has_values %}
    {% for horizon in coterie.value_horizons() %}
    {{ 'union all' if has_propensity or not loop.first }}

    select
        'value_{{ horizon }}d' as model_name,
        count(amount_{{ horizon }}d) as row_count,
        count(case when amount_{{ horizon }}d > 0 then 1 end) as positive_count

    from {{ ref('int_coterie__value_outcomes') }}

    where
        order_day_count > 0
        and not is_scoring_date
    {% endfor %}
    {% endif %}
    {% for segmentation in segmentations %}
    {{ 'union all' if has_propensity or has_values or not loop.first }}

    select
        {{ coterie.quoted(segmentation.name) }} as model_name,
        count(*) as row_count,
        cast(null as bigint) as positive_count

    from {{ ref('int_coterie__segmentation_sample') }}
    {% endfor %}

),

model_versions as (

    -- A model that was never fitted has one row that says what there is to learn from.
    select
        models.model_name,
        models.has_outcomes,
        models.min_count,
        models.min_negative_count,
        coalesce(versions.model_version, 'none') as model_version,
        versions.fitted_as_of,
        versions.data_through,
        versions.horizon_days,
        versions.learned_horizon_days,
        versions.settings,
        versions.training_fingerprint,
        coalesce(versions.training_row_count, training_counts.row_count, 0) as training_row_count,
        case
            when models.has_outcomes
                then coalesce(versions.positive_count, training_counts.positive_count, 0)
        end as positive_count,
        versions.origin_count,
        versions.first_origin,
        versions.last_origin,
        versions.learner,
        versions.max_iter,
        versions.calibration,
        versions.bin_set_id,
        coalesce(versions.gate_status, 'insufficient_data') as gate_status,
        versions.gate_reason,
        coalesce(versions.has_current_settings, true) as has_current_settings,
        coalesce(versions.is_newest, false) as is_newest,
        coalesce(versions.is_champion, false) as is_champion,
        coalesce(versions.champion_reason, models.never_fitted_reason) as champion_reason

    from models

    left join versions
        on models.model_name = versions.model_name

    left join training_counts
        on models.model_name = training_counts.model_name

),

explained as (

    select
        *,
        training_row_count - positive_count as negative_count,
        coalesce(
            gate_reason,
            case
                when
                    coalesce(positive_count, training_row_count) >= min_count
                    and coalesce(training_row_count - positive_count, 0) >= min_negative_count
                    then
                        'Nothing had been fitted by this date, and a build as of a date before '
                        || 'the newest version fits nothing.'
                when not has_outcomes
                    then
                        'Too few active customers to tell groups apart: '
                        || cast(training_row_count as string) || ', where '
                        || cast(min_count as string) || ' are needed.'
            end,
            'Too little to learn from: ' || cast(positive_count as string) || ' outcomes and '
            || cast(training_row_count - positive_count as string)
            || ' non-outcomes on past dates, where ' || cast(min_count as string) || ' and '
            || cast(min_negative_count as string) || ' are needed.'
        ) as gate_words

    from model_versions

)

select
    cast(model_name as string) as model_name,
    cast(model_version as string) as model_version,
    fitted_as_of,
    data_through,
    cast(horizon_days as bigint) as horizon_days,
    cast(learned_horizon_days as bigint) as learned_horizon_days,
    settings,
    cast(training_fingerprint as string) as fingerprint,
    cast(training_row_count as bigint) as training_row_count,
    cast(positive_count as bigint) as positive_count,
    cast(negative_count as bigint) as negative_count,
    cast(origin_count as bigint) as origin_count,
    first_origin,
    last_origin,
    cast(learner as string) as learner,
    cast(max_iter as bigint) as max_iter,
    cast(calibration as string) as calibration,
    cast(bin_set_id as string) as bin_set_id,
    cast(gate_status as string) as gate_status,
    cast(gate_words as string) as gate_reason,
    has_current_settings,
    is_newest,
    is_champion,
    cast(champion_reason as string) as champion_reason

from explained
