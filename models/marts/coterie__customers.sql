{% set has_rfm = coterie.is_topic_enabled('rfm') %}
{% set has_segmentation = coterie.is_topic_enabled('segmentation') %}
{% set has_propensity = coterie.is_topic_enabled('propensity') %}
{% set has_values = coterie.is_topic_enabled('lifetime_value') %}

with

customer_features as (

    select * from {{ ref('int_coterie__customer_features') }}
    where is_scoring_date

),

{% if has_rfm %}

customer_rfm as (

    select * from {{ ref('int_coterie__customer_rfm') }}
    where is_scoring_date

),

{% endif %}

{% if has_segmentation %}

customer_segments as (

    select * from {{ ref('int_coterie__customer_segments') }}

),

{% endif %}

{% if has_propensity %}

purchase_predictions as (

    select * from {{ ref('coterie__customer_predictions') }}
    where prediction_name = 'purchase_30d'

),

churn_predictions as (

    select * from {{ ref('coterie__customer_predictions') }}
    where prediction_name = 'churn_90d'

),

{% endif %}

{% if has_values %}

lifetime_values as (

    select * from {{ ref('coterie__customer_lifetime_values') }}

),

{% endif %}

customers as (

    select
        customer_features.customer_id,
        customer_features.as_of_date,
        customer_features.first_ordered_at,
        customer_features.last_ordered_at,
        customer_features.days_since_last_order,
        customer_features.order_count,
        customer_features.net_amount,
        customer_features.avg_net_amount,
        customer_features.order_count_365d,
        customer_features.net_amount_365d,
        {% if has_rfm %}
        customer_rfm.recency_score,
        customer_rfm.frequency_score,
        customer_rfm.monetary_score,
        customer_rfm.lifetime_frequency_score,
        customer_rfm.lifetime_monetary_score,
        customer_rfm.monetary_tier,
        customer_rfm.rfm_segment_code,
        customer_rfm.rfm_reason,
        {% else %}
        null as recency_score,
        null as frequency_score,
        null as monetary_score,
        null as lifetime_frequency_score,
        null as lifetime_monetary_score,
        null as monetary_tier,
        null as rfm_segment_code,
        null as rfm_reason,
        {% endif %}
        {% if has_segmentation %}
        customer_segments.segment_code,
        customer_segments.segment_name,
        {% else %}
        null as segment_code,
        null as segment_name,
        {% endif %}
        {% if has_propensity %}
        purchase_predictions.probability as purchase_probability_30d,
        churn_predictions.probability as churn_probability_90d,
        coalesce(purchase_predictions.score_status, 'disabled') as purchase_score_status_30d,
        coalesce(churn_predictions.score_status, 'disabled') as churn_score_status_90d,
        {% else %}
        null as purchase_probability_30d,
        null as churn_probability_90d,
        'disabled' as purchase_score_status_30d,
        'disabled' as churn_score_status_90d,
        {% endif %}
        {% if has_values %}
        lifetime_values.predicted_value_365d,
        coalesce(lifetime_values.value_status, 'disabled') as value_status
        {% else %}
        null as predicted_value_365d,
        'disabled' as value_status
        {% endif %}

    from customer_features

    {% if has_rfm %}
    left join customer_rfm
        on customer_features.customer_id = customer_rfm.customer_id
    {% endif %}

    {% if has_segmentation %}
    left join customer_segments
        on customer_features.customer_id = customer_segments.customer_id
    {% endif %}

    {% if has_propensity %}
    left join purchase_predictions
        on customer_features.customer_id = purchase_predictions.customer_id

    left join churn_predictions
        on customer_features.customer_id = churn_predictions.customer_id
    {% endif %}

    {% if has_values %}
    left join lifetime_values
        on customer_features.customer_id = lifetime_values.customer_id
    {% endif %}

)

select
    cast(customer_id as string) as customer_id,
    as_of_date,
    first_ordered_at,
    last_ordered_at,
    cast(days_since_last_order as bigint) as days_since_last_order,
    order_count,
    net_amount,
    cast(avg_net_amount as decimal(18, 2)) as avg_net_amount,
    order_count_365d,
    net_amount_365d,
    cast(recency_score as bigint) as recency_score,
    cast(frequency_score as bigint) as frequency_score,
    cast(monetary_score as bigint) as monetary_score,
    cast(lifetime_frequency_score as bigint) as lifetime_frequency_score,
    cast(lifetime_monetary_score as bigint) as lifetime_monetary_score,
    cast(monetary_tier as string) as monetary_tier,
    cast(rfm_segment_code as string) as rfm_segment_code,
    cast(rfm_reason as string) as rfm_reason,
    cast(segment_code as string) as segment_code,
    cast(segment_name as string) as segment_name,
    cast(purchase_probability_30d as double) as purchase_probability_30d,
    cast(churn_probability_90d as double) as churn_probability_90d,
    cast(predicted_value_365d as decimal(18, 2)) as predicted_value_365d,
    cast(purchase_score_status_30d as string) as purchase_score_status_30d,
    cast(churn_score_status_90d as string) as churn_score_status_90d,
    cast(value_status as string) as value_status

from customers
