{# A quotient of exact numbers, rounded so that it is the same on every run; NULL over zero. #}
{% macro ratio(numerator_sql, denominator_sql) %}
    {{- "round(cast(" ~ numerator_sql ~ " as double) / nullif(cast(" ~ denominator_sql ~ " as double), 0), 6)" -}}
{% endmacro %}
