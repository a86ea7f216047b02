{#
    The rules about accepted rows of an input, which somebody should know of all the same: the other
    input that they need, the words and the remedy.
#}
{% macro row_rules(input) %}
    {% set unknown_customer = {
        "name": "unknown_customer",
        "needs": "customers",
        "words": "have a customer_id that the customers input does not know",
        "remedy": "They count; load the missing customers, or map the same kind of id in both inputs."
    } %}
    {% set after_as_of_date = {
        "name": "after_as_of_date",
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
                    "words": "have no customer",
                "remedy": "They count in revenue, not in customers. If guests give an e-mail address, an id made of it "
                    ~ "can be mapped to customer_id."
            }
        ],
        "order_lines": [
            {
                "name": "unknown_product",
                    "needs": "products",
                "words": "have a product_id that the products input does not know",
                "remedy": "They count without a category; load the missing products, or map the same kind of id in both "
                    ~ "inputs."
            }
        ],
        "events": [after_as_of_date, unknown_customer],
        "identities": [after_as_of_date, unknown_customer],
        "messages": [after_as_of_date, unknown_customer],
        "custom_outcomes": [after_as_of_date, unknown_customer],
        "seed_audiences": [
            {
                "name": "unknown_customer",
                "words": "have a customer_id that no other input knows",
                "remedy": "They count for nothing; map the same kind of id as in the other inputs."
            }
        ],
        "consents": [
            {
                "name": "unknown_customer",
                "words": "have a customer_id that no other input knows",
                "remedy": "They permit nothing; map the same kind of id as in the other inputs."
            }
        ],
        "feedback": [after_as_of_date, unknown_customer]
    } %}
    {{ return(rules.get(input, [])) }}
{% endmacro %}


{#
    Every rule that counts rows of a mapped input, with the shares at which it is worth a look and at
    which somebody must act.
#}
{% macro counting_rules() %}
    {% set inputs = coterie.mapped_input_names() %}
    {% set rules = [] %}
    {% for input in inputs %}
        {% set total = {
            "name": "all_rejected",
            "words": "break a rule",
            "remedy": "The build fails above the var coterie__max_rejected_share and 100 rows."
        } %}
        {% for rule in coterie.rejection_rules(input) + [total] %}
            {% do rules.append({
                "input": input,
                "name": rule.name,
                "words": rule.words,
                "remedy": " and are left out; they stand in int_coterie__rejected_rows. " ~ rule.remedy,
                "watch_at": coterie.quality_threshold("rejected_share_watch"),
                "act_at": "cast(" ~ (var("coterie__max_rejected_share") | float) ~ " as double)",
                "act_above_count": 100
            }) %}
        {% endfor %}
        {% for rule in coterie.row_rules(input) if not rule.needs or rule.needs in inputs %}
            {# A date that was asked for leaves out what came later: no fault of the rows. #}
            {% set is_asked_for = rule.name == "after_as_of_date" and coterie.given_as_of_date() is not none %}
            {% set never = "cast(null as double)" %}
            {% do rules.append({
                "input": input,
                "name": rule.name,
                "words": rule.words,
                "remedy": ". " ~ rule.remedy,
                "watch_at": never if is_asked_for else coterie.quality_threshold(rule.name ~ "_watch"),
                "act_at": never if is_asked_for else coterie.quality_threshold(rule.name ~ "_act"),
                "act_above_count": 0
            }) %}
        {% endfor %}
    {% endfor %}
    {{ return(rules) }}
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
        "messages": "messages",
        "custom_outcomes": "outcomes",
        "seed_audiences": "members of audiences",
        "feedback": "reviews and answers",
        "consents": "consents",
        "erasure_requests": "requests to be erased"
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
        "messages": "opens and clicks are not known",
        "custom_outcomes": "only purchases can be predicted",
        "seed_audiences": "nobody is looked for who is like the members of an audience",
        "feedback": "topics of interest hold no words of customers",
        "consents": "nobody is in an audience (var coterie__consent_required)",
        "erasure_requests": "nobody is erased"
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


{# How many orders changed later than they were placed, and how much later, as SQL text. #}
{% macro change_words(change, column, name) %}
    {%- set changed = change ~ "_row_count" -%}
    case
        when {{ changed }} = 0 then 'No order has {{ name }}.'
        when untimed_{{ changed }} = {{ changed }}
            then
                cast({{ changed }} as string)
                || ' orders have {{ name }} and none a {{ column }}: it counts as known from the day '
                || 'of the order on. Map {{ column }}.'
        else
            cast(late_{{ changed }} as string)
            || ' of '
            || cast({{ changed }} as string)
            || ' orders with {{ name }} got it on a later day, after '
            || cast(
                cast(
                    coalesce(
                        cast({{ change }}_late_day_count as double) / nullif(late_{{ changed }}, 0), 0
                    ) as decimal(9, 1)
                ) as string
            )
            || ' days on average; '
            || cast(untimed_{{ changed }} as string)
            || ' have no {{ column }} and count as known from the day of the order on.'
    end
{%- endmacro %}
