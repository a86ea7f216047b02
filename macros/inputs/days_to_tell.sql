{#
    The days that a table of customer-days tells anew: those of which the accepted rows of its input
    (`orders` with their lines, `events` with their links, or `messages`) now add up to something
    else than is held, and the newest ones. The sums cover what a day holds as a whole and how much
    later it became known, and of whom: each customer's share weighs another. So a row that came
    late, vanished, was corrected, was linked or was given to somebody else is found whenever that
    happened.
#}
{% macro days_to_tell(input) %}
    {%- set sums = {
        "orders": coterie.order_day_sums(),
        "events": coterie.event_day_sums(),
        "messages": coterie.message_day_sums()
    }[input] -%}
    select happened_on
    from (
        {% if input == "orders" %}
        {{ coterie.given_order_day_sums() }}
        {% elif input == "events" %}
        {{ coterie.given_event_day_sums() }}
        {% else %}
        {{ coterie.given_message_day_sums() }}
        {% endif %}

        union all

        select
            happened_on
            {%- for name, sum in sums.items() %},
            -{{ coterie.sum_by_customer(sum) if name != "lines" else "sum(" ~ sum ~ ")" }}
            {%- endfor %}
        from {{ this }}
        group by happened_on
    ) as totals
    group by happened_on
    having
        happened_on >= {{ coterie.newest_days_from() }}
        {%- for name in sums %}
        or sum({{ name }}) != 0
        {%- endfor %}
{%- endmacro %}


{#
    One row for each day that is told anew: the day and no customer, with NULL in the columns of
    `columns`. As in `marks_of_days`, the strategy deletes these days and drops the marks, so that
    days are decided once a build, and one that has lost all its rows is told, too.
#}
{% macro marks_of_customer_days(model_name, columns) %}
    select
        cast(null as string) as customer_id,
        marks.happened_on,
        cast(null as date) as known_on,
        {%- for name, type in columns.items() %}
        cast(null as {{ type }}) as {{ name }},
        {%- endfor %}
        {{ coterie.input_settings_hash(model_name) }} as input_settings_hash

    from {{ coterie.marked_days("happened_on", "days_to_tell") }} as marks
{%- endmacro %}


{#
    A sum in which each customer has a weight of its own, a number from the hash of the id, so that
    what passes from one customer to another changes it. It fits into 38 digits: the weight has ten,
    and rows that are accepted leave room for it. Lines are not weighed: their orders are.
#}
{% macro sum_by_customer(value_sql) %}
    {{- "sum(cast(" ~ value_sql ~ " as decimal(28, 2)) * cast("
        ~ coterie.row_hash(["customer_id"]) ~ " % 1000000007 as integer))" -}}
{% endmacro %}


{# How much later a held row became known. #}
{% macro held_lag() %}
    {{- coterie.days_between("happened_on", "known_on") -}}
{% endmacro %}


{# What is summed of a held row, by the name that the sum of the accepted rows has. #}
{% macro order_day_sums() %}
    {{ return({
        "placed": "placed_order_count",
        "cancelled": "cancelled_order_count",
        "cancel_lag": "cancelled_order_count * " ~ coterie.held_lag(),
        "valid": "order_count",
        "with_coupon": "coupon_order_count",
        "in_the_morning": "morning_order_count",
        "in_the_evening": "evening_order_count",
        "net_amount": "net_amount",
        "refund_amount": "refund_amount",
        "refund_lag": "refund_amount * " ~ coterie.held_lag(),
        "discount": "discount_amount",
        "lines": "line_count"
    }) }}
{% endmacro %}


{% macro given_order_day_sums() %}
    {%- set order_lag = coterie.days_between("ordered_on", "greatest(refunded_at, ordered_at)") -%}
    {%- set cancel_lag = coterie.days_between("ordered_on", "greatest(status_changed_at, ordered_at)") -%}
    {%- set hour = "extract(hour from ordered_at)" -%}
    {%- set given = {
        "placed": "case when not is_test then 1 else 0 end",
        "cancelled": "case when not is_test and has_invalid_status then 1 else 0 end",
        "cancel_lag": "case when not is_test and has_invalid_status then " ~ cancel_lag ~ " else 0 end",
        "valid": "case when is_valid then 1 else 0 end",
        "with_coupon": "case when is_valid and coupon_code is not null then 1 else 0 end",
        "in_the_morning": "case when is_valid and " ~ hour ~ " between 5 and 11 then 1 else 0 end",
        "in_the_evening": "case when is_valid and " ~ hour ~ " >= 18 then 1 else 0 end",
        "net_amount": "case when is_kept then order_amount - capped_refund_amount else 0 end",
        "refund_amount": "case when is_kept then capped_refund_amount else 0 end",
        "refund_lag": "case when is_kept then capped_refund_amount * " ~ order_lag
            ~ " when not is_test and order_amount > 0 and " ~ cancel_lag ~ " > " ~ order_lag
            ~ " then capped_refund_amount * (" ~ order_lag ~ " - " ~ cancel_lag ~ ") else 0 end",
        "discount": "case when is_kept then discount_amount else 0 end",
    } -%}
        select
            ordered_on as happened_on,
            {%- for name, value_sql in given.items() %}
            {{ coterie.sum_by_customer(value_sql) }} as {{ name }},
            {%- endfor %}
            0 as lines
        from (
            select
                *,
                is_kept and order_amount > capped_refund_amount as is_valid
            from (
                select
                    *,
                    least(refund_amount, order_amount) as capped_refund_amount,
                    not is_test and not has_invalid_status and order_amount > 0 as is_kept
                from {{ ref('coterie', 'int_coterie__orders') }}
                where customer_id is not null
            ) as capped_orders
        ) as orders
        group by ordered_on

        union all

        select
            cast(ordered_at as date) as happened_on,
            {%- for name in given %}
            0 as {{ name }},
            {%- endfor %}
            count(*) as lines
        from {{ ref('coterie', 'int_coterie__checked_order_lines') }}
        where rejection_rule is null and is_of_customer
        group by cast(ordered_at as date)
{%- endmacro %}


{% macro event_day_sums() %}
    {{ return({
        "events": "event_count",
        "event_lag": "event_count * " ~ coterie.held_lag()
    }) }}
{% endmacro %}


{% macro given_event_day_sums() %}
        select
            happened_on,
            {{ coterie.sum_by_customer("event_count") }} as events,
            {{ coterie.sum_by_customer("event_count * lag_days") }} as event_lag
        from (
            select
                events.happened_on,
                events.event_count,
                case when events.is_anonymous then identities.customer_id else events.visitor_id end
                    as customer_id,
                case
                    when events.is_anonymous and identities.linked_at > events.happened_on
                        then {{ coterie.days_between("events.happened_on", "identities.linked_at") }}
                    else 0
                end as lag_days
            from {{ ref('coterie', 'int_coterie__checked_events') }} as events
            left join {{ ref('coterie', 'int_coterie__identities') }} as identities
                on events.is_anonymous and events.visitor_id = identities.anonymous_id
            where
                events.rejection_rule is null
                and (not events.is_anonymous or identities.customer_id is not null)
        ) as visits
        group by happened_on
{%- endmacro %}


{% macro message_day_sums() %}
    {{ return({
        "sent": "message_count",
        "opened": "opened_message_count",
        "clicked": "clicked_message_count",
        "unsubscribed": "unsubscribed_message_count",
        "message_lag": "(opened_message_count + clicked_message_count + unsubscribed_message_count) * "
            ~ coterie.held_lag()
    }) }}
{% endmacro %}


{% macro given_message_day_sums() %}
    {%- set message_lags -%}
        {%- for time in ["opened_at", "clicked_at", "unsubscribed_at"] -%}
        + coalesce({{ coterie.days_between("sent_at", "greatest(" ~ time ~ ", sent_at)") }}, 0)
        {%- endfor -%}
    {%- endset -%}
        select
            cast(sent_at as date) as happened_on,
            {{ coterie.sum_by_customer("1") }} as sent,
            {%- for name in ["opened", "clicked", "unsubscribed"] %}
            {{ coterie.sum_by_customer("case when " ~ name ~ "_at is not null then 1 else 0 end") }}
                as {{ name }},
            {%- endfor %}
            {{ coterie.sum_by_customer("0 " ~ message_lags) }} as message_lag
        from {{ ref('coterie', 'int_coterie__messages') }}
        group by cast(sent_at as date)
{%- endmacro %}
