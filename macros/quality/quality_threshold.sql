{#
    A number of the var coterie__data_quality; NULL, which nothing is above, where it is none.
    Names end in `_watch` or `_act`, the status that begins above it.
#}
{% macro quality_threshold(name) %}
    {% set value = coterie.settings("data_quality")[name] %}
    {% if value is none %}
        {{ return("cast(null as double)") }}
    {% endif %}
    {% if value is not number or value is boolean or value < 0 %}
        {{ coterie.refuse(
            "The var coterie__data_quality must hold a number, 0 or more, or null for never, under '" ~ name
            ~ "', but it is '" ~ value ~ "'."
        ) }}
        {% set value = 0 %}
    {% endif %}
    {{ return("cast(" ~ value ~ " as double)") }}
{% endmacro %}


{# How bad a number is that must not become large. #}
{% macro quality_status(value_sql, watch_at_sql, act_at_sql) %}
    case
        when {{ value_sql }} > {{ act_at_sql }} then 'act'
        when {{ value_sql }} > {{ watch_at_sql }} then 'watch'
        else 'ok'
    end
{%- endmacro %}


{#
    What fails the build: statuses, or names of rules that are not ok. A misspelt one is refused,
    because it would never fail.
#}
{% macro quality_failures() %}
    {% set given = coterie.settings("data_quality").fail_on %}
    {% set given = [given] if given is string else (given or []) %}
    {% set known = coterie.quality_statuses() + coterie.quality_rule_names() %}
    {% for name in given if name not in known %}
        {{ coterie.refuse(
            "The var coterie__data_quality has '" ~ name ~ "' under fail_on, which is neither a status nor a rule. "
            ~ "It takes: " ~ (known | join(", ")) ~ "."
        ) }}
    {% endfor %}
    {{ return(given) }}
{% endmacro %}


{% macro quality_statuses() %}
    {{ return(["ok", "watch", "act", "unknown", "not_mapped"]) }}
{% endmacro %}


{# Every rule of coterie__data_quality, whatever the input. #}
{% macro quality_rule_names() %}
    {% set names = coterie.rejection_rule_names() %}
    {% for input in coterie.input_names() %}
        {% for rule in coterie.row_rules(input) if rule.name not in names %}
            {% do names.append(rule.name) %}
        {% endfor %}
    {% endfor %}
    {{ return(names + [
        "all_rejected", "empty_input", "unread", "known_late", "unlinked_event", "merged_visitor", "identity_conflict",
        "freshness", "day_gap", "sudden_drop", "sudden_rise", "not_mapped"
    ]) }}
{% endmacro %}
