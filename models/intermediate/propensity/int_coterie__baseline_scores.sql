{% set gates = coterie.settings('gates') %}

with

beaten_versions as (

    select
        model_name,
        model_version

    from {{ ref('int_coterie__propensity_versions') }}

    where
        is_newest
        and gate_status = 'worse_than_baseline'

),

metrics as (

    select
        model_name,
        model_version,
        scorer_name,
        max(case when metric_name = 'log_loss' then metric_value end) as log_loss,
        max(case when metric_name = 'excess_calibration_error' then metric_value end)
            as excess_calibration_error,
        max(case when metric_name = 'predicted_over_observed' then interval_lower end)
            as predicted_over_observed_lower,
        max(case when metric_name = 'predicted_over_observed' then interval_upper end)
            as predicted_over_observed_upper

    from {{ ref('int_coterie__backtest_metrics') }}

    where
        origin = 'pooled'
        and scorer_name in ('base_rate', 'rfm_cell')
        and group_name = 'all'

    group by model_name, model_version, scorer_name

),

calibrated_scorers as (

    select
        metrics.model_name,
        metrics.model_version,
        metrics.scorer_name,
        row_number() over (
            partition by metrics.model_version
            order by metrics.log_loss asc, metrics.scorer_name asc
        ) as place

    from metrics

    inner join beaten_versions
        on metrics.model_version = beaten_versions.model_version

    where {{ coterie.is_calibrated(gates) }}

),

rates as (

    select
        baseline_rates.model_name,
        baseline_rates.model_version,
        baseline_rates.scorer_name,
        baseline_rates.rfm_cell,
        baseline_rates.probability

    from {{ ref('int_coterie__baseline_rates') }} as baseline_rates

    inner join calibrated_scorers
        on
            baseline_rates.model_version = calibrated_scorers.model_version
            and baseline_rates.scorer_name = calibrated_scorers.scorer_name

    where calibrated_scorers.place = 1

),

candidates as (

    select
        customer_outcomes.as_of_date,
        customer_outcomes.customer_id,
        customer_outcomes.model_name,
        customer_rfm.rfm_cell

    from {{ ref('int_coterie__customer_outcomes') }} as customer_outcomes

    inner join {{ ref('int_coterie__customer_rfm') }} as customer_rfm
        on
            customer_outcomes.as_of_date = customer_rfm.as_of_date
            and customer_outcomes.customer_id = customer_rfm.customer_id

    where
        customer_outcomes.is_scoring_date
        and customer_outcomes.is_eligible
        and customer_outcomes.prediction_name = customer_outcomes.model_name

),

baseline_scores as (

    select
        candidates.as_of_date,
        candidates.customer_id,
        candidates.model_name,
        other_rates.model_version,
        other_rates.scorer_name,
        coalesce(cell_rates.probability, other_rates.probability) as probability

    from candidates

    inner join rates as other_rates
        on
            candidates.model_name = other_rates.model_name
            and other_rates.rfm_cell is null

    left join rates as cell_rates
        on
            candidates.model_name = cell_rates.model_name
            and candidates.rfm_cell = cell_rates.rfm_cell

)

select * from baseline_scores
