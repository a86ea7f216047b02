{# Above this no single amount is believed; sums of thousands of them still fit the type of money. #}
{% macro amount_limit() %}
    {{- return("1e12") -}}
{% endmacro %}


{#
    The size of an optional amount; one that is missing, NaN or beyond any money counts as nothing.
    Some shops write what they gave back or took off as negative numbers, which means the same.
#}
{% macro size_or_zero(column_sql) %}
    {{- "case when abs(" ~ column_sql ~ ") < " ~ coterie.amount_limit() ~ " then abs("
        ~ column_sql ~ ") else 0 end" -}}
{% endmacro %}
