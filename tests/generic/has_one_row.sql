{# The relation has exactly one row. #}
{% test has_one_row(model) %}

with

row_counts as (

    select count(*) as row_count from {{ model }}

),

wrong as (

    select row_count

    from row_counts

    where row_count != 1

)

select * from wrong

{% endtest %}
