{#
    The contributions of all features as one list, largest first; equal ones in the order of the
    features. An item holds contribution, feature and the customer's own value.
#}
{% macro ranked_contributions(features) %}
    {{- return(adapter.dispatch("ranked_contributions", "coterie")(features)) -}}
{% endmacro %}


{% macro default__ranked_contributions(features) %}
    {%- set items = [] -%}
    {%- for feature in features -%}
        {%- do items.append(
            "struct_pack(contribution := contribution_" ~ loop.index ~ ", place := -" ~ loop.index
            ~ ", feature := " ~ coterie.quoted(feature) ~ ", value := feature_" ~ loop.index ~ ")"
        ) -%}
    {%- endfor -%}
    {{- "list_sort([" ~ (items | join(", ")) ~ "], 'desc')" -}}
{% endmacro %}


{# One part of the n-th reason for a score, or of the strongest against it where n is -1. #}
{% macro reason_part(ranking_sql, number, part) %}
    {%- set item = coterie.list_item(ranking_sql, number) -%}
    {%- set direction = "<" if number < 0 else ">" -%}
    {{- "case when (" ~ item ~ ").contribution " ~ direction ~ " 0 then ("
        ~ item ~ ")." ~ part ~ " end" -}}
{% endmacro %}
