{# What int_coterie__customer_days counts, by the input that tells it, with types. #}

{% macro order_day_columns() %}
    {{ return({
        "placed_order_count": "integer",
        "cancelled_order_count": "integer",
        "order_count": "integer",
        "net_amount": "decimal(18, 2)",
        "refund_amount": "decimal(18, 2)",
        "discount_amount": "decimal(18, 2)",
        "coupon_order_count": "integer",
        "morning_order_count": "integer",
        "evening_order_count": "integer",
        "lined_order_count": "integer",
        "line_count": "integer",
        "item_count": "decimal(28, 3)"
    }) }}
{% endmacro %}


{% macro event_day_columns() %}
    {{ return({
        "session_count": "integer",
        "engaged_session_count": "integer",
        "event_count": "integer",
        "view_count": "integer",
        "search_count": "integer",
        "cart_count": "integer",
        "checkout_count": "integer"
    }) }}
{% endmacro %}


{% macro message_day_columns() %}
    {{ return({
        "message_count": "integer",
        "opened_message_count": "integer",
        "clicked_message_count": "integer",
        "unsubscribed_message_count": "integer"
    }) }}
{% endmacro %}


{% macro customer_day_columns() %}
    {% set columns = {} %}
    {% do columns.update(coterie.order_day_columns()) %}
    {% do columns.update(coterie.event_day_columns()) %}
    {% do columns.update(coterie.message_day_columns()) %}
    {{ return(columns) }}
{% endmacro %}
