{# A raw feature in the space of segment centers: signed logarithm, centred, scaled, clipped. #}
{% macro scaled_feature(value_sql, location_sql, scale_sql, clip_sql) %}
    {{- "greatest(least((sign(" ~ value_sql ~ ") * ln(1 + abs(" ~ value_sql ~ ")) - " ~ location_sql ~ ") / "
        ~ scale_sql ~ ", " ~ clip_sql ~ "), -" ~ clip_sql ~ ")" -}}
{% endmacro %}
