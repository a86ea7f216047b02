{% set segmentation = coterie.settings('segmentation') %}

with

active_customers as (

    select
        customer_features.customer_id,
        {%- for feature in segmentation.features %}
        cast(customer_features.{{ adapter.quote(feature) }} as double)
            as {{ adapter.quote(feature) }},
        {%- endfor %}
        customers.sample_position

    from {{ ref('int_coterie__customer_features') }} as customer_features

    inner join {{ ref('int_coterie__customers') }} as customers
        on customer_features.customer_id = customers.customer_id

    where
        customer_features.is_scoring_date
        and customer_features.order_count_lookback > 0

),

sample as (

    select
        1000000.0 * {{ segmentation.sample_customer_limit | int }} / greatest(count(*), 1)
            as position_limit

    from active_customers

),

segmentation_sample as (

    select
        {%- for feature in segmentation.features %}
        active_customers.{{ adapter.quote(feature) }},
        {%- endfor %}
        active_customers.customer_id

    from active_customers

    cross join sample

    where active_customers.sample_position < sample.position_limit

)

select * from segmentation_sample
