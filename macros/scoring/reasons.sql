{#
    The strongest contribution of a direction (1 raises, -1 lowers) among features at some places, as
    one whole number that holds the contribution and the place: of equal contributions the earlier
    feature is the larger number. Comparing numbers costs a fraction of sorting them. Contributions
    are columns contribution_<place> in billionths. With a key only those below it are looked at.
#}
{% macro greatest_reason_key(places, direction, below_key=none) %}
    {%- set keys = ["0"] -%}
    {%- for place in places -%}
        {%- set key = "(" ~ coterie._reason_offset() ~ (" + " if direction > 0 else " - ") ~ "contribution_" ~ place
            ~ ") * 1024 + " ~ (1023 - place) -%}
        {%- do keys.append(
            "case when " ~ key ~ " < " ~ below_key ~ " then " ~ key ~ " end" if below_key else key
        ) -%}
    {%- endfor -%}
    {{- "greatest(" ~ (keys | join(", ")) ~ ")" if places else "0" -}}
{% endmacro %}


{# The contribution that a key holds, as log-odds. #}
{% macro reason_contribution(key_sql) %}
    {{- "(floor(" ~ key_sql ~ " / 1024) - " ~ coterie._reason_offset() ~ ") / 1e9" -}}
{% endmacro %}


{# The place of the feature whose key it is, from 1 on. #}
{% macro reason_place(key_sql) %}
    {{- "1023 - " ~ key_sql ~ " % 1024" -}}
{% endmacro %}


{# The largest key of a contribution of 0: reasons lie above it. #}
{% macro least_reason_key() %}
    {{- return(coterie._reason_offset() * 1024 + 1023) -}}
{% endmacro %}


{# In billionths; no contribution is as large. #}
{% macro _reason_offset() %}
    {{ return(1000000000000) }}
{% endmacro %}


{#
    What the scores read of features by their place, from 1 on: names and columns of the values, of
    the usual values beside them, and the places of those that may be told.
#}
{% macro scored_lists(features) %}
    {% set told = coterie.reason_features() %}
    {% set lists = {"places": [], "names": [], "feature_values": [], "usual_values": []} %}
    {% for feature in features %}
        {% set usual = coterie.usual_values().get(feature) %}
        {% if feature in told %}
            {% do lists.places.append(loop.index) %}
        {% endif %}
        {% do lists.names.append(coterie.quoted(feature)) %}
        {% do lists.feature_values.append("feature_" ~ loop.index) %}
        {% do lists.usual_values.append(
            "feature_" ~ (features.index(usual) + 1) if usual in features else "cast(null as double)"
        ) %}
    {% endfor %}
    {{ return(lists) }}
{% endmacro %}
