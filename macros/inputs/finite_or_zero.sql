{# An optional amount that is missing, NaN or beyond any money counts as nothing. #}
{% macro finite_or_zero(column_sql) %}
    {{- "case when abs(" ~ column_sql ~ ") < 1e15 then " ~ column_sql ~ " else 0 end" -}}
{% endmacro %}
