{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

customer_predictions as (

    select
        customer_id,
        prediction_name,
        score_status = 'scored' as is_scored,
        score_status in ('cohort_rate', 'baseline_rate') as is_rate,
        score_status = 'baseline_rate' as is_baseline_rate,
        is_extrapolated,
        probability,
        percentile,
        band,
        reason_1_code,
        as_of_date,
        model_version,
        expires_on

    from {{ ref('coterie', 'coterie__customer_predictions') }}

)

-- A row is scored with all its parts, has the rate of its cohort or cell alone, or has nothing.
select * from customer_predictions
where
    (probability is not null) != (is_scored or is_rate)
    or (band is not null) != (is_scored or is_rate)
    or (expires_on is not null) != (is_scored or is_rate)
    or (percentile is not null) != is_scored
    or (model_version is not null) != (is_scored or is_baseline_rate)
    or (is_extrapolated is not null) != is_scored
    or (reason_1_code is not null and not is_scored)
    or percentile not between 1 and 100
    or expires_on <= as_of_date
