-- No feature may see a row from its as-of date or later: nothing is 0 days ago, and no count is
-- above that of the rows known before the date. Only origins are recounted, because they alone
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
        view_count_30d + search_count_30d + cart_count_30d + checkout_count_30d as event_count_30d,
        message_count_90d

    from features

    where not is_scoring_date

),

known_orders as (

    select
        origins.as_of_date,
        origins.customer_id,
        count(*) as order_count

    from origins

    inner join {{ ref('coterie', 'int_coterie__orders') }} as orders
        on
            origins.customer_id = orders.customer_id
            and origins.as_of_date > orders.ordered_at

    group by origins.as_of_date, origins.customer_id

),

known_events as (

    select
        origins.as_of_date,
        origins.customer_id,
        count(*) as event_count

    from origins

    inner join {{ ref('coterie', 'int_coterie__events') }} as events
        on
            origins.customer_id = events.customer_id
            and origins.as_of_date > events.known_at

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
        'a time of 0 days ago' as claim

    from features

    where
        last_ordered_at >= as_of_date
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
