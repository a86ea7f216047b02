{# A figure of so few customers that it would tell of one of them is not shown. #}
{% macro unless_suppressed(value_sql, type) %}
    {{- "cast(case when not is_suppressed then " ~ value_sql ~ " end as " ~ type ~ ")" -}}
{% endmacro %}
