{# No two rows share the values of these columns; NULLs count as equal. #}
{% test is_unique_by(model, columns) %}

with

repeated as (

    select
        {{ columns | join(", ") }},
        count(*) as row_count

    from {{ model }}

    group by {{ columns | join(", ") }}

    having count(*) > 1

)

select * from repeated

{% endtest %}
