{# Topics of interest: their numbers, their words, and what an action weighs. #}

{# The numbers that topics can have; wide tables have a column for each. #}
{% macro topic_numbers() %}
    {{ return(range(1, 13) | list) }}
{% endmacro %}


{# Whole units in which shares and weights are added up, so that sums do not depend on the order. #}
{% macro interest_units() %}
    {{ return(10000) }}
{% endmacro %}


{# The whole units of an action of today with a product that is about one topic alone. #}
{% macro action_units() %}
    {{- "cast(" ~ (coterie.interest_units() ** 2) ~ " as double)" -}}
{% endmacro %}


{#
    Shares of a product below this are noise of the projection: `MIN_AFFINITY` of
    `coterie.interests`, which scores alike.
#}
{% macro min_product_affinity() %}
    {{- return("cast(0.05 as double)") -}}
{% endmacro %}


{# The words of a text as a list: runs of at least three letters, lower case. #}
{% macro words_of(text_sql) %}
    {{- return(adapter.dispatch("words_of", "coterie")(text_sql)) -}}
{% endmacro %}


{% macro default__words_of(text_sql) %}
    {{- "regexp_extract_all(lower(" ~ text_sql ~ "), '\\p{L}{3,}')" -}}
{% endmacro %}


{% macro spark__words_of(text_sql) %}
    {{- "regexp_extract_all(lower(" ~ text_sql ~ "), '\\\\p{L}{3,}', 0)" -}}
{% endmacro %}


{# A row for each item of a list. #}
{% macro unnested(list_sql) %}
    {{- return(adapter.dispatch("unnested", "coterie")(list_sql)) -}}
{% endmacro %}


{% macro default__unnested(list_sql) %}
    {{- "unnest(" ~ list_sql ~ ")" -}}
{% endmacro %}


{% macro spark__unnested(list_sql) %}
    {{- "explode(" ~ list_sql ~ ")" -}}
{% endmacro %}


{# What an action of a day weighs as of the date, in whole units: it halves with every half-life. #}
{% macro action_weight(weight, day_sql, as_of_sql) %}
    {%- set settings = coterie.settings("interests") -%}
    {%- set days = coterie.days_between(day_sql, as_of_sql) -%}
    {{- "round(" ~ (coterie.interest_units() * weight) ~ " * power(cast(0.5 as double), " ~ days ~ " / cast("
        ~ settings.half_life_days ~ " as double)))" -}}
{% endmacro %}


{# Days before the as-of date. #}
{% macro interest_days_from(days, as_of_sql) %}
    {{- coterie.days_after(as_of_sql, -(days | int)) -}}
{% endmacro %}


{# The share of a topic in a customer's evidence, drawn to its share in the shop as if by `prior_weight` actions. #}
{% macro shrunk_affinity(evidence_sql, total_sql, shop_share_sql) %}
    {%- set prior = "cast(" ~ coterie.settings("interests").prior_weight ~ " as double)" -%}
    {{- "round((" ~ evidence_sql ~ " + " ~ prior ~ " * " ~ shop_share_sql ~ ") / (" ~ total_sql ~ " + " ~ prior ~ "), 6)" -}}
{% endmacro %}


{% macro check_interests(settings) %}
    {% for name in ["min_topics", "max_topics"] if settings[name] is not integer or not 2 <= settings[name] <= 12 %}
        {{ coterie.refuse(
            "The var coterie__interests has " ~ name ~ ": " ~ settings[name] ~ ", which must be a whole number "
            ~ "from 2 to 12."
        ) }}
    {% endfor %}
    {% if settings.min_topics > settings.max_topics %}
        {{ coterie.refuse(
            "The var coterie__interests has min_topics " ~ settings.min_topics ~ " above max_topics "
            ~ settings.max_topics ~ "."
        ) }}
    {% endif %}
    {% set numbers = [
        "min_similarity", "min_stability", "min_fit", "lookback_days", "view_days", "half_life_days",
        "view_weight", "feedback_weight", "prior_weight", "min_evidence", "product_limit", "comment_limit", "max_terms",
        "terms_per_topic", "resample_count", "min_product_count"
    ] %}
    {% set may_be_zero = ["min_similarity", "min_stability", "min_fit", "view_weight", "feedback_weight", "comment_limit"] %}
    {% for name in numbers %}
        {% set value = settings[name] %}
        {% if value is not number or value is boolean or value < 0 or (value == 0 and name not in may_be_zero) %}
            {{ coterie.refuse(
                "The var coterie__interests has " ~ name ~ ": " ~ value ~ ", which must be a number above 0"
                ~ (" or 0" if name in may_be_zero else "") ~ "."
            ) }}
        {% endif %}
    {% endfor %}
    {% if settings.stop_words is string or settings.stop_words is mapping %}
        {{ coterie.refuse(
            "The var coterie__interests must hold a list under stop_words such as [vintage], but it is '"
            ~ settings.stop_words ~ "'."
        ) }}
    {% endif %}
{% endmacro %}
