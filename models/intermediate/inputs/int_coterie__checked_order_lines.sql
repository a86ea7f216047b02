{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['ordered_at'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}

with

{% if is_incremental() %}

given_lines as (

    -- Lines have no time of their own, but their orders have. One pass counts the lines by it, and
    -- finds those of no accepted order, which are always read again. Whose an order is, if anybody's,
    -- may change, and its lines carry it.
    select
        cast(orders.ordered_at as date) as day_on,
        case when orders.order_id is null then coalesce(order_lines.order_id, '') end
            as unknown_order_id,
        count(*) as line_count,
        {{ coterie.hash_sum([
            'orders.order_id',
            'orders.ordered_at',
            'orders.customer_id is not null and not coalesce(orders.is_test, false)'
        ]) }} as orders_hash

    from {{ ref('stg_coterie__order_lines') }} as order_lines

    left join {{ ref('int_coterie__checked_orders') }} as orders
        on
            order_lines.order_id = orders.order_id
            and orders.rejection_rule is null

    group by
        cast(orders.ordered_at as date),
        case when orders.order_id is null then coalesce(order_lines.order_id, '') end

),

held_days as (

    select
        cast(ordered_at as date) as day_on,
        count(*) as line_count,
        {{ coterie.hash_sum(['order_id', 'ordered_at', 'is_of_customer']) }} as orders_hash

    from {{ this }}

    group by cast(ordered_at as date)

),

days_to_read as (

    select
        'ordered_at' as time_name,
        coalesce(given_lines.day_on, held_days.day_on) as day_on

    from given_lines

    full join held_days
        on given_lines.day_on = held_days.day_on

    where
        coalesce(given_lines.day_on, held_days.day_on) is not null
        and (
            given_lines.line_count is distinct from held_days.line_count
            or given_lines.orders_hash is distinct from held_days.orders_hash
            or given_lines.day_on >= {{ coterie.newest_days_from() }}
        )

),

{% endif %}

accepted_orders as (

    select
        order_id,
        ordered_at,
        customer_id is not null and not coalesce(is_test, false) as is_of_customer

    from {{ ref('int_coterie__checked_orders') }}

    where rejection_rule is null
    {% if is_incremental() %}
        and {{ coterie.is_read_again('ordered_at') }}
    {% endif %}

),

input_rows as (

    select * from {{ ref('stg_coterie__order_lines') }}
    {% if is_incremental() %}
    where
        coalesce(order_id, '') in (
            select accepted_orders.order_id from accepted_orders

            union all

            -- Without a condition, which engines would try on every line. No order has this id.
            select coalesce(given_lines.unknown_order_id, '') from given_lines
        )
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
        {{ coterie.input_settings_hash('int_coterie__checked_order_lines') }} as input_settings_hash

    from input_rows

    left join accepted_orders
        on input_rows.order_id = accepted_orders.order_id

)

select * from checked
{% if is_incremental() %}

union all

{{ coterie.marks_of_days('int_coterie__checked_order_lines', 'ordered_at', dict(
    coterie.staged_column_types('order_lines'), ordered_at='timestamp', is_of_customer='boolean'
)) }}
{% endif %}
