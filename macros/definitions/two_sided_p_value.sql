{#
    The chance that a standard normal number is at least this far from 0, to nine decimals; NULL of
    NULL. The complementary error function by a Chebyshev fit whose relative error is below 1.2e-7
    everywhere (Press et al., Numerical Recipes, erfcc), because engines do not all have one.
#}
{% macro two_sided_p_value(z_sql) %}
    {%- set t = "(1 / (1 + 0.5 * abs(" ~ z_sql ~ ") / sqrt(2.0)))" -%}
    {%- set coefficients = [
        -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368
    ] -%}
    {%- set state = namespace(polynomial="0.17087277") -%}
    {%- for coefficient in coefficients -%}
        {%- set state.polynomial = "(cast(" ~ coefficient ~ " as double) + " ~ t ~ " * " ~ state.polynomial ~ ")" -%}
    {%- endfor -%}
    {{- "case when " ~ z_sql ~ " is not null then round(least(1, " ~ t ~ " * exp(-power(" ~ z_sql ~ ", 2) / 2 - 1.26551223 + " ~ t ~ " * "
        ~ state.polynomial ~ ")), 9) end" -}}
{% endmacro %}
