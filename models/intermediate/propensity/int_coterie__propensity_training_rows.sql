{% set features = coterie.settings('propensity').features %}

with

outcomes as (

    select * from {{ ref('int_coterie__customer_outcomes') }}
    where
        outcome is not null
        and not is_scoring_date

),

customer_features as (

    select * from {{ ref('int_coterie__customer_features') }}
    where not is_scoring_date

),

customer_rfm as (

    select
        as_of_date,
        customer_id,
        rfm_cell

    from {{ ref('int_coterie__customer_rfm') }}

),

training_rows as (

    select
        outcomes.prediction_name as model_name,
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.outcome,
        {%- for feature in features %}
        cast(customer_features.{{ adapter.quote(feature) }} as double)
            as {{ adapter.quote(feature) }},
        {%- endfor %}
        customer_rfm.rfm_cell

    from outcomes

    inner join customer_features
        on
            outcomes.as_of_date = customer_features.as_of_date
            and outcomes.customer_id = customer_features.customer_id

    inner join customer_rfm
        on
            outcomes.as_of_date = customer_rfm.as_of_date
            and outcomes.customer_id = customer_rfm.customer_id

)

select * from training_rows
