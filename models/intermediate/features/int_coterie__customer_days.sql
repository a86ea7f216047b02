{{ config(materialized='view') }}

{% set inputs = {
    'int_coterie__customer_order_days': coterie.order_day_columns(),
    'int_coterie__customer_event_days': coterie.event_day_columns(),
    'int_coterie__customer_message_days': coterie.message_day_columns()
} %}

with

told_days as (

    -- Not joined, so that a reader who asks for one customer or day looks at no other.
    {% for model, told_columns in inputs.items() %}
    {{ 'union all' if not loop.first }}
    select
        customer_id,
        happened_on,
        {%- for name in coterie.customer_day_columns() %}
        {{ name if name in told_columns else 0 }} as {{ name }},
        {%- endfor %}
        known_on

    from {{ ref(model) }}

    {% endfor %}
),

customer_days as (

    select
        customer_id,
        happened_on,
        {%- for name, type in coterie.customer_day_columns().items() %}
        cast(sum({{ name }}) as {{ type }}) as {{ name }},
        {%- endfor %}
        known_on

    from told_days

    group by customer_id, happened_on, known_on

)

select * from customer_days
