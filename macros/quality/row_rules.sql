{#
    The rules about accepted rows of an input: the count of int_coterie__input_days that they are
    about, the other input that they need, the words and the remedy.
#}
{% macro row_rules(input) %}
    {% set unknown_customer = {
        "name": "unknown_customer",
        "count": "unknown_customer_row_count",
        "needs": "customers",
        "words": "have a customer_id that the customers input does not know",
        "remedy": "They count; load the missing customers, or map the same kind of id in both inputs."
    } %}
    {% set after_as_of_date = {
        "name": "after_as_of_date",
        "count": "after_as_of_date_row_count",
        "words": "are dated on the as-of date or later",
        "remedy": "Nothing that looks from that date sees them. Look for wrong dates and time zones, or for orders that "
            ~ "are loaded later than the rest."
    } %}
    {% set rules = {
        "orders": [
            after_as_of_date,
            unknown_customer,
            {
                "name": "guest_order",
                "count": "guest_row_count",
                "words": "have no customer",
                "remedy": "They count in revenue, not in customers. If guests give an e-mail address, an id made of it "
                    ~ "can be mapped to customer_id."
            }
        ],
        "order_lines": [
            {
                "name": "unknown_product",
                "count": "unknown_product_row_count",
                "needs": "products",
                "words": "have a product_id that the products input does not know",
                "remedy": "They count without a category; load the missing products, or map the same kind of id in both "
                    ~ "inputs."
            }
        ],
        "events": [after_as_of_date, unknown_customer],
        "identities": [after_as_of_date, unknown_customer],
        "messages": [after_as_of_date, unknown_customer]
    } %}
    {{ return(rules.get(input, [])) }}
{% endmacro %}


{# What the rows of an input are called. #}
{% macro input_rows_words(input) %}
    {{ return({
        "orders": "orders",
        "customers": "customer rows",
        "order_lines": "order lines",
        "products": "products",
        "events": "events",
        "identities": "links of visitors",
        "messages": "messages"
    }[input]) }}
{% endmacro %}


{# What the marts lack without an input. #}
{% macro input_absence_words(input) %}
    {{ return({
        "orders": "nothing can be computed",
        "customers": "customers without orders and the time since sign-up are not known",
        "order_lines": "the size of baskets and the products bought are not known",
        "products": "the categories of products are not known",
        "events": "visits, views, searches and carts are not known",
        "identities": "events of anonymous visitors count for nobody",
        "messages": "opens and clicks are not known"
    }[input]) }}
{% endmacro %}


{# 'a of b rows (c %)' as SQL text. #}
{% macro part_words(part_sql, whole_sql, noun_sql) %}
    {{- "cast(" ~ part_sql ~ " as string) || ' of ' || cast(" ~ whole_sql ~ " as string) || ' ' || " ~ noun_sql
        ~ " || ' (' || " ~ coterie.percent_words(part_sql, whole_sql) ~ " || ')'" -}}
{% endmacro %}


{# A part in percent as SQL text. #}
{% macro percent_words(part_sql, whole_sql) %}
    {{- "cast(cast(100 * coalesce(cast(" ~ part_sql ~ " as double) / nullif(" ~ whole_sql
        ~ ", 0), 0) as decimal(9, 2)) as string) || ' %'" -}}
{% endmacro %}
