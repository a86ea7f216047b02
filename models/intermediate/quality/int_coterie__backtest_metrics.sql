{% set test = 'model_name, model_version, origin, scorer_name, group_name, group_value' %}
{# Metrics without an interval in closed form, and the rows that hold them. #}
{% set plain_metrics = {
    'average_precision': 'auc_parts',
    'top_decile_lift': 'auc_parts',
    'calibration_error': 'calibration_errors',
    'excess_calibration_error': 'calibration_errors',
    'row_count': 'totals',
    'positive_count': 'totals',
    'observed_rate': 'totals'
} %}

with

backtest_rows as (

    select * from {{ ref('int_coterie__backtest_rows') }}

),

backtest_ranks as (

    select * from {{ ref('int_coterie__backtest_ranks') }}

),

totals as (

    select
        {{ test }},
        count(*) as row_count,
        sum(outcome) as positive_count,
        avg(cast(outcome as double)) as observed_rate,
        sum(probability) as predicted_count,
        avg(squared_error) as brier_score

    from backtest_rows

    group by {{ test }}

),

losses as (

    select
        {{ test }},
        customer_id,
        'log_loss' as metric_name,
        log_loss as loss

    from backtest_rows

    union all

    select
        {{ test }},
        customer_id,
        'brier_score' as metric_name,
        squared_error as loss

    from backtest_rows

    union all

    -- The same customers at the same origins, as the model and as a baseline score them.
    select
        model_rows.model_name,
        model_rows.model_version,
        model_rows.origin,
        model_rows.scorer_name,
        model_rows.group_name,
        model_rows.group_value,
        model_rows.customer_id,
        'log_loss_gain_over_' || baseline_rows.scorer_name as metric_name,
        baseline_rows.log_loss - model_rows.log_loss as loss

    from {{ ref('int_coterie__backtest_rows') }} as model_rows

    inner join {{ ref('int_coterie__backtest_rows') }} as baseline_rows
        on
            model_rows.model_name = baseline_rows.model_name
            and model_rows.model_version = baseline_rows.model_version
            and model_rows.origin = baseline_rows.origin
            and model_rows.tested_on = baseline_rows.tested_on
            and model_rows.group_name = baseline_rows.group_name
            and model_rows.group_value = baseline_rows.group_value
            and model_rows.customer_id = baseline_rows.customer_id

    where
        model_rows.scorer_name = 'model'
        and baseline_rows.scorer_name != 'model'

),

customer_losses as (

    select
        {{ test }},
        metric_name,
        customer_id,
        sum(loss) as total_loss,
        count(*) as row_count

    from losses

    group by {{ test }}, metric_name, customer_id

),

mean_losses as (

    select
        {{ test }},
        metric_name,
        total_loss,
        row_count,
        sum(total_loss) over (partition by {{ test }}, metric_name)
        / sum(row_count) over (partition by {{ test }}, metric_name) as mean_value

    from customer_losses

),

mean_metrics as (

    -- Rows of one customer are no independent evidence: the interval is clustered by customer.
    select
        {{ test }},
        metric_name,
        max(mean_value) as metric_value,
        sqrt(
            sum(power(total_loss - row_count * mean_value, 2))
            * count(*) / nullif(count(*) - 1, 0)
        ) / sum(row_count) as standard_error

    from mean_losses

    group by {{ test }}, metric_name

),

customer_residuals as (

    select
        backtest_rows.model_name,
        backtest_rows.model_version,
        backtest_rows.origin,
        backtest_rows.scorer_name,
        backtest_rows.group_name,
        backtest_rows.group_value,
        backtest_rows.customer_id,
        max(totals.predicted_count / nullif(totals.positive_count, 0)) as ratio,
        max(totals.positive_count) as positive_count,
        sum(
            backtest_rows.probability
            - backtest_rows.outcome * totals.predicted_count / nullif(totals.positive_count, 0)
        ) as residual

    from backtest_rows

    inner join totals
        on
            backtest_rows.model_name = totals.model_name
            and backtest_rows.model_version = totals.model_version
            and backtest_rows.origin = totals.origin
            and backtest_rows.scorer_name = totals.scorer_name
            and backtest_rows.group_name = totals.group_name
            and backtest_rows.group_value = totals.group_value

    group by
        backtest_rows.model_name,
        backtest_rows.model_version,
        backtest_rows.origin,
        backtest_rows.scorer_name,
        backtest_rows.group_name,
        backtest_rows.group_value,
        backtest_rows.customer_id

),

ratio_metrics as (

    -- The delta method for a ratio of two sums over the same customers.
    select
        {{ test }},
        'predicted_over_observed' as metric_name,
        max(ratio) as metric_value,
        sqrt(sum(residual * residual) * count(*) / nullif(count(*) - 1, 0))
        / nullif(max(positive_count), 0) as standard_error

    from customer_residuals

    group by {{ test }}

),

auc_parts as (

    select
        {{ test }},
        avg(case when outcome = 1 then placement end) as roc_auc,
        max(positive_count) as positive_count,
        max(row_count - positive_count) as negative_count,
        avg(case when outcome = 1 then precision_from_top end) as average_precision,
        avg(
            case when high_rank <= ceil(row_count / 10.0) then cast(outcome as double) end
        ) / nullif(avg(cast(outcome as double)), 0) as top_decile_lift

    from backtest_ranks

    group by {{ test }}

),

customer_placements as (

    select
        backtest_ranks.model_name,
        backtest_ranks.model_version,
        backtest_ranks.origin,
        backtest_ranks.scorer_name,
        backtest_ranks.group_name,
        backtest_ranks.group_value,
        backtest_ranks.customer_id,
        sum(
            case
                when backtest_ranks.outcome = 1 then backtest_ranks.placement - auc_parts.roc_auc
            end
        ) as positive_deviation,
        sum(
            case
                when backtest_ranks.outcome = 0
                    then 1 - backtest_ranks.placement - auc_parts.roc_auc
            end
        ) as negative_deviation,
        max(auc_parts.roc_auc) as roc_auc,
        max(auc_parts.positive_count) as positive_count,
        max(auc_parts.negative_count) as negative_count

    from backtest_ranks

    inner join auc_parts
        on
            backtest_ranks.model_name = auc_parts.model_name
            and backtest_ranks.model_version = auc_parts.model_version
            and backtest_ranks.origin = auc_parts.origin
            and backtest_ranks.scorer_name = auc_parts.scorer_name
            and backtest_ranks.group_name = auc_parts.group_name
            and backtest_ranks.group_value = auc_parts.group_value

    group by
        backtest_ranks.model_name,
        backtest_ranks.model_version,
        backtest_ranks.origin,
        backtest_ranks.scorer_name,
        backtest_ranks.group_name,
        backtest_ranks.group_value,
        backtest_ranks.customer_id

),

auc_metrics as (

    -- DeLong, DeLong & Clarke-Pearson (1988), with the rows of a customer taken together as in
    -- Obuchowski (1997); the same where each customer has one row.
    select
        {{ test }},
        'roc_auc' as metric_name,
        max(roc_auc) as metric_value,
        sqrt(
            sum(positive_deviation * positive_deviation)
            * count(positive_deviation) / nullif(count(positive_deviation) - 1, 0)
            / power(max(positive_count), 2)
            + sum(negative_deviation * negative_deviation)
            * count(negative_deviation) / nullif(count(negative_deviation) - 1, 0)
            / power(max(negative_count), 2)
            + 2 * coalesce(sum(positive_deviation * negative_deviation), 0)
            * count(*) / nullif(count(*) - 1, 0)
            / (max(positive_count) * max(negative_count))
        ) as standard_error

    from customer_placements

    group by {{ test }}

),

calibration_bins as (

    select
        {{ test }},
        calibration_bin,
        abs(sum(probability) - sum(outcome)) as error_count,
        -- Mean absolute deviation of a count whose probabilities are right (normal approximation).
        sqrt(2.0 / pi() * sum(probability * (1 - probability))) as chance_error_count,
        max(row_count) as row_count

    from backtest_ranks

    group by {{ test }}, calibration_bin

),

calibration_errors as (

    select
        {{ test }},
        sum(error_count) / max(row_count) as calibration_error,
        sum(error_count - chance_error_count) / max(row_count) as excess_calibration_error

    from calibration_bins

    group by {{ test }}

),

measured as (

    select
        {{ test }},
        metric_name,
        metric_value,
        standard_error,
        cast(null as double) as lowest_value,
        cast(null as double) as highest_value

    from mean_metrics

    union all

    select
        {{ test }},
        metric_name,
        metric_value,
        standard_error,
        0 as lowest_value,
        cast(null as double) as highest_value

    from ratio_metrics

    union all

    select
        {{ test }},
        metric_name,
        metric_value,
        standard_error,
        0 as lowest_value,
        1 as highest_value

    from auc_metrics

    {% for metric, source in plain_metrics.items() %}
    union all

    select
        {{ test }},
        '{{ metric }}' as metric_name,
        {{ metric }} as metric_value,
        cast(null as double) as standard_error,
        cast(null as double) as lowest_value,
        cast(null as double) as highest_value

    from {{ source }}

    {% endfor %}
    union all

    select
        {{ test }},
        'brier_skill' as metric_name,
        1 - brier_score / nullif(observed_rate * (1 - observed_rate), 0) as metric_value,
        cast(null as double) as standard_error,
        cast(null as double) as lowest_value,
        cast(null as double) as highest_value

    from totals

),

drawn_intervals as (

    -- Where there is no closed form, customers were drawn with replacement.
    select
        model_name,
        model_version,
        origin,
        scorer_name,
        'all' as group_name,
        'all' as group_value,
        metric_name,
        interval_lower,
        interval_upper

    from {{ ref('int_coterie__backtest_intervals') }}

),

backtest_metrics as (

    select
        measured.model_name,
        measured.model_version,
        measured.origin,
        measured.scorer_name,
        measured.group_name,
        measured.group_value,
        measured.metric_name,
        round(cast(measured.metric_value as double), 10) as metric_value,
        -- greatest and least pass over a NULL, so they are asked only where there is an interval.
        round(
            case
                when measured.standard_error is not null
                    then
                        greatest(
                            measured.metric_value - 1.959964 * measured.standard_error,
                            measured.lowest_value
                        )
                else drawn_intervals.interval_lower
            end, 10
        ) as interval_lower,
        round(
            case
                when measured.standard_error is not null
                    then
                        least(
                            measured.metric_value + 1.959964 * measured.standard_error,
                            measured.highest_value
                        )
                else drawn_intervals.interval_upper
            end, 10
        ) as interval_upper

    from measured

    left join drawn_intervals
        on
            measured.model_name = drawn_intervals.model_name
            and measured.model_version = drawn_intervals.model_version
            and measured.origin = drawn_intervals.origin
            and measured.scorer_name = drawn_intervals.scorer_name
            and measured.group_name = drawn_intervals.group_name
            and measured.group_value = drawn_intervals.group_value
            and measured.metric_name = drawn_intervals.metric_name

)

select * from backtest_metrics
