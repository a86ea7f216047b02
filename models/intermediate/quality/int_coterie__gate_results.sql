{% set gates = coterie.settings('gates') %}
{% set missing = coterie.missing_evidence(gates) %}

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
        weights.training_row_count,
        weights.positive_count

    from {{ ref('int_coterie__propensity_weights') }} as weights

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
        max(case when metric_name = 'positive_count' then metric_value end)
            as test_positive_count,
        max(case when metric_name = 'excess_calibration_error' then metric_value end)
            as excess_calibration_error,
        max(case when metric_name = 'predicted_over_observed' then interval_lower end)
            as predicted_over_observed_lower,
        max(case when metric_name = 'predicted_over_observed' then interval_upper end)
            as predicted_over_observed_upper,
        max(case when metric_name = 'predicted_over_observed' then metric_value end)
            as predicted_over_observed,
        max(case when metric_name = 'roc_auc' then interval_lower end) as roc_auc_lower,
        min(
            case
                when metric_name in ('log_loss_gain_over_base_rate', 'log_loss_gain_over_rfm_cell')
                    then interval_lower
            end
        ) as least_gain_lower

    from {{ ref('int_coterie__backtest_metrics') }}

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
        min(origin) as first_test_origin

    from {{ ref('int_coterie__propensity_backtests') }}

    group by model_name, model_version

),

as_of as (

    select * from {{ ref('int_coterie__as_of') }}

),

evidence as (

    select
        versions.model_name,
        versions.model_version,
        versions.fitted_as_of,
        versions.horizon_days,
        versions.positive_count as training_positive_count,
        versions.training_row_count - versions.positive_count as training_negative_count,
        coalesce(origins.test_origin_count, 0) as test_origin_count,
        origins.first_test_origin,
        {{ coterie.days_between('as_of.first_ordered_on', 'origins.first_test_origin') }}
            as history_days,
        coalesce(metrics.test_positive_count, 0) as test_positive_count,
        coalesce(metrics.test_row_count - metrics.test_positive_count, 0) as test_negative_count,
        metrics.least_gain_lower,
        metrics.roc_auc_lower,
        metrics.excess_calibration_error,
        metrics.predicted_over_observed,
        metrics.predicted_over_observed_lower,
        metrics.predicted_over_observed_upper

    from versions

    cross join as_of

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
            when not coalesce(least_gain_lower > 0, false) then 'worse_than_baseline'
            -- Where rates move, a better level alone beats the baselines; scores must rank too.
            when roc_auc_lower <= 0.5 then 'worse_than_baseline'
            when not {{ coterie.is_calibrated(gates) }}
                then 'miscalibrated'
            when
                test_origin_count < {{ gates.max_test_origin_count }}
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
                    case
                        when least_gain_lower > 0
                            then
                                'On later dates the model did not clearly rank customers better '
                                || 'than chance, so its scores would add nothing.'
                        else
                            'On later dates the model did not clearly beat the plain rate and the '
                            || 'rate of the RFM cell, so its scores would add nothing.'
                    end
            when 'miscalibrated'
                then
                    'On later dates the predicted rate was '
                    || cast(round(predicted_over_observed, 2) as string)
                    || ' times the real one, with an excess calibration error of '
                    || cast(round(excess_calibration_error, 3) as string) || '.'
            when 'provisional'
                then
                    'Better than its baselines on ' || cast(test_origin_count as string)
                    || ' later dates, but with a short history ('
                    || cast(history_days as string) || ' days before the first).'
            else
                'Better than its baselines and calibrated on ' || cast(test_origin_count as string)
                || ' later dates.'
        end as gate_reason

    from judged

)

select * from explained
