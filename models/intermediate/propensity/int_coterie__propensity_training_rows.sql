{% set features = coterie.propensity_features() %}
{% set has_nbd = coterie.is_topic_enabled('lifetime_value') %}

with

outcomes as (

    select * from {{ ref('int_coterie__customer_outcomes') }}
    where
        outcome is not null
        and not is_scoring_date
        and is_eligible
        and prediction_name = model_name

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

{% if has_nbd %}

customer_nbd as (

    select * from {{ ref('int_coterie__customer_nbd') }}
    where not is_scoring_date

),

{% endif %}

training_rows as (

    select
        outcomes.model_name,
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.outcome,
        {%- for feature in features %}
        cast({{ coterie.feature_column(feature) }} as double) as {{ adapter.quote(feature) }},
        {%- endfor %}
        {% if has_nbd %}
        {{ coterie.nbd_purchase_probability(
            'customer_nbd.nbd_probability_alive', 'outcomes.horizon_days',
            'customer_nbd.rate_shape', 'customer_nbd.rate_weeks'
        ) }} as nbd_purchase_probability,
        {% else %}
        cast(null as double) as nbd_purchase_probability,
        {% endif %}
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

    {% if has_nbd %}
    left join customer_nbd
        on
            outcomes.as_of_date = customer_nbd.as_of_date
            and outcomes.customer_id = customer_nbd.customer_id
    {% endif %}

)

select * from training_rows
