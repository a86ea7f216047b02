{#
    Every condition holds in every row: one read of a wide table instead of one for each column.
    A condition that is NULL claims nothing, as in a CHECK constraint.
#}
{% test satisfies(model, conditions) %}

with

checked as (

    select
        case
            {%- for condition in conditions %}
            when not ({{ condition }}) then {{ coterie.quoted(condition) }}
            {%- endfor %}
        end as broken_condition

    from {{ model }}

),

broken as (

    select
        broken_condition,
        count(*) as row_count

    from checked

    where broken_condition is not null

    group by broken_condition

)

select * from broken

{% endtest %}
