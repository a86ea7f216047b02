with

identities as (

    select * from {{ ref('stg_coterie__identities') }}

),

ruled as (

    select
        {%- for column in coterie.input_columns('identities') %}
        {{ column }},
        {%- endfor %}
        case
            when anonymous_id is null then 'missing_anonymous_id'
            when customer_id is null then 'missing_customer_id'
            when linked_at is null then 'missing_linked_at'
            when {{ coterie.is_impossible_time('linked_at') }} then 'impossible_linked_at'
        end as broken_rule

    from identities

),

numbered as (

    -- Broken rows are numbered apart: they must not hide a good row of the same key.
    select
        {%- for column in coterie.input_columns('identities') %}
        {{ column }},
        {%- endfor %}
        broken_rule,
        row_number() over (
            partition by anonymous_id, customer_id, linked_at, broken_rule
            order by {{ coterie.newest_first('identities', 'linked_at') }}
        ) as row_number_of_key

    from ruled

),

checked as (

    select
        {%- for column in coterie.input_columns('identities') %}
        {{ column }},
        {%- endfor %}
        coalesce(broken_rule, case when row_number_of_key > 1 then 'duplicate' end)
            as rejection_rule

    from numbered

)

select * from checked
