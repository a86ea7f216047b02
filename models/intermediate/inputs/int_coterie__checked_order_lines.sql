{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['ordered_at'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}

with

accepted_orders as (

    select
        order_id,
        ordered_at,
        customer_id is not null and not is_test as is_of_customer

    from {{ ref('int_coterie__orders') }}

),

{% if is_incremental() %}

-- Lines have no time of their own, but their orders have.
given_days as (

    select
        cast(accepted_orders.ordered_at as date) as day_on,
        count(*) as line_count

    from {{ ref('stg_coterie__order_lines') }} as order_lines

    inner join accepted_orders
        on order_lines.order_id = accepted_orders.order_id

    group by cast(accepted_orders.ordered_at as date)

),

held_days as (

    select
        cast(ordered_at as date) as day_on,
        count(*) as line_count

    from {{ this }}

    group by cast(ordered_at as date)

),

days_to_read as (

    select coalesce(given_days.day_on, held_days.day_on) as day_on

    from given_days

    full join held_days
        on given_days.day_on = held_days.day_on

    where
        given_days.line_count is distinct from held_days.line_count
        or given_days.day_on >= {{ coterie.newest_days_from() }}

),

orders_read_before as (

    select accepted_orders.order_id

    from accepted_orders

    left join days_to_read
        on cast(accepted_orders.ordered_at as date) = days_to_read.day_on

    where days_to_read.day_on is null

),

{% endif %}

input_rows as (

    {% if is_incremental() %}
    select order_lines.*

    from {{ ref('stg_coterie__order_lines') }} as order_lines

    left join orders_read_before
        on order_lines.order_id = orders_read_before.order_id

    where orders_read_before.order_id is null
    {% else %}
    select * from {{ ref('stg_coterie__order_lines') }}
    {% endif %}

),

checked as (

    select
        {%- for column in coterie.input_columns('order_lines') %}
        input_rows.{{ column }},
        {%- endfor %}
        accepted_orders.ordered_at,
        coalesce(accepted_orders.is_of_customer, false) as is_of_customer,
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
