with

customers as (

    select * from {{ ref('stg_coterie__customers') }}

),

ruled as (

    select
        {%- for column in coterie.input_columns('customers') %}
        {{ column }},
        {%- endfor %}
        case
            when customer_id is null then 'missing_customer_id'
        end as broken_rule

    from customers

),

numbered as (

    -- Broken rows are numbered apart: they must not hide a good row of the same key.
    select
        {%- for column in coterie.input_columns('customers') %}
        {{ column }},
        {%- endfor %}
        broken_rule,
        row_number() over (
            partition by customer_id, valid_from, broken_rule
            order by {{ coterie.newest_first('customers') }}
        ) as row_number_of_key

    from ruled

),

checked as (

    select
        {%- for column in coterie.input_columns('customers') %}
        {{ column }},
        {%- endfor %}
        coalesce(broken_rule, case when row_number_of_key > 1 then 'duplicate' end)
            as rejection_rule

    from numbered

)

select * from checked
