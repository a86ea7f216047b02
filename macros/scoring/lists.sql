{# Lists, by which fitted tables are looked up without joins; each engine spells them in its way. #}

{# An item by its position, from 1 on; NULL beyond the end. #}
{% macro list_item(list_sql, position_sql) %}
    {{- return(adapter.dispatch("list_item", "coterie")(list_sql, position_sql)) -}}
{% endmacro %}


{% macro default__list_item(list_sql, position_sql) %}
    {{- "list_extract(" ~ list_sql ~ ", " ~ position_sql ~ ")" -}}
{% endmacro %}


{% macro spark__list_item(list_sql, position_sql) %}
    {{- "try_element_at(" ~ list_sql ~ ", " ~ position_sql ~ ")" -}}
{% endmacro %}


{% macro list_of(items) %}
    {{- return(adapter.dispatch("list_of", "coterie")(items)) -}}
{% endmacro %}


{% macro default__list_of(items) %}
    {{- "[" ~ (items | join(", ")) ~ "]" -}}
{% endmacro %}


{% macro spark__list_of(items) %}
    {{- "array(" ~ (items | join(", ")) ~ ")" -}}
{% endmacro %}


{#
    The value below (-1) or above (1) which a feature lies further out than a tenth of the range that
    training saw: nothing was learned there.
#}
{% macro known_limit(feature, direction, feature_sql="feature") %}
    {%- set name = "lowest_value" if direction < 0 else "highest_value" -%}
    {{- "max(" ~ name ~ (" - " if direction < 0 else " + ") ~ "0.1 * (highest_value - lowest_value)) filter (where "
        ~ feature_sql ~ " = " ~ coterie.quoted(feature) ~ ")" -}}
{% endmacro %}


{# The upper edges of a feature's bins. #}
{% macro edge_list(feature, feature_sql="feature") %}
    {{- return(adapter.dispatch("edge_list", "coterie")(feature, feature_sql)) -}}
{% endmacro %}


{% macro default__edge_list(feature, feature_sql) %}
    {{- "list(upper_edge order by bin) filter (where " ~ feature_sql ~ " = " ~ coterie.quoted(feature) ~ " and bin > 0)" -}}
{% endmacro %}


{# An aggregate: values in an order. #}
{% macro ordered_list(value_sql, order_sql) %}
    {{- return(adapter.dispatch("ordered_list", "coterie")(value_sql, order_sql)) -}}
{% endmacro %}


{% macro default__ordered_list(value_sql, order_sql) %}
    {{- "list(" ~ value_sql ~ " order by " ~ order_sql ~ ")" -}}
{% endmacro %}


{# Keeps the rows of a CTE that is read more than once, where the engine would work them out again. #}
{% macro materialized() %}
    {{- return(adapter.dispatch("materialized", "coterie")()) -}}
{% endmacro %}


{% macro default__materialized() %}
    {{- "materialized" -}}
{% endmacro %}


{% macro spark__materialized() %}
{% endmacro %}


{#
    The strides of a binary search among the edges of a feature, the longest first. Five comparisons
    find one of 32 bins in a third of the time that counting in the list takes.
#}
{% macro bin_search_steps() %}
    {%- set steps = [] -%}
    {%- for exponent in range(8) if 2 ** exponent < coterie.settings("propensity").n_bins -%}
        {%- do steps.insert(0, 2 ** exponent) -%}
    {%- endfor -%}
    {{ return(steps) }}
{% endmacro %}


{# How many edges are known to lie below a value after one more step of the search. #}
{% macro edges_below(value_sql, edges_sql, below_sql, step) %}
    {{- below_sql ~ " + case when " ~ value_sql ~ " > " ~ coterie.list_item(edges_sql, below_sql ~ " + " ~ step)
        ~ " then " ~ step ~ " else 0 end" -}}
{% endmacro %}


{#
    How many rows fall into each bin, in one pass over the values: the first item counts missing
    values, bin 0. An aggregate.
#}
{% macro bin_counts(value_sql, edges_sql) %}
    {{- return(adapter.dispatch("bin_counts", "coterie")(value_sql, edges_sql)) -}}
{% endmacro %}


{% macro default__bin_counts(value_sql, edges_sql) %}
    {{- "list_prepend(count(*) - count(" ~ value_sql ~ "), cast(map_values(histogram("
        ~ value_sql ~ ", " ~ edges_sql ~ ")) as bigint[]))" -}}
{% endmacro %}
