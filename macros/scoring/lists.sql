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


{#
    The upper edges of a feature's bins, of one length for every feature: infinity fills up, so that
    no value lies beyond it. The last bin's own edge is infinity and is not needed.
#}
{% macro edge_list(feature, n_bins) %}
    {{- return(adapter.dispatch("edge_list", "coterie")(feature, n_bins)) -}}
{% endmacro %}


{% macro default__edge_list(feature, n_bins) %}
    {{- "list_resize(list(upper_edge order by bin) filter (where feature = " ~ coterie.quoted(feature)
        ~ " and bin > 0), " ~ (n_bins - 1) ~ ", cast('infinity' as double))" -}}
{% endmacro %}


{# The weights of a feature by bin; the first item is the weight of a missing value, bin 0. #}
{% macro weight_list(feature) %}
    {{- return(adapter.dispatch("weight_list", "coterie")(feature)) -}}
{% endmacro %}


{% macro default__weight_list(feature) %}
    {{- "list(weight order by bin) filter (where feature = " ~ coterie.quoted(feature) ~ ")" -}}
{% endmacro %}


{# The bin of a value: 0 where it is missing, else 1 + the number of edges below it. #}
{% macro bin_number(value_sql, edges_sql, n_bins) %}
    {%- set terms = [] -%}
    {%- for position in range(1, n_bins) -%}
        {%- do terms.append(
            "cast(" ~ value_sql ~ " > " ~ coterie.list_item(edges_sql, position) ~ " as tinyint)"
        ) -%}
    {%- endfor -%}
    {{- "case when " ~ value_sql ~ " is null then 0 else 1 + " ~ (terms | join(" + ")) ~ " end" -}}
{% endmacro %}
