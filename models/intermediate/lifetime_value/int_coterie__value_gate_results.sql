{% set gates = coterie.settings('gates') %}
{% set missing = coterie.missing_value_evidence(gates) %}

with

judged_before as (

    -- A version is judged once by the same thresholds.
    {% if is_incremental() %}
    select model_version from {{ this }}
    where gate_settings_hash = {{ coterie.gate_settings_hash() }}
    {% else %}
    select cast(null as string) as model_version
    where false
    {% endif %}

),

versions as (

    select distinct
        weights.model_name,
        weights.model_version,
        weights.fitted_as_of,
        weights.horizon_days,
        weights.history_days,
        weights.training_row_count,
        -- The purchase model learns from no outcome.
        case when weights.additive_share > 0 then weights.buyer_count end as buyer_count

    from {{ ref('int_coterie__value_weights') }} as weights

    cross join {{ ref('int_coterie__as_of') }} as as_of

    left join judged_before
        on weights.model_version = judged_before.model_version

    where
        weights.fitted_as_of <= as_of.as_of_date
        and judged_before.model_version is null

),

metrics as (

    select
        model_name,
        model_version,
        max(case when metric_name = 'row_count' then metric_value end) as test_row_count,
        max(case when metric_name = 'predicted_over_observed' then interval_lower end)
            as predicted_over_observed_lower,
        max(case when metric_name = 'predicted_over_observed' then interval_upper end)
            as predicted_over_observed_upper,
        max(case when metric_name = 'predicted_over_observed' then metric_value end)
            as predicted_over_observed,
        {%- for baseline in ['last_period', 'cohort_mean'] %}
        max(
            case
                when
                    metric_name in (
                        'mae_gain_over_{{ baseline }}', 'normalised_gini_gain_over_{{ baseline }}'
                    )
                    then interval_lower
            end
        ) as gain_over_{{ baseline }}_lower,
        {%- endfor %}
        min(
            case
                when
                    metric_name in (
                        'mae_gain_over_last_period',
                        'normalised_gini_gain_over_last_period',
                        'mae_gain_over_cohort_mean',
                        'normalised_gini_gain_over_cohort_mean'
                    )
                    then interval_upper
            end
        ) as least_gain_upper

    from {{ ref('int_coterie__value_metrics') }}

    where
        origin = 'pooled'
        and scorer_name = 'model'
        and group_name = 'all'

    group by model_name, model_version

),

origins as (

    select
        model_name,
        model_version,
        count(distinct origin) as test_origin_count,
        count(case when actual_amount > 0 then 1 end) as test_buyer_count,
        max(tested_horizon_days) as tested_horizon_days

    from {{ ref('int_coterie__value_backtests') }}

    where scorer_name = 'model'

    group by model_name, model_version

),

evidence as (

    select
        versions.model_name,
        versions.model_version,
        versions.fitted_as_of,
        versions.horizon_days,
        versions.history_days,
        versions.training_row_count,
        versions.buyer_count as training_buyer_count,
        origins.tested_horizon_days,
        coalesce(origins.test_origin_count, 0) as test_origin_count,
        coalesce(metrics.test_row_count, 0) as test_row_count,
        coalesce(origins.test_buyer_count, 0) as test_buyer_count,
        metrics.gain_over_last_period_lower,
        metrics.gain_over_cohort_mean_lower,
        metrics.least_gain_upper,
        metrics.predicted_over_observed,
        metrics.predicted_over_observed_lower,
        metrics.predicted_over_observed_upper

    from versions

    left join metrics
        on
            versions.model_name = metrics.model_name
            and versions.model_version = metrics.model_version

    left join origins
        on
            versions.model_name = origins.model_name
            and versions.model_version = origins.model_version

),

judged as (

    select
        *,
        case
            when {{ missing | list | join(' or ') }} then 'insufficient_data'
            -- Clearly better than each baseline by error or by rank, clearly worse by neither.
            when
                not coalesce(
                    gain_over_last_period_lower > 0
                    and gain_over_cohort_mean_lower > 0
                    and least_gain_upper >= 0,
                    false
                )
                then 'worse_than_baseline'
            when
                not coalesce(
                    predicted_over_observed_upper >= {{ gates.min_predicted_over_observed }}
                    and predicted_over_observed_lower <= {{ gates.max_predicted_over_observed }},
                    false
                )
                then 'miscalibrated'
            when
                test_origin_count < {{ gates.max_test_origin_count }}
                or tested_horizon_days < horizon_days
                or history_days < {{ gates.min_history_days_to_publish }}
                then 'provisional'
            else 'published'
        end as gate_status

    from evidence

),

explained as (

    select
        *,
        {{ coterie.gate_settings_hash() }} as gate_settings_hash,
        case gate_status
            when 'insufficient_data'
                then
                    'Too little to learn from: only ' || substr(
                        ''
                        {%- for condition, words in missing.items() %}
                        || case when {{ condition }} then ', ' || {{ words }} else '' end
                        {%- endfor %},
                        3
                    ) || '.'
            when 'worse_than_baseline'
                then
                    'On later dates the model did not clearly beat what customers had spent '
                    || 'before and the mean of their cohort, so its values would add nothing.'
            when 'miscalibrated'
                then
                    'On later dates customers were predicted '
                    || cast(round(predicted_over_observed, 2) as string)
                    || ' times what they spent.'
            when 'provisional'
                then
                    'Better than its baselines on ' || cast(test_origin_count as string)
                    || ' later dates, '
                    || case
                        when tested_horizon_days < horizon_days
                            then
                                'but tested on ' || cast(tested_horizon_days as string)
                                || ' days only, as the history is too short for '
                                || cast(horizon_days as string) || '.'
                        else
                            'but with a short history (' || cast(history_days as string)
                            || ' days) or few test dates.'
                    end
            else
                'Better than its baselines and right in sum on '
                || cast(test_origin_count as string) || ' later dates.'
        end as gate_reason

    from judged

)

select * from explained
