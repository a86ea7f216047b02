{# Times outside these centuries, infinity among them, are typing errors. #}
{% macro is_impossible_time(column_sql) %}
    {{- "(" ~ column_sql ~ " < cast('1900-01-01' as timestamp) or "
        ~ column_sql ~ " >= cast('2200-01-01' as timestamp))" -}}
{% endmacro %}


{# An optional time; an impossible one counts as missing. #}
{% macro possible_time(column_sql) %}
    {{- "case when not " ~ coterie.is_impossible_time(column_sql) ~ " then " ~ column_sql ~ " end" -}}
{% endmacro %}
