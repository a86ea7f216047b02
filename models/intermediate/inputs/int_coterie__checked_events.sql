with

events as (

    select * from {{ ref('stg_coterie__events') }}

),

ruled as (

    select
        {%- for column in coterie.input_columns('events') %}
        {{ column }},
        {%- endfor %}
        case
            when event_id is null then 'missing_event_id'
            when occurred_at is null then 'missing_occurred_at'
            when {{ coterie.is_impossible_time('occurred_at') }} then 'impossible_occurred_at'
            when event_type is null then 'missing_event_type'
            when customer_id is null and anonymous_id is null then 'missing_visitor'
        end as broken_rule

    from events

),

numbered as (

    -- Broken rows are numbered apart: they must not hide a good row of the same key.
    select
        {%- for column in coterie.input_columns('events') %}
        {{ column }},
        {%- endfor %}
        broken_rule,
        row_number() over (
            partition by event_id, broken_rule
            order by {{ coterie.newest_first('events', 'occurred_at') }}
        ) as row_number_of_key

    from ruled

),

checked as (

    select
        {%- for column in coterie.input_columns('events') %}
        {{ column }},
        {%- endfor %}
        coalesce(broken_rule, case when row_number_of_key > 1 then 'duplicate' end)
            as rejection_rule

    from numbered

)

select * from checked
