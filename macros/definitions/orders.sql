{# What an order is as of a date. Facts count once they are known: strictly before the date. #}

{% macro refund_amount_as_of(date_sql) %}
    case when refunded_at < {{ date_sql }} then refund_amount else 0 end
{% endmacro %}


{% macro net_amount_as_of(date_sql) %}
    order_amount - {{ coterie.refund_amount_as_of(date_sql) }}
{% endmacro %}


{# An order whose status changed later still counted as completed on the date. #}
{% macro has_invalid_status_as_of(date_sql) %}
    (has_invalid_status and status_changed_at < {{ date_sql }})
{% endmacro %}


{% macro is_valid_order_as_of(date_sql) %}
    (
        ordered_at < {{ date_sql }}
        and not is_test
        and not {{ coterie.has_invalid_status_as_of(date_sql) }}
        and {{ coterie.net_amount_as_of(date_sql) }} > 0
    )
{% endmacro %}
