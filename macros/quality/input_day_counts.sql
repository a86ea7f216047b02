{# What int_coterie__input_days counts beside the rows, by the input of which it is counted. #}
{% macro input_day_counts(input=none) %}
    {% set counts = {
        "orders": [
            "guest_row_count", "unknown_customer_row_count", "known_late_row_count",
            "cancelled_row_count", "untimed_cancelled_row_count", "late_cancelled_row_count",
            "cancelled_late_day_count", "refunded_row_count", "untimed_refunded_row_count",
            "late_refunded_row_count", "refunded_late_day_count"
        ],
        "customers": ["attribute_row_count", "known_late_row_count"],
        "order_lines": ["unknown_product_row_count"],
        "products": ["attribute_row_count", "known_late_row_count"],
        "events": ["unknown_customer_row_count", "anonymous_row_count", "unlinked_row_count"],
        "identities": ["unknown_customer_row_count"],
        "messages": ["unknown_customer_row_count"],
        "custom_outcomes": ["unknown_customer_row_count"],
        "seed_audiences": ["unknown_customer_row_count"],
        "feedback": ["unknown_customer_row_count"],
        "consents": ["unknown_customer_row_count"],
        "erasure_requests": []
    } %}
    {% if input is not none %}
        {{ return(counts[input]) }}
    {% endif %}
    {% set names = [] %}
    {% for name in counts.values() | sum(start=[]) if name not in names %}
        {% do names.append(name) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}


{# One of the counts as SQL; 0 for an input of which it is not counted. #}
{% macro input_day_count(name, input) %}
    {%- if name in coterie.input_day_counts(input) -%}
        cast(coalesce({{ name }}, 0) as bigint)
    {%- else -%}
        cast(0 as bigint)
    {%- endif -%}
{% endmacro %}
