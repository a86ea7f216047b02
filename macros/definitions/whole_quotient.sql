{# Integer division; no remainder is ever rounded up. #}
{% macro whole_quotient(numerator_sql, denominator_sql) %}
    {{- "cast(floor((" ~ numerator_sql ~ ") / cast(" ~ denominator_sql ~ " as double)) as bigint)" -}}
{% endmacro %}
