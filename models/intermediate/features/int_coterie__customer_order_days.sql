{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['happened_on', 'customer_days'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}
-- depends_on: {{ ref('int_coterie__checked_order_lines') }}

{# A first build takes all days. #}
{% set is_order_day = 'true' %}
{% if is_incremental() %}
    {% set is_order_day = 'ordered_on in (select days_to_tell.happened_on from days_to_tell)' %}
{% endif %}

with

{% if is_incremental() %}

days_to_tell as (

    {{ coterie.days_to_tell('orders') }}

),

{% endif %}

orders as (

    select
        order_id,
        customer_id,
        ordered_on,
        extract(hour from ordered_at) as ordered_hour,
        order_amount,
        discount_amount,
        coupon_code is not null as has_coupon,
        is_test,
        least(refund_amount, order_amount) as refund_amount,
        -- What became known of an order did so on its own day at the earliest.
        case
            when refund_amount > 0 then greatest(cast(refunded_at as date), ordered_on)
        end as refunded_on,
        case
            when has_invalid_status then greatest(cast(status_changed_at as date), ordered_on)
        end as cancelled_on

    from {{ ref('int_coterie__orders') }}

    where
        customer_id is not null
        and {{ is_order_day }}

),

order_items as (

    select
        order_lines.order_id,
        sum(order_lines.quantity) as item_count,
        count(*) as line_count

    from {{ ref('int_coterie__order_lines') }} as order_lines

    {% if is_incremental() %}
    where order_lines.order_id in (select orders.order_id from orders)
    {% endif %}

    group by order_lines.order_id

),

order_steps as (

    select 'placed' as step_name
    union all
    select 'refunded' as step_name
    union all
    select 'cancelled' as step_name

),

known_orders as (

    -- One row per order and day on which something became known of it.
    select
        orders.*,
        order_items.item_count,
        order_items.line_count,
        order_items.order_id is not null as has_lines,
        case order_steps.step_name
            when 'placed' then orders.ordered_on
            when 'refunded' then orders.refunded_on
            when 'cancelled' then orders.cancelled_on
        end as known_on,
        order_steps.step_name = 'placed' as is_new

    from orders

    cross join order_steps

    left join order_items
        on orders.order_id = order_items.order_id

    where
        order_steps.step_name = 'placed'
        or (order_steps.step_name = 'refunded' and orders.refunded_on > orders.ordered_on)
        or (
            order_steps.step_name = 'cancelled'
            and orders.cancelled_on > orders.ordered_on
            and orders.cancelled_on is distinct from orders.refunded_on
        )

),

order_states as (

    -- Kept: for money and not cancelled. Valid: of positive net amount as well.
    select
        *,
        not is_new and not is_test and coalesce(cancelled_on < known_on, false)
            as was_cancelled,
        not is_test and coalesce(cancelled_on <= known_on, false) as is_cancelled,
        not is_new
        and not is_test
        and order_amount > 0
        and coalesce(cancelled_on >= known_on, true) as was_kept,
        not is_test and order_amount > 0 and coalesce(cancelled_on > known_on, true) as is_kept,
        case when refunded_on < known_on then refund_amount else 0 end as old_refund_amount,
        case when refunded_on <= known_on then refund_amount else 0 end as new_refund_amount

    from known_orders

),

order_changes as (

    select
        *,
        case when is_kept then 1 else 0 end - case when was_kept then 1 else 0 end as kept_change,
        case when is_kept and order_amount > new_refund_amount then 1 else 0 end
        - case when was_kept and order_amount > old_refund_amount then 1 else 0 end
            as valid_change,
        case when is_kept then new_refund_amount else 0 end
        - case when was_kept then old_refund_amount else 0 end as refund_change

    from order_states

),

order_rows as (

    select
        customer_id,
        ordered_on as happened_on,
        known_on,
        case when is_new and not is_test then 1 else 0 end as placed_order_count,
        case when is_cancelled then 1 else 0 end - case when was_cancelled then 1 else 0 end
            as cancelled_order_count,
        valid_change as order_count,
        kept_change * order_amount - refund_change as net_amount,
        refund_change as refund_amount,
        kept_change * discount_amount as discount_amount,
        case when has_coupon then valid_change else 0 end as coupon_order_count,
        case when ordered_hour between 5 and 11 then valid_change else 0 end
            as morning_order_count,
        case when ordered_hour >= 18 then valid_change else 0 end as evening_order_count,
        case when has_lines then valid_change else 0 end as lined_order_count,
        case when is_new and not is_test then line_count else 0 end as line_count,
        case when has_lines then valid_change * item_count else 0 end as item_count

    from order_changes

),

hashed_keys as (

    select {{ coterie.row_hash(['customer_id', 'happened_on', 'known_on']) }} as key_hash

    from order_rows

),

shared_keys as (

    -- Nearly every order is alone on its customer's day, and to group them all would be most of the
    -- work. Only what shares its hash with another is grouped: days that are alike always do.
    {{ coterie.repeated_values('hashed_keys', 'key_hash') | trim }}

),

order_days as (

    select
        customer_id,
        happened_on,
        {%- for name in coterie.order_day_columns() %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        known_on

    from order_rows

    where
        {{ coterie.row_hash(['customer_id', 'happened_on', 'known_on']) }}
        in (select shared_keys.key_hash from shared_keys)

    group by customer_id, happened_on, known_on

    union all

    select
        customer_id,
        happened_on,
        {%- for name in coterie.order_day_columns() %}
        {{ name }},
        {%- endfor %}
        known_on

    from order_rows

    where
        {{ coterie.row_hash(['customer_id', 'happened_on', 'known_on']) }}
        not in (select shared_keys.key_hash from shared_keys)

),

customer_order_days as (

    select
        customer_id,
        happened_on,
        known_on,
        {%- for name, type in coterie.order_day_columns().items() %}
        cast(coalesce({{ name }}, 0) as {{ type }}) as {{ name }},
        {%- endfor %}
        {{ coterie.input_settings_hash('int_coterie__customer_order_days') }} as input_settings_hash

    from order_days

)

select * from customer_order_days
{% if is_incremental() %}

union all

{{ coterie.marks_of_customer_days('int_coterie__customer_order_days', coterie.order_day_columns()) }}
{% endif %}
