{# Times outside these centuries, infinity among them, are typing errors. #}
{% macro is_impossible_time(column_sql) %}
    {{- "(" ~ column_sql ~ " < cast('1900-01-01' as timestamp) or "
        ~ column_sql ~ " >= cast('2200-01-01' as timestamp))" -}}
{% endmacro %}
