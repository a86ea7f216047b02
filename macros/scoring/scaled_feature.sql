{#
    A raw feature in the space of segment centers: signed logarithm, centred, scaled, clipped. NULL
    stays NULL, which greatest and least would pass over.
#}
{% macro scaled_feature(value_sql, location_sql, scale_sql, clip_sql) %}
    {%- set logarithm = "sign(" ~ value_sql ~ ") * ln(1 + abs(" ~ value_sql ~ "))" -%}
    {%- set scaled = "(" ~ logarithm ~ " - " ~ location_sql ~ ") / " ~ scale_sql -%}
    {{- "case when " ~ value_sql ~ " is not null then greatest(least(" ~ scaled ~ ", " ~ clip_sql
        ~ "), -" ~ clip_sql ~ ") end" -}}
{% endmacro %}
