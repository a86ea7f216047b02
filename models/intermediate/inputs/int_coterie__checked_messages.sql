with

messages as (

    select * from {{ ref('stg_coterie__messages') }}

),

ruled as (

    select
        {%- for column in coterie.input_columns('messages') %}
        {{ column }},
        {%- endfor %}
        case
            when message_id is null then 'missing_message_id'
            when customer_id is null then 'missing_customer_id'
            when sent_at is null then 'missing_sent_at'
            when {{ coterie.is_impossible_time('sent_at') }} then 'impossible_sent_at'
        end as broken_rule

    from messages

),

numbered as (

    -- Broken rows are numbered apart: they must not hide a good row of the same key.
    select
        {%- for column in coterie.input_columns('messages') %}
        {{ column }},
        {%- endfor %}
        broken_rule,
        row_number() over (
            partition by message_id, broken_rule
            order by {{ coterie.newest_first('messages', 'sent_at') }}
        ) as row_number_of_key

    from ruled

),

checked as (

    select
        {%- for column in coterie.input_columns('messages') %}
        {{ column }},
        {%- endfor %}
        coalesce(broken_rule, case when row_number_of_key > 1 then 'duplicate' end)
            as rejection_rule

    from numbered

)

select * from checked
