{# The relation has exactly one row. Under `--empty` a test sees none, and nothing is claimed. #}
{% test has_one_row(model) %}

with

row_counts as (

    select count(*) as row_count from {{ model }}

),

wrong as (

    select row_count

    from row_counts

    where
        row_count != 1
        and {{ 'false' if flags.EMPTY else 'true' }}

)

select * from wrong

{% endtest %}
