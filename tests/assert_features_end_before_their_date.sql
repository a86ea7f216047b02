-- No feature may see a row from its as-of date or later: the newest row that a feature counts was
-- known before the date, nothing is 0 days ago, no count is above that of the rows known before the
-- date, and money is that of the orders, cancellations and refunds known before it. Recounted from
-- the accepted rows, without what builds the features, and only at origins, because they alone
-- teach, and they are a bounded sample.
with

features as (

    select * from {{ ref('coterie', 'int_coterie__customer_features') }}

),

origins as (

    select
        as_of_date,
        customer_id,
        order_count,
        net_amount,
        view_count_30d + search_count_30d + cart_count_30d + checkout_count_30d as event_count_30d,
        message_count_90d

    from features

    where not is_scoring_date

),

orders_at_origins as (

    select
        origins.as_of_date,
        origins.customer_id,
        orders.is_test
        or (orders.has_invalid_status and orders.status_changed_at < origins.as_of_date)
            as is_void,
        orders.order_amount
        - case when orders.refunded_at < origins.as_of_date then orders.refund_amount else 0 end
            as net_amount

    from origins

    inner join {{ ref('coterie', 'int_coterie__orders') }} as orders
        on
            origins.customer_id = orders.customer_id
            and origins.as_of_date > orders.ordered_at

),

known_orders as (

    select
        as_of_date,
        customer_id,
        count(*) as order_count,
        sum(net_amount) as net_amount

    from orders_at_origins

    where
        not is_void
        and net_amount > 0

    group by as_of_date, customer_id

),

customers_at_origins as (

    select distinct customer_id from origins

),

visitors as (

    -- What an anonymous visitor did is known of the customer from the day of linking.
    select
        customer_id,
        customer_id as visitor_id,
        false as is_anonymous,
        cast(null as date) as linked_on

    from customers_at_origins

    union all

    select
        identities.customer_id,
        identities.anonymous_id as visitor_id,
        true as is_anonymous,
        cast(identities.linked_at as date) as linked_on

    from {{ ref('coterie', 'int_coterie__identities') }} as identities

    inner join customers_at_origins
        on identities.customer_id = customers_at_origins.customer_id

),

customer_events as (

    select
        visitors.customer_id,
        checked_events.event_count,
        greatest(
            checked_events.happened_on,
            coalesce(visitors.linked_on, checked_events.happened_on)
        ) as known_on

    from {{ ref('coterie', 'int_coterie__checked_events') }} as checked_events

    inner join visitors
        on
            checked_events.visitor_id = visitors.visitor_id
            and checked_events.is_anonymous = visitors.is_anonymous

    where checked_events.rejection_rule is null

),

known_events as (

    select
        origins.as_of_date,
        origins.customer_id,
        sum(customer_events.event_count) as event_count

    from origins

    inner join customer_events
        on
            origins.customer_id = customer_events.customer_id
            and origins.as_of_date > customer_events.known_on

    group by origins.as_of_date, origins.customer_id

),

known_messages as (

    select
        origins.as_of_date,
        origins.customer_id,
        count(*) as message_count

    from origins

    inner join {{ ref('coterie', 'int_coterie__messages') }} as messages
        on
            origins.customer_id = messages.customer_id
            and origins.as_of_date > messages.sent_at

    group by origins.as_of_date, origins.customer_id

),

late as (

    select
        as_of_date,
        customer_id,
        'a row of the date or later' as claim

    from features

    where
        newest_known_on >= as_of_date
        or last_ordered_at >= as_of_date
        {%- for name in [
            'signup', 'first_order', 'last_order', 'last_session', 'last_view', 'last_search',
            'last_cart', 'last_checkout', 'last_message', 'last_open', 'last_click'
        ] %}
        or days_since_{{ name }} < 1
        {%- endfor %}

    union all

    select
        origins.as_of_date,
        origins.customer_id,
        'more orders than were placed before' as claim

    from origins

    left join known_orders
        on
            origins.as_of_date = known_orders.as_of_date
            and origins.customer_id = known_orders.customer_id

    where origins.order_count > coalesce(known_orders.order_count, 0)

    union all

    select
        origins.as_of_date,
        origins.customer_id,
        'other money than was known before' as claim

    from origins

    left join known_orders
        on
            origins.as_of_date = known_orders.as_of_date
            and origins.customer_id = known_orders.customer_id

    where origins.net_amount != coalesce(known_orders.net_amount, 0)

    union all

    select
        origins.as_of_date,
        origins.customer_id,
        'more events than were known before' as claim

    from origins

    left join known_events
        on
            origins.as_of_date = known_events.as_of_date
            and origins.customer_id = known_events.customer_id

    where origins.event_count_30d > coalesce(known_events.event_count, 0)

    union all

    select
        origins.as_of_date,
        origins.customer_id,
        'more messages than were sent before' as claim

    from origins

    left join known_messages
        on
            origins.as_of_date = known_messages.as_of_date
            and origins.customer_id = known_messages.customer_id

    where origins.message_count_90d > coalesce(known_messages.message_count, 0)

)

select * from late
