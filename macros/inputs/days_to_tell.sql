{#
    The days that int_coterie__customer_days tells anew: those of which the accepted rows now add up
    to something else than is held, and the newest ones. The sums cover what a day holds as a whole
    and how much later it became known, so that a row that came late, vanished, was corrected or was
    linked is found whenever that happened.
#}
{% macro days_to_tell() %}
    {%- set order_lag = coterie.days_between("ordered_on", "greatest(refunded_at, ordered_at)") -%}
    {%- set cancel_lag = coterie.days_between("ordered_on", "greatest(status_changed_at, ordered_at)") -%}
    {%- set message_lags -%}
        {%- for time in ["opened_at", "clicked_at", "unsubscribed_at"] -%}
        + coalesce({{ coterie.days_between("sent_at", "greatest(" ~ time ~ ", sent_at)") }}, 0)
        {%- endfor -%}
    {%- endset -%}
    {%- set sums = [
        "placed", "cancelled", "cancel_lag", "net_amount", "refund_amount", "refund_lag", "discount",
        "lines", "events", "event_lag", "sent", "opened", "clicked", "unsubscribed", "message_lag"
    ] -%}
    select happened_on
    from (
        select
            ordered_on as happened_on,
            count(case when not is_test then 1 end) as placed,
            count(case when not is_test and has_invalid_status then 1 end) as cancelled,
            sum(case when not is_test and has_invalid_status then {{ cancel_lag }} else 0 end)
                as cancel_lag,
            sum(case when is_kept then order_amount - capped_refund_amount else 0 end) as net_amount,
            sum(case when is_kept then capped_refund_amount else 0 end) as refund_amount,
            sum(
                case
                    when is_kept then capped_refund_amount * {{ order_lag }}
                    when not is_test and order_amount > 0 and {{ cancel_lag }} > {{ order_lag }}
                        then capped_refund_amount * ({{ order_lag }} - {{ cancel_lag }})
                    else 0
                end
            ) as refund_lag,
            sum(case when is_kept then discount_amount else 0 end) as discount,
            0 as lines, 0 as events, 0 as event_lag, 0 as sent, 0 as opened, 0 as clicked,
            0 as unsubscribed, 0 as message_lag
        from (
            select
                *,
                least(refund_amount, order_amount) as capped_refund_amount,
                not is_test and not has_invalid_status and order_amount > 0 as is_kept
            from {{ ref('coterie', 'int_coterie__orders') }}
            where customer_id is not null
        ) as orders
        group by ordered_on

        union all

        select
            cast(ordered_at as date) as happened_on,
            0, 0, 0, 0, 0, 0, 0,
            count(*) as lines,
            0, 0, 0, 0, 0, 0, 0
        from {{ ref('coterie', 'int_coterie__checked_order_lines') }}
        where rejection_rule is null and is_of_customer
        group by cast(ordered_at as date)

        union all

        select
            events.happened_on,
            0, 0, 0, 0, 0, 0, 0, 0,
            sum(events.event_count) as events,
            sum(
                case
                    when events.is_anonymous and identities.linked_at > events.happened_on
                        then events.event_count
                            * {{ coterie.days_between("events.happened_on", "identities.linked_at") }}
                    else 0
                end
            ) as event_lag,
            0, 0, 0, 0, 0
        from {{ ref('coterie', 'int_coterie__checked_events') }} as events
        left join {{ ref('coterie', 'int_coterie__identities') }} as identities
            on events.is_anonymous and events.visitor_id = identities.anonymous_id
        where
            events.rejection_rule is null
            and (not events.is_anonymous or identities.customer_id is not null)
        group by events.happened_on

        union all

        select
            cast(sent_at as date) as happened_on,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            count(*) as sent,
            count(opened_at) as opened,
            count(clicked_at) as clicked,
            count(unsubscribed_at) as unsubscribed,
            sum(0 {{ message_lags }}) as message_lag
        from {{ ref('coterie', 'int_coterie__messages') }}
        group by cast(sent_at as date)

        union all

        select
            happened_on,
            -sum(placed_order_count),
            -sum(cancelled_order_count),
            -sum(cancelled_order_count * {{ coterie.days_between("happened_on", "known_on") }}),
            -sum(net_amount),
            -sum(refund_amount),
            -sum(refund_amount * {{ coterie.days_between("happened_on", "known_on") }}),
            -sum(discount_amount),
            -sum(line_count),
            -sum(event_count),
            -sum(event_count * {{ coterie.days_between("happened_on", "known_on") }}),
            -sum(message_count),
            -sum(opened_message_count),
            -sum(clicked_message_count),
            -sum(unsubscribed_message_count),
            -sum(
                (opened_message_count + clicked_message_count + unsubscribed_message_count)
                * {{ coterie.days_between("happened_on", "known_on") }}
            )
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
