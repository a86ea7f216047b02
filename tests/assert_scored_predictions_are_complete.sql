{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

customer_predictions as (

    select * from {{ ref('coterie', 'coterie__customer_predictions') }}

)

-- A row is scored with all its parts, or has none of them.
select * from customer_predictions
where
    (probability is not null) != (score_status = 'scored')
    or (percentile is not null) != (score_status = 'scored')
    or (band is not null) != (score_status = 'scored')
    or (model_version is not null) != (score_status = 'scored')
    or (expires_on is not null) != (score_status = 'scored')
    or (reason_1_code is not null and score_status != 'scored')
    or percentile > 100
    or percentile < 1
    or expires_on <= as_of_date
