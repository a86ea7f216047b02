{#
    The first rule that a row of an input breaks by itself, whatever the other rows; NULL for a sound
    one. The columns are those of `input_rows`.
#}
{% macro broken_rule(input) %}
    case
        {%- for rule in coterie.rejection_rules(input) if rule.condition %}
        when {{ rule.condition }} then '{{ rule.name }}'
        {%- endfor %}
    end
{%- endmacro %}


{#
    The rules for which rows of an input are rejected, in the order in which they are tried. Each has
    its name, what is said of the rows that break it, and what to do about them. Those with a
    condition are broken by a row itself; the others need other rows, and the checked models tell
    them.
#}
{% macro rejection_rules(input) %}
    {% set limit = coterie.amount_limit() %}
    {% set rules = {
        "orders": [
            coterie._missing("order_id"),
            coterie._missing("ordered_at"),
            coterie._impossible("ordered_at"),
            coterie._missing("order_amount"),
            coterie._invalid("order_amount", "not abs(input_rows.order_amount) < " ~ limit),
            coterie._duplicate(),
            {
                "name": "future_dated",
                "words": "lie more than 30 days after all others",
                "remedy": "Correct their dates; if they are right, set the var coterie__as_of_date."
            }
        ],
        "customers": [coterie._missing("customer_id"), coterie._duplicate()],
        "order_lines": [
            coterie._missing("order_id"),
            coterie._missing("product_id"),
            coterie._invalid(
                "quantity", "not coalesce(abs(input_rows.quantity) < " ~ limit ~ ", false)"
            ),
            coterie._invalid(
                "line_amount", "not coalesce(abs(input_rows.line_amount) < " ~ limit ~ ", false)"
            ),
            {
                "name": "unknown_order",
                "words": "belong to no accepted order",
                "remedy": "Load orders and their lines together, with the same order_id in both."
            }
        ],
        "products": [coterie._missing("product_id"), coterie._duplicate()],
        "events": [
            coterie._missing("event_id"),
            coterie._missing("occurred_at"),
            coterie._impossible("occurred_at"),
            coterie._missing("event_type"),
            {
                "name": "missing_visitor",
                "condition": "input_rows.customer_id is null and input_rows.anonymous_id is null",
                "words": "have neither customer_id nor anonymous_id",
                "remedy": "Map the visitor of the tracker to anonymous_id."
            },
            coterie._duplicate()
        ],
        "identities": [
            coterie._missing("anonymous_id"),
            coterie._missing("customer_id"),
            coterie._missing("linked_at"),
            coterie._impossible("linked_at"),
            coterie._duplicate()
        ],
        "messages": [
            coterie._missing("message_id"),
            coterie._missing("customer_id"),
            coterie._missing("sent_at"),
            coterie._impossible("sent_at"),
            coterie._duplicate()
        ],
        "custom_outcomes": [
            coterie._missing("customer_id"),
            coterie._missing("outcome"),
            coterie._missing("occurred_at"),
            coterie._impossible("occurred_at"),
            coterie._duplicate()
        ],
        "seed_audiences": [
            coterie._missing("audience_code"),
            coterie._missing("customer_id"),
            coterie._duplicate()
        ],
        "feedback": [
            coterie._missing("feedback_id"),
            coterie._missing("customer_id"),
            coterie._missing("occurred_at"),
            coterie._impossible("occurred_at"),
            coterie._duplicate()
        ],
        "consents": [
            coterie._missing("customer_id"),
            coterie._missing("purpose"),
            coterie._missing("is_granted"),
            coterie._missing("changed_at"),
            coterie._impossible("changed_at"),
            coterie._duplicate()
        ],
        "erasure_requests": [coterie._missing("customer_id"), coterie._duplicate()]
    } %}
    {{ return(rules[input]) }}
{% endmacro %}


{# The names of all rejection rules, whatever the input. #}
{% macro rejection_rule_names() %}
    {% set names = [] %}
    {% for input in coterie.input_names() %}
        {% for rule in coterie.rejection_rules(input) if rule.name not in names %}
            {% do names.append(rule.name) %}
        {% endfor %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}


{% macro _missing(column) %}
    {{ return({
        "name": "missing_" ~ column,
        "condition": "input_rows." ~ column ~ " is null",
        "words": "have no " ~ column,
        "remedy": "Fill it where the rows are made, or map another column to it."
    }) }}
{% endmacro %}


{% macro _impossible(column) %}
    {{ return({
        "name": "impossible_" ~ column,
        "condition": coterie.is_impossible_time("input_rows." ~ column),
        "words": "have a time in " ~ column ~ " before 1900 or from 2200 on",
        "remedy": "Correct the time where the rows are made."
    }) }}
{% endmacro %}


{% macro _invalid(column, condition) %}
    {{ return({
        "name": "invalid_" ~ column,
        "condition": condition,
        "words": "have no number in " ~ column ~ " that can be counted with",
        "remedy": "Look for missing, NaN, infinite and giant numbers where the rows are made."
    }) }}
{% endmacro %}


{% macro _duplicate() %}
    {{ return({
        "name": "duplicate",
        "words": "repeat the key of another row",
        "remedy": "Map a relation with one row per key; of several the earliest stands."
    }) }}
{% endmacro %}
