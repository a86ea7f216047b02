{% set features = coterie.propensity_features() %}
{% set horizons = coterie.value_horizons() %}

with

value_outcomes as (

    select * from {{ ref('int_coterie__value_outcomes') }}
    where
        not is_scoring_date
        and order_day_count > 0

),

customer_features as (

    select * from {{ ref('int_coterie__customer_features') }}
    where not is_scoring_date

),

purchase_histories as (

    select * from {{ ref('int_coterie__purchase_histories') }}
    where not is_scoring_date

),

customer_nbd as (

    select * from {{ ref('int_coterie__customer_nbd') }}
    where not is_scoring_date

),

customer_rfm as (

    select
        as_of_date,
        customer_id,
        rfm_segment_code

    from {{ ref('int_coterie__customer_rfm') }}

),

cohort_values as (

    select
        {%- for horizon in horizons %}
        max(case when horizon_days = {{ horizon }} then mean_amount end)
            as cohort_amount_{{ horizon }}d,
        {%- endfor %}
        as_of_date,
        cohort

    from {{ ref('int_coterie__cohort_values') }}

    group by
        as_of_date,
        cohort

),

value_training_rows as (

    select
        value_outcomes.as_of_date,
        value_outcomes.customer_id,
        value_outcomes.cohort,
        customer_rfm.rfm_segment_code,
        purchase_histories.repeat_count,
        purchase_histories.recency_days,
        purchase_histories.age_days,
        {%- for feature in features %}
        cast({{ coterie.feature_column(feature) }} as double) as {{ adapter.quote(feature) }},
        {%- endfor %}
        {%- for horizon in horizons %}
        cast(value_outcomes.amount_{{ horizon }}d as double) as amount_{{ horizon }}d,
        cast(value_outcomes.past_amount_{{ horizon }}d as double) as past_amount_{{ horizon }}d,
        cohort_values.cohort_amount_{{ horizon }}d,
        {%- endfor %}
        purchase_histories.avg_repeat_net_amount as mean_spend

    from value_outcomes

    inner join customer_features
        on
            value_outcomes.as_of_date = customer_features.as_of_date
            and value_outcomes.customer_id = customer_features.customer_id

    inner join purchase_histories
        on
            value_outcomes.as_of_date = purchase_histories.as_of_date
            and value_outcomes.customer_id = purchase_histories.customer_id

    left join customer_rfm
        on
            value_outcomes.as_of_date = customer_rfm.as_of_date
            and value_outcomes.customer_id = customer_rfm.customer_id

    left join customer_nbd
        on
            value_outcomes.as_of_date = customer_nbd.as_of_date
            and value_outcomes.customer_id = customer_nbd.customer_id

    left join cohort_values
        on
            value_outcomes.as_of_date = cohort_values.as_of_date
            and value_outcomes.cohort = cohort_values.cohort

)

select * from value_training_rows
