{#
    A contribution and the place of its feature as one whole number, so that the strongest features
    are found by comparing numbers, which costs a fraction of sorting them. Contributions are in
    billionths, places count from 1 on. Of equal contributions the earlier feature has the larger
    number: it comes first among those that raise, and last among those that lower.
#}
{% macro reason_key(contribution_sql, place) %}
    {{- "(" ~ coterie._reason_offset() ~ " + " ~ contribution_sql ~ ") * 1024 + (1023 - " ~ place ~ ")" -}}
{% endmacro %}


{# The strongest feature that raises, among columns key_<place>, but for those of given keys. #}
{% macro greatest_reason_key(places, but_for=[]) %}
    {{- coterie._extreme_key("greatest", places, but_for) -}}
{% endmacro %}


{# The strongest feature that lowers. #}
{% macro least_reason_key(places, but_for=[]) %}
    {{- coterie._extreme_key("least", places, but_for) -}}
{% endmacro %}


{% macro _extreme_key(function, places, but_for) %}
    {%- set keys = [coterie.reason_key("0", 0)] -%}
    {%- for place in places -%}
        {%- do keys.append(
            "case when key_" ~ place ~ " not in (" ~ (but_for | join(", ")) ~ ") then key_" ~ place ~ " end"
            if but_for else "key_" ~ place
        ) -%}
    {%- endfor -%}
    {{- function ~ "(" ~ (keys | join(", ")) ~ ")" -}}
{% endmacro %}


{# Whether a key tells of a feature that raises (part `reason`) or lowers (`counter_reason`) at all. #}
{% macro is_reason(key_sql, part) %}
    {%- if part == "reason" -%}
        {{- key_sql ~ " > " ~ (coterie._reason_offset() * 1024 + 1023) -}}
    {%- else -%}
        {{- key_sql ~ " < " ~ (coterie._reason_offset() * 1024) -}}
    {%- endif -%}
{% endmacro %}


{# The contribution that a key holds, as log-odds. #}
{% macro reason_contribution(key_sql) %}
    {{- "(floor(" ~ key_sql ~ " / 1024) - " ~ coterie._reason_offset() ~ ") / 1e9" -}}
{% endmacro %}


{# The place of the feature whose key it is, from 1 on. #}
{% macro reason_place(key_sql) %}
    {{- "1023 - " ~ key_sql ~ " % 1024" -}}
{% endmacro %}


{# The contributions of all features together, in billionths, from the sum of their keys. #}
{% macro total_contribution(feature_count) %}
    {%- set keys = [] -%}
    {%- set places = [] -%}
    {%- for place in range(1, feature_count + 1) -%}
        {%- do keys.append("key_" ~ place) -%}
        {%- do places.append(1023 - place) -%}
    {%- endfor -%}
    {%- set contributions = (keys | join(" + ")) ~ " - " ~ (places | sum) -%}
    {{- coterie.whole_quotient(contributions, "1024") ~ " - " ~ (feature_count * coterie._reason_offset()) -}}
{% endmacro %}


{# In billionths; no contribution is as large. #}
{% macro _reason_offset() %}
    {{ return(1000000000000) }}
{% endmacro %}


{#
    What the scores read of features by their place, from 1 on: names, columns of the values, the
    places of the usual values beside them, and the places of those that may be told, which are
    coterie.reason_features() unless given.
#}
{% macro scored_lists(features, told=none) %}
    {% set told = coterie.reason_features() if told is none else told %}
    {% set lists = {"places": [], "names": [], "feature_values": [], "usual_places": []} %}
    {% for feature in features %}
        {% set usual = coterie.usual_values().get(feature) %}
        {% if feature in told %}
            {% do lists.places.append(loop.index) %}
        {% endif %}
        {% do lists.names.append(coterie.quoted(feature)) %}
        {% do lists.feature_values.append("feature_" ~ loop.index) %}
        {% do lists.usual_places.append(features.index(usual) + 1 if usual in features else "null") %}
    {% endfor %}
    {{ return(lists) }}
{% endmacro %}
