{#
    The columns of each input: name, type and whether the input cannot do without it. One definition
    serves the staging models, the checks and the order in which duplicates are told apart.

    Types: id (any text or whole number), text, amount (any number), timestamp
    (date or timestamp), date, boolean.
#}
{% macro input_columns(input) %}
    {% set columns = {
        "orders": {
            "order_id": "id!",
            "customer_id": "id!",
            "ordered_at": "timestamp!",
            "order_amount": "amount!",
            "status": "text",
            "status_changed_at": "timestamp",
            "refund_amount": "amount",
            "refunded_at": "timestamp",
            "discount_amount": "amount",
            "margin_amount": "amount",
            "sales_channel": "text",
            "coupon_code": "text",
            "payment_method": "text",
            "billing_country_code": "text",
            "shipping_country_code": "text",
            "device_id": "id",
            "is_test": "boolean"
        },
        "customers": {
            "customer_id": "id!",
            "valid_from": "timestamp",
            "email": "text",
            "phone": "text",
            "signed_up_at": "timestamp",
            "birth_date": "date",
            "gender": "text",
            "country_code": "text",
            "region": "text",
            "city": "text",
            "acquisition_channel": "text",
            "acquisition_campaign_id": "id"
        },
        "order_lines": {
            "order_id": "id!",
            "product_id": "id!",
            "quantity": "amount!",
            "line_amount": "amount!",
            "discount_amount": "amount"
        },
        "products": {
            "product_id": "id!",
            "product_name": "text",
            "category": "text",
            "brand": "text",
            "unit_cost": "amount",
            "launched_at": "timestamp"
        },
        "events": {
            "event_id": "id!",
            "occurred_at": "timestamp!",
            "event_type": "text!",
            "customer_id": "id",
            "anonymous_id": "id",
            "session_id": "id",
            "product_id": "id",
            "channel": "text",
            "campaign_id": "id",
            "device_type": "text",
            "country_code": "text"
        },
        "identities": {
            "anonymous_id": "id!",
            "customer_id": "id!",
            "linked_at": "timestamp!"
        },
        "messages": {
            "message_id": "id!",
            "customer_id": "id!",
            "sent_at": "timestamp!",
            "channel": "text!",
            "campaign_id": "id",
            "opened_at": "timestamp",
            "clicked_at": "timestamp",
            "unsubscribed_at": "timestamp",
            "bounced_at": "timestamp"
        }
    } %}
    {{ return(columns[input]) }}
{% endmacro %}


{#
    The rows of one key in a total order: the newest state first, by its own time and then by every
    other time, and at last by every other column.
#}
{% macro newest_first(input, time_column=none) %}
    {% set own_time = [] %}
    {% set other_times = [] %}
    {% set others = [] %}
    {% for name, spec in coterie.input_columns(input).items() %}
        {% if name == time_column %}
            {% do own_time.append(name ~ " desc nulls last") %}
        {% elif spec.startswith("timestamp") %}
            {% do other_times.append(name ~ " desc nulls last") %}
        {% else %}
            {% do others.append(name ~ " asc nulls last") %}
        {% endif %}
    {% endfor %}
    {{- (own_time + other_times + others) | join(", ") -}}
{% endmacro %}
