{% set relations = {
    'orders': 'order_days',
    'customers': 'customer_days',
    'order_lines': 'order_line_days',
    'products': 'product_days',
    'events': 'event_days',
    'identities': 'identity_days',
    'messages': 'message_days',
    'custom_outcomes': 'custom_outcome_days',
    'seed_audiences': 'seed_audience_days',
    'feedback': 'feedback_days',
    'consents': 'consent_days',
    'erasure_requests': 'erasure_request_days'
} %}

with

unknown_customers as (

    -- The few whom the customers input does not know are found faster than the many it knows.
    select customer_id from {{ ref('int_coterie__customers') }}
    where
        not is_in_customers_input
        and {{ 'true' if coterie.is_mapped_input('customers') else 'false' }}

),

known_products as (

    select product_id from {{ ref('int_coterie__products') }}

),

links as (

    select
        identities.anonymous_id,
        coalesce(identities.linked_at < as_of.as_of_date, false) as is_known

    from {{ ref('int_coterie__identities') }} as identities

    cross join {{ ref('int_coterie__as_of') }} as as_of

),

accepted_orders as (

    select
        checked_orders.customer_id is null as is_guest,
        unknown_customers.customer_id is not null as has_unknown_customer,
        cast(checked_orders.ordered_at as date) as happened_on,
        coalesce(
            lower(trim(checked_orders.status))
            in {{ coterie.quoted_list(var('coterie__invalid_order_statuses')) }},
            false
        ) as is_cancelled,
        {{ coterie.size_or_zero('checked_orders.refund_amount') }} > 0 as is_refunded,
        {{ coterie.days_between(
            'checked_orders.ordered_at', coterie.possible_time('checked_orders.status_changed_at')
        ) }} as days_to_change,
        {{ coterie.days_between(
            'checked_orders.ordered_at', coterie.possible_time('checked_orders.refunded_at')
        ) }} as days_to_refund

    from {{ ref('int_coterie__checked_orders') }} as checked_orders

    left join unknown_customers
        on checked_orders.customer_id = unknown_customers.customer_id

    where checked_orders.rejection_rule is null

),

order_days as (

    -- Late: what was told of an order on a later day than its own, or nobody knows when.
    select
        happened_on,
        count(*) as row_count,
        count(case when is_guest then 1 end) as guest_row_count,
        count(case when has_unknown_customer then 1 end) as unknown_customer_row_count,
        count(
            case
                when
                    (is_cancelled and coalesce(days_to_change > 0, true))
                    or (is_refunded and coalesce(days_to_refund > 0, true))
                    then 1
            end
        ) as known_late_row_count,
        count(case when is_cancelled then 1 end) as cancelled_row_count,
        count(case when is_cancelled and days_to_change is null then 1 end)
            as untimed_cancelled_row_count,
        count(case when is_cancelled and days_to_change > 0 then 1 end)
            as late_cancelled_row_count,
        sum(case when is_cancelled and days_to_change > 0 then days_to_change end)
            as cancelled_late_day_count,
        count(case when is_refunded then 1 end) as refunded_row_count,
        count(case when is_refunded and days_to_refund is null then 1 end)
            as untimed_refunded_row_count,
        count(case when is_refunded and days_to_refund > 0 then 1 end) as late_refunded_row_count,
        sum(case when is_refunded and days_to_refund > 0 then days_to_refund end)
            as refunded_late_day_count

    from accepted_orders

    group by happened_on

),

customer_days as (

    -- Attributes that may change; of a sign-up or a birth there is one.
    select
        cast({{ coterie.possible_time('signed_up_at') }} as date) as happened_on,
        count(*) as row_count,
        count(coalesce(gender, country_code, region, city)) as attribute_row_count,
        count(
            case
                when valid_from is null then coalesce(gender, country_code, region, city)
            end
        ) as known_late_row_count

    from {{ ref('int_coterie__checked_customers') }}

    where rejection_rule is null

    group by cast({{ coterie.possible_time('signed_up_at') }} as date)

),

order_line_days as (

    select
        cast(checked_order_lines.ordered_at as date) as happened_on,
        count(*) as row_count,
        count(case when known_products.product_id is null then 1 end)
            as unknown_product_row_count

    from {{ ref('int_coterie__checked_order_lines') }} as checked_order_lines

    left join known_products
        on checked_order_lines.product_id = known_products.product_id

    where checked_order_lines.rejection_rule is null

    group by cast(checked_order_lines.ordered_at as date)

),

product_days as (

    -- A launch is no day on which a row came.
    select
        cast(null as date) as happened_on,
        count(*) as row_count,
        count(category) as attribute_row_count,
        count(category) as known_late_row_count

    from {{ ref('int_coterie__checked_products') }}

    where rejection_rule is null

),

event_days as (

    select
        checked_events.happened_on,
        sum(checked_events.event_count) as row_count,
        sum(
            case
                when unknown_customers.customer_id is not null then checked_events.event_count
            end
        ) as unknown_customer_row_count,
        sum(case when checked_events.is_anonymous then checked_events.event_count end)
            as anonymous_row_count,
        sum(
            case
                when checked_events.is_anonymous and not coalesce(links.is_known, false)
                    then checked_events.event_count
            end
        ) as unlinked_row_count

    from {{ ref('int_coterie__checked_events') }} as checked_events

    left join links
        on
            case when checked_events.is_anonymous then checked_events.visitor_id end
            = links.anonymous_id

    left join unknown_customers
        on
            case when not checked_events.is_anonymous then checked_events.visitor_id end
            = unknown_customers.customer_id

    where checked_events.rejection_rule is null

    group by checked_events.happened_on

),

identity_days as (

    -- Whom a second link names need not be a customer of ours.
    select
        cast(checked_identities.linked_at as date) as happened_on,
        count(*) as row_count,
        count(case when customer_attributes.customer_id is null then 1 end)
            as unknown_customer_row_count

    from {{ ref('int_coterie__checked_identities') }} as checked_identities

    left join {{ ref('int_coterie__customer_attributes') }} as customer_attributes
        on
            checked_identities.customer_id = customer_attributes.customer_id
            and customer_attributes.is_first

    where checked_identities.rejection_rule is null

    group by cast(checked_identities.linked_at as date)

),

message_days as (

    select
        cast(checked_messages.sent_at as date) as happened_on,
        count(*) as row_count,
        count(unknown_customers.customer_id) as unknown_customer_row_count

    from {{ ref('int_coterie__checked_messages') }} as checked_messages

    left join unknown_customers
        on checked_messages.customer_id = unknown_customers.customer_id

    where checked_messages.rejection_rule is null

    group by cast(checked_messages.sent_at as date)

),

custom_outcome_days as (

    select
        cast(custom_outcomes.occurred_at as date) as happened_on,
        count(*) as row_count,
        count(unknown_customers.customer_id) as unknown_customer_row_count

    from {{ ref('int_coterie__checked_custom_outcomes') }} as custom_outcomes

    left join unknown_customers
        on custom_outcomes.customer_id = unknown_customers.customer_id

    where custom_outcomes.rejection_rule is null

    group by cast(custom_outcomes.occurred_at as date)

),

seed_audience_days as (

    -- A list has no days; who is on it must be known by what they did or by the customers input.
    select
        cast(null as date) as happened_on,
        count(*) as row_count,
        count(case when customers.customer_id is null then 1 end) as unknown_customer_row_count

    from {{ ref('int_coterie__checked_seed_audiences') }} as seed_audiences

    left join {{ ref('int_coterie__customers') }} as customers
        on seed_audiences.customer_id = customers.customer_id

    where seed_audiences.rejection_rule is null

),

feedback_days as (

    -- Who only writes is no customer of ours.
    select
        cast(feedback.occurred_at as date) as happened_on,
        count(*) as row_count,
        count(case when customer_attributes.customer_id is null then 1 end)
            as unknown_customer_row_count

    from {{ ref('int_coterie__feedback') }} as feedback

    left join {{ ref('int_coterie__customer_attributes') }} as customer_attributes
        on
            feedback.customer_id = customer_attributes.customer_id
            and customer_attributes.is_first

    group by cast(feedback.occurred_at as date)

),

consent_days as (

    -- Who only consents is no customer of ours.
    select
        cast(consents.changed_at as date) as happened_on,
        count(*) as row_count,
        count(case when customers.customer_id is null then 1 end) as unknown_customer_row_count

    from {{ ref('int_coterie__checked_consents') }} as consents

    left join {{ ref('int_coterie__customers') }} as customers
        on consents.customer_id = customers.customer_id

    where consents.rejection_rule is null

    group by cast(consents.changed_at as date)

),

erasure_request_days as (

    select
        cast(requested_at as date) as happened_on,
        count(*) as row_count

    from {{ ref('int_coterie__checked_erasure_requests') }}

    where rejection_rule is null

    group by cast(requested_at as date)

),

input_days as (

    {% for input, relation in relations.items() %}
    {{ 'union all' if not loop.first }}
    select
        '{{ input }}' as input_name,
        happened_on,
        {%- for name in coterie.input_day_counts() %}
        {{ coterie.input_day_count(name, input) }} as {{ name }},
        {%- endfor %}
        cast(row_count as bigint) as row_count

    from {{ relation }}

    {% endfor %}
)

select * from input_days
