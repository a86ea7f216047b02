{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['happened_on'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}

with

{% if is_incremental() %}

days_to_read as (

    {{ coterie.days_to_read('events') }}

),

recent_events as (

    select * from {{ ref('stg_coterie__events') }}
    where {{ coterie.is_read_again('occurred_at') }}

    union all

    select * from {{ ref('stg_coterie__events') }}
    where occurred_at is null

),

recent_ids as (

    select
        input_rows.event_id,
        min(
            case when {{ coterie.broken_rule('events') }} is null then input_rows.occurred_at end
        ) as occurred_at,
        count(*) as event_count

    from recent_events as input_rows

    group by input_rows.event_id

),

ids_of_other_days as (

    -- Few: each is looked at as a whole only then. Here the ids alone are read, of all days.
    select input_rows.event_id

    from {{ ref('stg_coterie__events') }} as input_rows

    inner join recent_ids
        on input_rows.event_id = recent_ids.event_id

    group by
        input_rows.event_id,
        recent_ids.event_count

    having count(*) > recent_ids.event_count

),

older_sound_ids as (

    -- The first row of an id stands, and it was read before.
    select distinct input_rows.event_id

    from {{ ref('stg_coterie__events') }} as input_rows

    inner join ids_of_other_days
        on input_rows.event_id = ids_of_other_days.event_id

    inner join recent_ids
        on ids_of_other_days.event_id = recent_ids.event_id

    where
        input_rows.occurred_at < recent_ids.occurred_at
        and {{ coterie.broken_rule('events') }} is null

),

{% endif %}

events as (

    select
        cast(input_rows.occurred_at as date) as happened_on,
        coalesce(input_rows.customer_id, input_rows.anonymous_id) as visitor_id,
        input_rows.customer_id is null as is_anonymous,
        -- Where the tracker keeps no sessions, a visitor's day is one. Sessions of one day are told
        -- apart by hashes, which are far lighter than ids; a day's rows are always read together.
        {{ coterie.row_hash(["coalesce(input_rows.session_id, '')"]) }} as session_hash,
        {% if is_incremental() %}
        coalesce(
            input_rows.rejection_rule,
            case when older_sound_ids.event_id is not null then 'duplicate' end
        ) as rejection_rule,
        {% else %}
        input_rows.rejection_rule,
        {% endif %}
        input_rows.event_id,
        case lower(trim(input_rows.event_type))
            {% for kind, words in coterie.event_types().items() %}
            {% for word in words %}
            when {{ coterie.quoted(word) }} then '{{ kind }}'
            {% endfor %}
            {% endfor %}
            else 'other'
        end as event_kind

    from {{ coterie.checked_rows(
        'events', 'recent_events' if is_incremental() else ref('stg_coterie__events'),
        coterie.held_columns('events')
    ) }} as input_rows

    {% if is_incremental() %}
    left join older_sound_ids
        on input_rows.event_id = older_sound_ids.event_id
    {% endif %}

),

sessions as (

    -- Kept by session and day, which is all that is asked of events: a third of their rows.
    select
        happened_on,
        visitor_id,
        is_anonymous,
        session_hash,
        rejection_rule,
        case when rejection_rule is not null then event_id end as rejected_event_id,
        cast(count(*) as integer) as event_count,
        cast(count(case when event_kind = 'view' then 1 end) as integer) as view_count,
        cast(count(case when event_kind = 'search' then 1 end) as integer) as search_count,
        cast(count(case when event_kind = 'cart' then 1 end) as integer) as cart_count,
        cast(count(case when event_kind = 'checkout' then 1 end) as integer) as checkout_count

    from events

    group by
        happened_on,
        visitor_id,
        is_anonymous,
        session_hash,
        rejection_rule,
        case when rejection_rule is not null then event_id end
    {%- if is_incremental() %}

    union all

    -- The days that give way to these rows, each as a mark for the strategy.
    select
        marks.day_on as happened_on,
        cast(null as {{ coterie.staged_type('id') }}) as visitor_id,
        cast(null as {{ coterie.staged_type('boolean') }}) as is_anonymous,
        {{ coterie.row_hash(["''"]) }} as session_hash,
        '{{ coterie.day_mark() }}' as rejection_rule,
        cast(null as {{ coterie.staged_type('id') }}) as rejected_event_id,
        0 as event_count,
        0 as view_count,
        0 as search_count,
        0 as cart_count,
        0 as checkout_count

    from {{ coterie.marked_days('day_on', 'days_to_read') }} as marks
    {%- endif %}

),

checked as (

    select
        *,
        {{ coterie.input_settings_hash('int_coterie__checked_events') }} as input_settings_hash

    from sessions

)

select * from checked
