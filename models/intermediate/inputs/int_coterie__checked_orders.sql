{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['ordered_at'],
    unique_key='order_id',
    on_schema_change='fail'
) }}

{% set is_date_given = coterie.given_as_of_date() is not none %}

with

{% if is_incremental() %}

days_to_read as (

    {{ coterie.days_to_read('orders') }}

),

rows_read_again as (

    select * from {{ coterie.rows_read_again('orders') }} as input_rows

),

{% endif %}

order_days as (

    select * from {{ ref('int_coterie__order_days') }}

),

checked_rows as (

    select *
    from {{ coterie.checked_rows(
        'orders', 'rows_read_again' if is_incremental() else ref('stg_coterie__orders')
    ) }} as input_rows

),

checked as (

    select
        {%- for column in coterie.input_columns('orders') %}
        checked_rows.{{ column }},
        {%- endfor %}
        {% if is_date_given %}
        -- Orders far ahead cannot move a given date: there they stay.
        checked_rows.rejection_rule,
        {% else %}
        coalesce(
            checked_rows.rejection_rule,
            case when order_days.is_far_ahead then 'future_dated' end
        ) as rejection_rule,
        {% endif %}
        {{ coterie.input_settings_hash('int_coterie__checked_orders') }} as input_settings_hash

    from checked_rows

    left join order_days
        on cast(checked_rows.ordered_at as date) = order_days.ordered_on

)

select * from checked
{% if is_incremental() %}

union all

{{ coterie.marks_of_days('int_coterie__checked_orders', 'ordered_at', coterie.staged_column_types('orders')) }}
{% endif %}
