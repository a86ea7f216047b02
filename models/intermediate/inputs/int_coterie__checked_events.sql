{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['happened_on'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}

with

{% if is_incremental() %}

rows_read_again as (

    select * from {{ coterie.rows_read_again('events', 'happened_on') }} as input_rows

),

{% endif %}

events as (

    select
        cast(input_rows.occurred_at as date) as happened_on,
        coalesce(input_rows.customer_id, input_rows.anonymous_id) as visitor_id,
        input_rows.customer_id is null as is_anonymous,
        -- Where the tracker keeps no sessions, a visitor's day is one.
        coalesce(input_rows.session_id, '') as session_id,
        input_rows.rejection_rule,
        case when input_rows.rejection_rule is not null then input_rows.event_id end
            as rejected_event_id,
        case
            {% for kind, words in coterie.event_types().items() %}
            when lower(trim(input_rows.event_type)) in {{ coterie.quoted_list(words) }} then '{{ kind }}'
            {% endfor %}
            else 'other'
        end as event_kind

    from {{ coterie.checked_rows(
        'events', 'rows_read_again' if is_incremental() else ref('stg_coterie__events')
    ) }} as input_rows

),

sessions as (

    -- Kept by session and day, which is all that is asked of events: a third of their rows.
    select
        happened_on,
        visitor_id,
        is_anonymous,
        session_id,
        rejection_rule,
        rejected_event_id,
        count(*) as event_count,
        count(case when event_kind = 'view' then 1 end) as view_count,
        count(case when event_kind = 'search' then 1 end) as search_count,
        count(case when event_kind = 'cart' then 1 end) as cart_count,
        count(case when event_kind = 'checkout' then 1 end) as checkout_count

    from events

    {% if is_incremental() %}
    -- An older row of a repeated id was read again only to tell which one stands.
    where
        happened_on is null
        or happened_on >= {{ coterie.read_from('happened_on') }}
    {% endif %}

    group by
        happened_on,
        visitor_id,
        is_anonymous,
        session_id,
        rejection_rule,
        rejected_event_id

),

checked as (

    select
        *,
        {{ coterie.input_settings_hash() }} as input_settings_hash

    from sessions

)

select * from checked
