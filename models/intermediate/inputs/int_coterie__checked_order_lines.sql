{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['ordered_at'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}

with

{% if is_incremental() %}

orders_read_before as (

    select order_id from {{ ref('int_coterie__orders') }}
    where {{ coterie.read_from('ordered_at') }} > ordered_at

),

{% endif %}

input_rows as (

    {% if is_incremental() %}
    -- Lines have no time of their own: those of orders that were read before are left out.
    select order_lines.*

    from {{ ref('stg_coterie__order_lines') }} as order_lines

    left join orders_read_before
        on order_lines.order_id = orders_read_before.order_id

    where orders_read_before.order_id is null
    {% else %}
    select * from {{ ref('stg_coterie__order_lines') }}
    {% endif %}

),

accepted_orders as (

    select
        order_id,
        ordered_at

    from {{ ref('int_coterie__orders') }}

    {% if is_incremental() %}
    where ordered_at >= {{ coterie.read_from('ordered_at') }}
    {% endif %}

),

checked as (

    select
        {%- for column in coterie.input_columns('order_lines') %}
        input_rows.{{ column }},
        {%- endfor %}
        accepted_orders.ordered_at,
        coalesce(
            {{ coterie.broken_rule('order_lines') }},
            case when accepted_orders.order_id is null then 'unknown_order' end
        ) as rejection_rule,
        {{ coterie.input_settings_hash() }} as input_settings_hash

    from input_rows

    left join accepted_orders
        on input_rows.order_id = accepted_orders.order_id

)

select * from checked
