{% set has_predictions = coterie.is_topic_enabled('propensity') %}
{% set has_interests = coterie.is_topic_enabled('interests') %}

with

customers as (

    select * from {{ ref('coterie__customers') }}

),

numbered_contacts as (

    -- The newest row, whatever the date: an old address would reach nobody, or somebody else.
    select
        customer_id,
        email,
        row_number() over (
            partition by customer_id
            order by valid_from desc nulls last
        ) as newest_rank

    from {{ ref('int_coterie__checked_customers') }}

    where rejection_rule is null

),

contacts as (

    select * from numbered_contacts
    where newest_rank = 1

),

value_ranks as (

    select
        customer_id,
        percent_rank() over (order by predicted_value_365d) as percent_rank

    from customers

    where predicted_value_365d is not null

),

{% if has_predictions %}

purchase_predictions as (

    select * from {{ ref('coterie__customer_predictions') }}
    where prediction_name = 'purchase_30d'

),

churn_predictions as (

    select * from {{ ref('coterie__customer_predictions') }}
    where prediction_name = 'churn_90d'

),

{% endif %}

{% if has_interests %}

top_interests as (

    select * from {{ ref('coterie__customer_interests') }}
    where interest_rank = 1

),

{% endif %}

payloads as (

    select
        customers.customer_id,
        customers.as_of_date,
        contacts.email,
        customers.segment_code,
        customers.segment_name,
        customers.rfm_segment_code,
        case
            when value_ranks.percent_rank < 0.2 then 'very_low'
            when value_ranks.percent_rank < 0.4 then 'low'
            when value_ranks.percent_rank < 0.6 then 'medium'
            when value_ranks.percent_rank < 0.8 then 'high'
            when value_ranks.percent_rank <= 1 then 'very_high'
        end as value_band,
        {% if has_predictions %}
        purchase_predictions.band as purchase_band,
        churn_predictions.band as churn_band,
        {% else %}
        cast(null as string) as purchase_band,
        cast(null as string) as churn_band,
        {% endif %}
        case
            when customers.order_count < 1 then '0'
            when customers.order_count < 2 then '1'
            when customers.order_count < 4 then '2 to 3'
            when customers.order_count < 10 then '4 to 9'
            else '10 or more'
        end as order_count_band,
        {% if has_interests %}
        top_interests.topic_name as top_interest,
        {% else %}
        cast(null as string) as top_interest,
        {% endif %}
        cast(customers.last_ordered_at as date) as last_ordered_on

    from customers

    left join contacts
        on customers.customer_id = contacts.customer_id

    left join value_ranks
        on customers.customer_id = value_ranks.customer_id

    {% if has_predictions %}
    left join purchase_predictions
        on customers.customer_id = purchase_predictions.customer_id

    left join churn_predictions
        on customers.customer_id = churn_predictions.customer_id
    {% endif %}

    {% if has_interests %}
    left join top_interests
        on customers.customer_id = top_interests.customer_id
    {% endif %}

)

select * from payloads
