with

products as (

    select * from {{ ref('stg_coterie__products') }}

),

ruled as (

    select
        {%- for column in coterie.input_columns('products') %}
        {{ column }},
        {%- endfor %}
        case
            when product_id is null then 'missing_product_id'
        end as broken_rule

    from products

),

numbered as (

    -- Broken rows are numbered apart: they must not hide a good row of the same key.
    select
        {%- for column in coterie.input_columns('products') %}
        {{ column }},
        {%- endfor %}
        broken_rule,
        row_number() over (
            partition by product_id, broken_rule
            order by {{ coterie.newest_first('products', 'launched_at') }}
        ) as row_number_of_key

    from ruled

),

checked as (

    select
        {%- for column in coterie.input_columns('products') %}
        {{ column }},
        {%- endfor %}
        coalesce(broken_rule, case when row_number_of_key > 1 then 'duplicate' end)
            as rejection_rule

    from numbered

)

select * from checked
