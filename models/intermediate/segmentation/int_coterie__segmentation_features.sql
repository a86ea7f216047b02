{% set features = coterie.segmentation_features() %}
{% set numbers = features.items() | selectattr(1, 'equalto', 'number') | map('first') | list %}
{% set interests = features.items() | selectattr(1, 'equalto', 'interest') | map('first') | list %}
{% set categories = features.items() | selectattr(1, 'equalto', 'category') | map('first') | list %}

with

active_customers as (

    select * from {{ ref('int_coterie__customer_features') }}

    where
        is_scoring_date
        and order_count_lookback > 0

),

{% if numbers %}

means as (

    -- Decimals add up alike in any order.
    select
        {%- for number in numbers %}
        coalesce(avg(cast({{ adapter.quote(number) }} as decimal(18, 6))), 0)
            as {{ adapter.quote(number) }},
        {%- endfor %}
        count(*) as customer_count

    from active_customers

),

{% endif %}

{% if interests %}

customer_interests as (

    select * from {{ ref('int_coterie__customer_interest_segments') }}

),

{% endif %}

{% if categories %}

customer_groups as (

    select
        {%- for category in categories %}
        max(case when attribute_name = {{ coterie.quoted(category) }} then group_code end)
            as {{ adapter.quote(category) }},
        {%- endfor %}
        customer_id

    from {{ ref('int_coterie__customer_groups') }}

    group by customer_id

),

{% endif %}

segmentation_features as (

    select
        {%- for feature, kind in features.items() %}
        {%- set column = adapter.quote(feature) %}
        {%- if kind == 'number' %}
        cast(coalesce(active_customers.{{ column }}, means.{{ column }}) as double) as {{ column }},
        {%- elif kind == 'interest' %}
        coalesce(cast(customer_interests.{{ column }} as double), 0) as {{ column }},
        {%- else %}
        coalesce(cast(customer_groups.{{ column }} as string), 'unknown') as {{ column }},
        {%- endif %}
        {%- endfor %}
        active_customers.as_of_date,
        active_customers.customer_id,
        customers.sample_position

    from active_customers

    inner join {{ ref('int_coterie__customers') }} as customers
        on active_customers.customer_id = customers.customer_id

    {{ 'cross join means' if numbers }}

    {% if interests %}
    left join customer_interests
        on active_customers.customer_id = customer_interests.customer_id
    {% endif %}

    {% if categories %}
    left join customer_groups
        on active_customers.customer_id = customer_groups.customer_id
    {% endif %}

)

select * from segmentation_features
