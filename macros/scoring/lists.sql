{# Lists, by which fitted tables are looked up without joins; each engine spells them in its way. #}

{% macro list_item(list_sql, position_sql) %}
    {{- return(adapter.dispatch("list_item", "coterie")(list_sql, position_sql)) -}}
{% endmacro %}


{% macro default__list_item(list_sql, position_sql) %}
    {{- "list_extract(" ~ list_sql ~ ", " ~ position_sql ~ ")" -}}
{% endmacro %}


{% macro spark__list_item(list_sql, position_sql) %}
    {{- "element_at(" ~ list_sql ~ ", " ~ position_sql ~ ")" -}}
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
{% macro known_limit(feature, direction) %}
    {%- set name = "lowest_value" if direction < 0 else "highest_value" -%}
    {{- "max(" ~ name ~ (" - " if direction < 0 else " + ") ~ "0.1 * (highest_value - lowest_value)) filter (where feature = "
        ~ coterie.quoted(feature) ~ ")" -}}
{% endmacro %}


{# The upper edges of a feature's bins. #}
{% macro edge_list(feature) %}
    {{- return(adapter.dispatch("edge_list", "coterie")(feature)) -}}
{% endmacro %}


{% macro default__edge_list(feature) %}
    {{- "list(upper_edge order by bin) filter (where feature = " ~ coterie.quoted(feature)
        ~ " and bin > 0)" -}}
{% endmacro %}


{#
    The weights of a feature by bin in billionths; the first item is the weight of a missing value,
    bin 0. Whole numbers add up exactly, in whatever order.
#}
{% macro weight_list(feature) %}
    {{- return(adapter.dispatch("weight_list", "coterie")(feature)) -}}
{% endmacro %}


{% macro default__weight_list(feature) %}
    {{- "list(cast(round(weight * 1e9) as bigint) order by bin) filter (where feature = " ~ coterie.quoted(feature) ~ ")" -}}
{% endmacro %}


{#
    The bin of a value: 0 where it is missing, else 1 + the number of edges below it. Counting in a
    list keeps the SQL short, and the number of bins out of it.
#}
{% macro bin_number(value_sql, edges_sql) %}
    {{- "case when " ~ value_sql ~ " is null then 0 else 1 + "
        ~ coterie.count_below(edges_sql, value_sql) ~ " end" -}}
{% endmacro %}


{% macro count_below(list_sql, value_sql) %}
    {{- return(adapter.dispatch("count_below", "coterie")(list_sql, value_sql)) -}}
{% endmacro %}


{% macro default__count_below(list_sql, value_sql) %}
    {{- "len(list_filter(" ~ list_sql ~ ", lambda edge: " ~ value_sql ~ " > edge))" -}}
{% endmacro %}


{% macro spark__count_below(list_sql, value_sql) %}
    {{- "size(filter(" ~ list_sql ~ ", edge -> " ~ value_sql ~ " > edge))" -}}
{% endmacro %}


{#
    How many rows fall into each bin, in one pass over the values: the first item counts missing
    values, bin 0. An aggregate; searching the edges is several times faster than bin_number.
#}
{% macro bin_counts(value_sql, edges_sql) %}
    {{- return(adapter.dispatch("bin_counts", "coterie")(value_sql, edges_sql)) -}}
{% endmacro %}


{% macro default__bin_counts(value_sql, edges_sql) %}
    {{- "list_prepend(count(*) - count(" ~ value_sql ~ "), cast(map_values(histogram("
        ~ value_sql ~ ", " ~ edges_sql ~ ")) as bigint[]))" -}}
{% endmacro %}
