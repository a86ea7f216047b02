-- depends_on: {{ ref('coterie__customers') }}
{% set audiences = coterie.audiences() %}
{% set aliases = coterie.audience_relations(audiences) %}
{% if coterie.is_topic_enabled('propensity') %}
-- depends_on: {{ ref('coterie__customer_predictions') }}
{% endif %}
{% if coterie.is_topic_enabled('lifetime_value') %}
-- depends_on: {{ ref('coterie__customer_lifetime_values') }}
{% endif %}
{% if coterie.has_segmentations() %}
-- depends_on: {{ ref('coterie__customer_segment_memberships') }}
{% endif %}

with

customers as (

    select * from {{ ref('coterie__customers') }}

),

{% for key, alias in aliases.items() if alias != 'customers' %}
{{ alias }} as (

    {% if key.startswith('predictions:') %}
    select * from {{ ref('coterie__customer_predictions') }}
    where prediction_name = {{ coterie.quoted(key.split(':')[1]) }}
    {% elif key.startswith('memberships:') %}
    select * from {{ ref('coterie__customer_segment_memberships') }}
    where segmentation_name = {{ coterie.quoted(key.split(':')[1]) }}
    {% else %}
    select * from {{ ref('coterie__customer_lifetime_values') }}
    {% endif %}

),

{% endfor %}
{% for audience in audiences %}
customers_{{ loop.index }} as (

    select
        {{ coterie.quoted(audience.code) }} as audience_code,
        customers.customer_id,
        (
            {{ coterie.conditions_sql(audience.conditions, aliases) }}
        ) as is_entering,
        (
            {{ coterie.conditions_sql(audience.stay_conditions, aliases) }}
        ) as is_staying

    from customers

    {% for alias in aliases.values() if alias != 'customers' %}
    left join {{ alias }}
        on customers.customer_id = {{ alias }}.customer_id

    {% endfor %}
),

{% endfor %}
candidates as (

    {% for audience in audiences %}
    select
        audience_code,
        customer_id,
        is_entering,
        is_entering or is_staying as is_staying

    from customers_{{ loop.index }}

    where is_entering or is_staying

    union all

    {% endfor %}
    select
        cast(null as string) as audience_code,
        cast(null as string) as customer_id,
        false as is_entering,
        false as is_staying

    where false

)

select * from candidates
