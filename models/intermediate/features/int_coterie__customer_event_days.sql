{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['happened_on', 'customer_days'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}

{# A first build takes all days. #}
{% set is_event_day = 'true' %}
{% if is_incremental() %}
    {% set is_event_day = 'checked_events.happened_on in (select days_to_tell.happened_on from days_to_tell)' %}
{% endif %}

{% set is_engaged = '(event_count >= 2 or cart_count > 0)' %}

with

{% if is_incremental() %}

days_to_tell as (

    {{ coterie.days_to_tell('events') }}

),

{% endif %}

visits as (

    -- The events of an anonymous visitor count for the customer from the day of linking.
    select
        checked_events.happened_on,
        checked_events.session_hash,
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
        and (not checked_events.is_anonymous or identities.customer_id is not null)
        and {{ is_event_day }}

),

hashed_keys as (

    select {{ coterie.row_hash(['customer_id', 'happened_on', 'known_on']) }} as key_hash

    from visits

),

shared_keys as (

    -- Nearly every session is alone on its customer's day, and to group them all would be most of
    -- the work. Only what shares its hash with another is grouped: days that are alike always do.
    {{ coterie.repeated_values('hashed_keys', 'key_hash') | trim }}

),

shared_sessions as (

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

    where
        {{ coterie.row_hash(['customer_id', 'happened_on', 'known_on']) }}
        in (select shared_keys.key_hash from shared_keys)

    group by customer_id, happened_on, known_on, session_hash

),

event_days as (

    select
        customer_id,
        happened_on,
        known_on,
        count(*) as session_count,
        count(case when {{ is_engaged }} then 1 end) as engaged_session_count,
        sum(event_count) as event_count,
        sum(view_count) as view_count,
        sum(search_count) as search_count,
        sum(cart_count) as cart_count,
        sum(checkout_count) as checkout_count

    from shared_sessions

    group by customer_id, happened_on, known_on

    union all

    select
        customer_id,
        happened_on,
        known_on,
        1 as session_count,
        case when {{ is_engaged }} then 1 else 0 end as engaged_session_count,
        event_count,
        view_count,
        search_count,
        cart_count,
        checkout_count

    from visits

    where
        {{ coterie.row_hash(['customer_id', 'happened_on', 'known_on']) }}
        not in (select shared_keys.key_hash from shared_keys)

),

customer_event_days as (

    select
        customer_id,
        happened_on,
        known_on,
        {%- for name, type in coterie.event_day_columns().items() %}
        cast(coalesce({{ name }}, 0) as {{ type }}) as {{ name }},
        {%- endfor %}
        {{ coterie.input_settings_hash('int_coterie__customer_event_days') }} as input_settings_hash

    from event_days

)

select * from customer_event_days
{% if is_incremental() %}

union all

{{ coterie.marks_of_customer_days('int_coterie__customer_event_days', coterie.event_day_columns()) }}
{% endif %}
