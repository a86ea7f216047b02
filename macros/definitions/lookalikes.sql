{#
    What lookalikes are told by: the features of the var coterie__lookalikes, less those that no
    model sees, and the shares of spend in the largest categories. Audiences are often about what
    is bought, which the features of predictions do not tell.
#}
{% macro lookalike_features() %}
    {% set hidden = coterie.sensitive_attributes() %}
    {% if not coterie.is_topic_enabled("lifetime_value") %}
        {% set hidden = hidden + coterie.nbd_features() %}
    {% endif %}
    {% set chosen = coterie.settings("lookalikes").features | reject("in", hidden) | list %}
    {{ return(chosen + coterie.category_share_features()) }}
{% endmacro %}


{# The features of closeness, less those that no model sees. #}
{% macro closeness_features() %}
    {% set hidden = coterie.sensitive_attributes() %}
    {{ return(coterie.settings("lookalikes").closeness_features | reject("in", hidden) | list) }}
{% endmacro %}


{# One feature for each of the largest categories, by their place. #}
{% macro category_share_features() %}
    {% set names = [] %}
    {% for place in range(1, coterie.settings("lookalikes").category_count | int + 1) %}
        {% do names.append("category_share_" ~ place) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}


{# The features that may be told as reasons. #}
{% macro told_lookalike_features() %}
    {% set hidden = coterie.settings("propensity").hidden_reasons + coterie.sensitive_attributes() %}
    {{ return(coterie.lookalike_features() | reject("in", hidden) | list) }}
{% endmacro %}


{# Where a feature of lookalikes stands, as a column of the relations that hold features. #}
{% macro lookalike_feature_column(feature) %}
    {%- if feature in coterie.category_share_features() -%}
        {{- "category_shares." ~ feature -}}
    {%- else -%}
        {{- coterie.feature_column(feature) -}}
    {%- endif -%}
{% endmacro %}


{# The joins of int_coterie__customer_features with the other relations that hold features. #}
{% macro lookalike_feature_joins() %}
    {% if coterie.is_topic_enabled("lifetime_value") %}
    left join {{ ref('int_coterie__customer_nbd') }} as customer_nbd
        on
            customer_features.as_of_date = customer_nbd.as_of_date
            and customer_features.customer_id = customer_nbd.customer_id
    {% endif %}

    left join {{ ref('int_coterie__customer_category_shares') }} as category_shares
        on customer_features.customer_id = category_shares.customer_id
{%- endmacro %}


{# Whether there can be audiences at all; without them nothing is read. #}
{% macro has_seed_audiences() %}
    {{ return(coterie.is_mapped_input("seed_audiences")) }}
{% endmacro %}


{# The distance of a customer to the nearest center of the members; NULL where a value is missing. #}
{% macro distance_to_members(center_count, feature_count) %}
    {%- set squares = [] -%}
    {%- for number in range(1, center_count + 1) -%}
        {%- do squares.append(coterie.squared_distance_to_center(number, feature_count)) -%}
    {%- endfor -%}
    {{- "round(sqrt(" ~ ("least(" ~ (squares | join(", ")) ~ ")" if center_count > 1 else squares[0]) ~ "), 9)" -}}
{% endmacro %}


{#
    The squared distance of a customer to one center of the members, in units of their spread. The
    columns of a center end in its number and that of the feature.
#}
{% macro squared_distance_to_center(number, feature_count) %}
    {%- for place in range(1, feature_count + 1) -%}
    {%- set at = "_" ~ place -%}
    {{ " + " if not loop.first }}power(({{ coterie.scaled_feature(
        "closeness_feature" ~ at, "location" ~ at, "scale" ~ at, "clip"
    ) }} - center_{{ number }}{{ at }}) / spread{{ at }}, 2)
    {%- endfor -%}
{% endmacro %}
