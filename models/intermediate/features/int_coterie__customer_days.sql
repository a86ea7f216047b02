{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['happened_on', 'customer_days'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}
-- depends_on: {{ ref('int_coterie__checked_order_lines') }}

{# A first build takes all days. #}
{% set is_event_day, is_order_day, is_message_day = 'true', 'true', 'true' %}
{% if is_incremental() %}
    {% set days = '(select days_to_tell.happened_on from days_to_tell)' %}
    {% set is_event_day = 'checked_events.happened_on in ' ~ days %}
    {% set is_order_day = 'ordered_on in ' ~ days %}
    {% set is_message_day = 'cast(sent_at as date) in ' ~ days %}
{% endif %}

with

{% if is_incremental() %}

days_to_tell as (

    {{ coterie.days_to_tell() }}

),

{% endif %}

visits as (

    -- The events of an anonymous visitor count for the customer from the day of linking.
    select
        checked_events.happened_on,
        checked_events.session_id,
        checked_events.event_count,
        checked_events.view_count,
        checked_events.search_count,
        checked_events.cart_count,
        checked_events.checkout_count,
        case
            when checked_events.is_anonymous then identities.customer_id
            else checked_events.visitor_id
        end as customer_id,
        case
            when checked_events.is_anonymous
                then greatest(checked_events.happened_on, cast(identities.linked_at as date))
            else checked_events.happened_on
        end as known_on

    from {{ ref('int_coterie__checked_events') }} as checked_events

    left join {{ ref('int_coterie__identities') }} as identities
        on
            checked_events.is_anonymous
            and checked_events.visitor_id = identities.anonymous_id

    where
        checked_events.rejection_rule is null
        and {{ is_event_day }}

),

sessions as (

    -- Whoever logs in on the way, or comes back on another device, is still in one session.
    select
        customer_id,
        happened_on,
        known_on,
        sum(event_count) as event_count,
        sum(view_count) as view_count,
        sum(search_count) as search_count,
        sum(cart_count) as cart_count,
        sum(checkout_count) as checkout_count

    from visits

    where customer_id is not null

    group by customer_id, happened_on, known_on, session_id

),

event_days as (

    select
        customer_id,
        happened_on,
        known_on,
        count(*) as session_count,
        count(case when event_count >= 2 or cart_count > 0 then 1 end) as engaged_session_count,
        sum(event_count) as event_count,
        sum(view_count) as view_count,
        sum(search_count) as search_count,
        sum(cart_count) as cart_count,
        sum(checkout_count) as checkout_count

    from sessions

    group by customer_id, happened_on, known_on

),

orders as (

    select
        order_id,
        customer_id,
        ordered_on,
        extract(hour from ordered_at) as ordered_hour,
        order_amount,
        discount_amount,
        coupon_code,
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

order_days as (

    select
        customer_id,
        ordered_on as happened_on,
        known_on,
        sum(case when is_new and not is_test then 1 else 0 end) as placed_order_count,
        sum(
            case when is_cancelled then 1 else 0 end - case when was_cancelled then 1 else 0 end
        ) as cancelled_order_count,
        sum(valid_change) as order_count,
        sum(kept_change * order_amount - refund_change) as net_amount,
        sum(refund_change) as refund_amount,
        sum(kept_change * discount_amount) as discount_amount,
        sum(case when coupon_code is not null then valid_change else 0 end) as coupon_order_count,
        sum(case when ordered_hour between 5 and 11 then valid_change else 0 end)
            as morning_order_count,
        sum(case when ordered_hour >= 18 then valid_change else 0 end) as evening_order_count,
        sum(case when has_lines then valid_change else 0 end) as lined_order_count,
        sum(case when is_new and not is_test then line_count else 0 end) as line_count,
        sum(case when has_lines then valid_change * item_count else 0 end) as item_count

    from order_changes

    group by customer_id, ordered_on, known_on

),

message_steps as (

    select 'sent' as step_name
    union all
    select 'opened' as step_name
    union all
    select 'clicked' as step_name
    union all
    select 'unsubscribed' as step_name

),

messages as (

    select * from {{ ref('int_coterie__messages') }}

    where {{ is_message_day }}

),

known_messages as (

    -- An answer stands on the day of its message, and is known from its own day on.
    select
        messages.customer_id,
        message_steps.step_name,
        cast(messages.sent_at as date) as happened_on,
        cast(
            greatest(
                messages.sent_at,
                case message_steps.step_name
                    when 'opened' then messages.opened_at
                    when 'clicked' then messages.clicked_at
                    when 'unsubscribed' then messages.unsubscribed_at
                    else messages.sent_at
                end
            ) as date
        ) as known_on

    from messages

    cross join message_steps

    where
        message_steps.step_name = 'sent'
        or (message_steps.step_name = 'opened' and messages.opened_at is not null)
        or (message_steps.step_name = 'clicked' and messages.clicked_at is not null)
        or (message_steps.step_name = 'unsubscribed' and messages.unsubscribed_at is not null)

),

message_days as (

    select
        customer_id,
        happened_on,
        known_on,
        count(case when step_name = 'sent' then 1 end) as message_count,
        count(case when step_name = 'opened' then 1 end) as opened_message_count,
        count(case when step_name = 'clicked' then 1 end) as clicked_message_count,
        count(case when step_name = 'unsubscribed' then 1 end) as unsubscribed_message_count

    from known_messages

    group by customer_id, happened_on, known_on

),

order_and_event_days as (

    select
        {%- for name in coterie.order_day_columns() %}
        order_days.{{ name }},
        {%- endfor %}
        {%- for name in coterie.event_day_columns() %}
        event_days.{{ name }},
        {%- endfor %}
        coalesce(order_days.customer_id, event_days.customer_id) as customer_id,
        coalesce(order_days.happened_on, event_days.happened_on) as happened_on,
        coalesce(order_days.known_on, event_days.known_on) as known_on

    from event_days

    full join order_days
        on
            event_days.customer_id = order_days.customer_id
            and event_days.happened_on = order_days.happened_on
            and event_days.known_on = order_days.known_on

),

customer_days as (

    select
        coalesce(order_and_event_days.customer_id, message_days.customer_id) as customer_id,
        coalesce(order_and_event_days.happened_on, message_days.happened_on) as happened_on,
        coalesce(order_and_event_days.known_on, message_days.known_on) as known_on,
        {%- for name, type in coterie.customer_day_columns().items() %}
        cast(coalesce({{ name }}, 0) as {{ type }}) as {{ name }},
        {%- endfor %}
        {{ coterie.input_settings_hash() }} as input_settings_hash

    from order_and_event_days

    full join message_days
        on
            order_and_event_days.customer_id = message_days.customer_id
            and order_and_event_days.happened_on = message_days.happened_on
            and order_and_event_days.known_on = message_days.known_on

)

select * from customer_days
