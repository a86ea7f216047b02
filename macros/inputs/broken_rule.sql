{#
    The first rule that a row of an input breaks by itself, whatever the other rows; NULL for a sound
    one. The columns are those of `input_rows`.
#}
{% macro broken_rule(input) %}
    {%- set rules = {
        "orders": [
            ("missing_order_id", "input_rows.order_id is null"),
            ("missing_ordered_at", "input_rows.ordered_at is null"),
            ("impossible_ordered_at", coterie.is_impossible_time("input_rows.ordered_at")),
            ("missing_order_amount", "input_rows.order_amount is null"),
            ("invalid_order_amount", "not abs(input_rows.order_amount) < " ~ coterie.amount_limit())
        ],
        "customers": [("missing_customer_id", "input_rows.customer_id is null")],
        "order_lines": [
            ("missing_order_id", "input_rows.order_id is null"),
            ("missing_product_id", "input_rows.product_id is null"),
            (
                "invalid_quantity",
                "not coalesce(abs(input_rows.quantity) < " ~ coterie.amount_limit() ~ ", false)"
            ),
            (
                "invalid_line_amount",
                "not coalesce(abs(input_rows.line_amount) < " ~ coterie.amount_limit() ~ ", false)"
            )
        ],
        "products": [("missing_product_id", "input_rows.product_id is null")],
        "events": [
            ("missing_event_id", "input_rows.event_id is null"),
            ("missing_occurred_at", "input_rows.occurred_at is null"),
            ("impossible_occurred_at", coterie.is_impossible_time("input_rows.occurred_at")),
            ("missing_event_type", "input_rows.event_type is null"),
            (
                "missing_visitor",
                "input_rows.customer_id is null and input_rows.anonymous_id is null"
            )
        ],
        "identities": [
            ("missing_anonymous_id", "input_rows.anonymous_id is null"),
            ("missing_customer_id", "input_rows.customer_id is null"),
            ("missing_linked_at", "input_rows.linked_at is null"),
            ("impossible_linked_at", coterie.is_impossible_time("input_rows.linked_at"))
        ],
        "messages": [
            ("missing_message_id", "input_rows.message_id is null"),
            ("missing_customer_id", "input_rows.customer_id is null"),
            ("missing_sent_at", "input_rows.sent_at is null"),
            ("impossible_sent_at", coterie.is_impossible_time("input_rows.sent_at"))
        ]
    } -%}
    case
        {%- for name, condition in rules[input] %}
        when {{ condition }} then '{{ name }}'
        {%- endfor %}
    end
{%- endmacro %}
