{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

scored as (

    select
        prediction_name,
        customer_id,
        probability,
        percentile,
        lag(probability) over (
            partition by prediction_name
            order by probability, percentile, customer_id
        ) as lower_probability,
        lag(percentile) over (
            partition by prediction_name
            order by probability, percentile, customer_id
        ) as lower_percentile

    from {{ ref('coterie', 'coterie__customer_predictions') }}

    where score_status = 'scored'

)

select * from scored
where
    percentile < lower_percentile
    or (probability = lower_probability and percentile != lower_percentile)
