{#
    The values that a column has more than once. Neighbours in order of a number take DuckDB half the work of its
    groups where nearly every value is another; Spark would bring all rows to one worker for it.
#}
{% macro repeated_values(relation, column_name) %}
    {{- return(adapter.dispatch("repeated_values", "coterie")(relation, column_name)) -}}
{% endmacro %}


{% macro default__repeated_values(relation, column_name) %}
    select distinct {{ column_name }}

    from (
        select
            {{ column_name }},
            lag({{ column_name }}) over (order by {{ column_name }}) as previous_value

        from {{ relation }}
    ) as neighbours

    where {{ column_name }} = previous_value
{% endmacro %}


{% macro spark__repeated_values(relation, column_name) %}
    select {{ column_name }}

    from {{ relation }}

    group by {{ column_name }}

    having count(*) > 1
{% endmacro %}
