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
        },
        "custom_outcomes": {
            "customer_id": "id!",
            "outcome": "text!",
            "occurred_at": "timestamp!",
            "outcome_value": "amount"
        },
        "seed_audiences": {
            "audience_code": "id!",
            "customer_id": "id!"
        },
        "feedback": {
            "feedback_id": "id!",
            "customer_id": "id!",
            "occurred_at": "timestamp!",
            "rating": "amount",
            "comment": "text",
            "product_id": "id"
        },
        "consents": {
            "customer_id": "id!",
            "purpose": "text!",
            "is_granted": "boolean!",
            "changed_at": "timestamp!"
        },
        "erasure_requests": {
            "customer_id": "id!",
            "requested_at": "timestamp!"
        }
    } %}
    {% if input == "customers" %}
        {% for name in coterie.customer_attributes() %}
            {% do columns.customers.update({name: "text!"}) %}
        {% endfor %}
    {% endif %}
    {{ return(columns[input]) }}
{% endmacro %}


{# The columns of an input with the types that they are staged in. #}
{% macro staged_column_types(input) %}
    {% set types = {} %}
    {% for name, spec in coterie.input_columns(input).items() %}
        {% do types.update({name: coterie.staged_type(spec | replace("!", ""))}) %}
    {% endfor %}
    {{ return(types) }}
{% endmacro %}


{% macro input_names() %}
    {{ return([
        "orders", "customers", "order_lines", "products", "events", "identities", "messages",
        "custom_outcomes", "seed_audiences", "feedback", "consents", "erasure_requests"
    ]) }}
{% endmacro %}


{# Whether an input is one of the demo shop's, which this project itself reads. #}
{% macro is_demo_input(name) %}
    {{ return(coterie.is_own_project() and name != "custom_outcomes") }}
{% endmacro %}


{# The inputs that have a relation: the demo shop's in this project itself. #}
{% macro mapped_input_names() %}
    {% set mapped = [] %}
    {% for name in coterie.input_names() if coterie.is_mapped_input(name) %}
        {% do mapped.append(name) %}
    {% endfor %}
    {{ return(mapped) }}
{% endmacro %}


{# To read the var is to ref what it names: a model asks only after inputs that it reads. #}
{% macro is_mapped_input(name) %}
    {{ return(coterie.is_demo_input(name) or (var("coterie__" ~ name ~ "_relation") or "") | string | length > 0) }}
{% endmacro %}


{# The columns of an input by which its rows are told apart, and the time that is its own, if any. #}
{% macro input_key(input) %}
    {{ return({
        "orders": ["order_id"],
        "customers": ["customer_id", "valid_from"],
        "products": ["product_id"],
        "events": ["event_id"],
        "identities": ["anonymous_id", "customer_id", "linked_at"],
        "messages": ["message_id"],
        "custom_outcomes": ["customer_id", "outcome", "occurred_at"],
        "seed_audiences": ["audience_code", "customer_id"],
        "feedback": ["feedback_id"],
        "consents": ["customer_id", "purpose", "changed_at"],
        "erasure_requests": ["customer_id"]
    }[input]) }}
{% endmacro %}


{% macro input_time(input) %}
    {{ return({
        "orders": "ordered_at",
        "customers": "signed_up_at",
        "products": "launched_at",
        "events": "occurred_at",
        "identities": "linked_at",
        "messages": "sent_at",
        "custom_outcomes": "occurred_at",
        "feedback": "occurred_at",
        "consents": "changed_at",
        "erasure_requests": "requested_at"
    }[input]) }}
{% endmacro %}


{#
    The rows of one key in a total order. The earliest by the input's own time stands, because a
    later copy cannot change what was known before it; of copies with the same time the one with
    the newest state, by every other time, and at last by every other of these columns.
#}
{% macro order_of_copies(input, columns) %}
    {% set own_time = coterie.input_time(input) %}
    {% set own_times = ["input_rows." ~ own_time ~ " asc nulls last"] if own_time else [] %}
    {% set other_times = [] %}
    {% set others = [] %}
    {% for name, spec in coterie.input_columns(input).items() if name in columns %}
        {% if name == own_time %}
        {% elif spec.startswith("timestamp") %}
            {% do other_times.append("input_rows." ~ name ~ " desc nulls last") %}
        {% else %}
            {% do others.append("input_rows." ~ name ~ " asc nulls last") %}
        {% endif %}
    {% endfor %}
    {{- (own_times + other_times + others) | join(", ") -}}
{% endmacro %}
