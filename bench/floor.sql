-- The features of int_coterie__customer_features in one script, written for speed: what the models
-- are measured against. It reads the raw files once each, takes the pairs of date and customer from
-- a file of the built int_coterie__customer_as_of_dates, and checks nothing: no duplicate is
-- removed, no row rejected, so its rows equal the models' only on clean files.
--
-- Variables: `data`, the folder of the Parquet files; `pairs`, the file with as_of_date and
-- customer_id.

create or replace temp table pairs as
select
    cast(row_number() over () as integer) as pair_id,
    as_of_date,
    customer_id
from read_parquet(getvariable('pairs'));

-- One row per pair and order before the date. Whole numbers stand for the long texts from here on.
create or replace temp table pair_orders as
with

orders as (

    select
        order_id,
        cast(row_number() over () as integer) as order_number,
        customer_id,
        ordered_at,
        order_amount,
        coalesce(abs(refund_amount), 0) as refund_amount,
        coalesce(refunded_at, ordered_at) as refunded_at,
        coalesce(
            lower(trim(status)) in ('cancelled', 'canceled', 'failed', 'voided', 'pending', 'test'),
            false
        ) as has_invalid_status,
        coalesce(status_changed_at, ordered_at) as status_changed_at,
        coalesce(abs(discount_amount), 0) as discount_amount,
        sales_channel,
        coupon_code is not null as has_coupon

    from read_parquet(getvariable('data') || '/orders.parquet')

    where
        customer_id is not null
        and is_test is not true

),

known_orders as (

    select
        pairs.pair_id,
        orders.order_id,
        orders.order_number,
        orders.ordered_at,
        orders.order_amount,
        orders.discount_amount,
        orders.sales_channel,
        orders.has_coupon,
        pairs.as_of_date - cast(orders.ordered_at as date) as days_ago,
        case when orders.refunded_at < pairs.as_of_date then orders.refund_amount else 0 end
            as refund_amount,
        orders.has_invalid_status and orders.status_changed_at < pairs.as_of_date
            as has_invalid_status

    from orders

    inner join pairs
        on
            orders.customer_id = pairs.customer_id
            and orders.ordered_at < pairs.as_of_date

)

select
    *,
    round(order_amount - refund_amount, 2) as net_amount,
    not has_invalid_status and round(order_amount - refund_amount, 2) > 0 as is_valid

from known_orders;

create or replace temp table order_features as
with

placed as (

    -- Days ago fall as time goes on, so the order before is the one with the next larger number.
    select
        *,
        lag(days_ago) over (partition by pair_id, is_valid order by days_ago desc) - days_ago
            as gap_days,
        min(days_ago) over (partition by pair_id, is_valid) as last_days_ago,
        max(days_ago) over (partition by pair_id, is_valid) as first_days_ago

    from pair_orders

)

select
    pair_id,
    count(*) as placed_order_count,
    count(*) filter (where has_invalid_status) as cancelled_order_count,
    sum(order_amount) filter (where not has_invalid_status and order_amount > 0)
        as kept_order_amount,
    sum(discount_amount) filter (where not has_invalid_status and order_amount > 0)
        as kept_discount_amount,
    sum(least(refund_amount, order_amount)) filter (
        where not has_invalid_status and order_amount > 0
    ) as refund_amount,
    max(days_ago) filter (where is_valid) as days_since_first_order,
    min(days_ago) filter (where is_valid) as days_since_last_order,
    count(*) filter (where is_valid) as order_count,
    count(*) filter (where is_valid and days_ago <= 30) as order_count_30d,
    count(*) filter (where is_valid and days_ago <= 90) as order_count_90d,
    count(*) filter (where is_valid and days_ago between 91 and 180) as previous_order_count_90d,
    count(*) filter (where is_valid and days_ago <= 365) as order_count_365d,
    sum(net_amount) filter (where is_valid) as net_amount,
    sum(net_amount) filter (where is_valid and days_ago <= 90) as net_amount_90d,
    sum(net_amount) filter (where is_valid and days_ago between 91 and 180)
        as previous_net_amount_90d,
    sum(net_amount) filter (where is_valid and days_ago <= 365) as net_amount_365d,
    sum(net_amount) filter (where is_valid and days_ago = last_days_ago) as last_net_amount,
    sum(net_amount) filter (where is_valid and days_ago < first_days_ago) as repeat_net_amount,
    count(*) filter (where is_valid and has_coupon) as coupon_order_count,
    count(*) filter (where is_valid and isodow(ordered_at) >= 6) as weekend_order_count,
    count(*) filter (where is_valid and hour(ordered_at) between 5 and 11) as morning_order_count,
    count(*) filter (where is_valid and hour(ordered_at) >= 18) as evening_order_count,
    count(*) filter (where is_valid and gap_days > 0) as gap_count,
    max(gap_days) filter (where is_valid and gap_days > 0) as max_gap_days

from placed

group by pair_id;

create or replace temp table channel_features as
with

channels as (

    select
        pair_id,
        count(*) as order_count

    from pair_orders

    where
        is_valid
        and sales_channel is not null

    group by pair_id, sales_channel

)

select
    pair_id,
    count(*) as sales_channel_count,
    max(order_count) / sum(order_count) as top_sales_channel_share

from channels

group by pair_id;

create or replace temp table pair_lines as
select
    pair_orders.pair_id,
    pair_orders.order_number,
    order_lines.product_id,
    order_lines.quantity,
    order_lines.line_amount

from read_parquet(getvariable('data') || '/order_lines.parquet') as order_lines

inner join pair_orders
    on order_lines.order_id = pair_orders.order_id

where pair_orders.is_valid;

create or replace temp table line_features as
with

product_totals as (

    -- A product was bought again where its first and its last order differ.
    select
        pair_id,
        product_id,
        sum(line_amount) as line_amount,
        min(order_number) < max(order_number) as is_repeated

    from pair_lines

    group by pair_id, product_id

),

product_mixes as (

    select
        pair_id,
        count(*) as product_count,
        avg(cast(is_repeated as integer)) as repeat_product_share

    from product_totals

    group by pair_id

),

category_totals as (

    select
        product_totals.pair_id,
        sum(product_totals.line_amount) as line_amount

    from product_totals

    inner join read_parquet(getvariable('data') || '/products.parquet') as products
        on product_totals.product_id = products.product_id

    group by product_totals.pair_id, coalesce(products.category, 'unknown')

),

category_mixes as (

    select
        pair_id,
        count(*) as category_count,
        max(line_amount) / nullif(sum(line_amount), 0) as top_category_share

    from category_totals

    group by pair_id

),

baskets as (

    select
        pair_id,
        sum(quantity) as quantity

    from pair_lines

    group by pair_id, order_number

),

basket_means as (

    select
        pair_id,
        avg(quantity) as avg_item_count

    from baskets

    group by pair_id

)

select
    product_mixes.pair_id,
    product_mixes.product_count,
    product_mixes.repeat_product_share,
    category_mixes.category_count,
    category_mixes.top_category_share,
    basket_means.avg_item_count

from product_mixes

inner join basket_means
    on product_mixes.pair_id = basket_means.pair_id

left join category_mixes
    on product_mixes.pair_id = category_mixes.pair_id;

create or replace temp table event_features as
with

identities as (

    -- The first link of a visitor stands.
    select
        anonymous_id,
        min_by(customer_id, (linked_at, customer_id)) as customer_id,
        cast(min(linked_at) as date) as linked_on

    from read_parquet(getvariable('data') || '/identities.parquet')

    group by anonymous_id

),

raw_events as (

    select
        customer_id,
        anonymous_id,
        session_id,
        cast(occurred_at as date) as occurred_on,
        lower(trim(event_type)) as event_type

    from read_parquet(getvariable('data') || '/events.parquet')

),

events as (

    select
        coalesce(raw_events.customer_id, identities.customer_id) as customer_id,
        raw_events.session_id,
        raw_events.occurred_on,
        case
            when raw_events.customer_id is null
                then greatest(raw_events.occurred_on, identities.linked_on)
            else raw_events.occurred_on
        end as known_on,
        case
            when
                raw_events.event_type in (
                    'view', 'page_view', 'pageview', 'page', 'product_view', 'view_item',
                    'product_viewed', 'product viewed'
                )
                then cast(1 as tinyint)
            when
                raw_events.event_type in (
                    'search', 'searched', 'products_searched', 'products searched',
                    'view_search_results'
                )
                then cast(2 as tinyint)
            when
                raw_events.event_type in (
                    'cart', 'add_to_cart', 'added_to_cart', 'product_added', 'product added'
                )
                then cast(3 as tinyint)
            when
                raw_events.event_type in (
                    'checkout', 'checkout_started', 'checkout started', 'begin_checkout'
                )
                then cast(4 as tinyint)
            else cast(0 as tinyint)
        end as event_kind

    from raw_events

    left join identities
        on
            raw_events.anonymous_id = identities.anonymous_id
            and raw_events.customer_id is null

),

pair_events as materialized (

    -- Sessions are counted over 90 days only; older events can do without theirs.
    select
        pairs.pair_id,
        cast(pairs.as_of_date - events.occurred_on as smallint) as days_ago,
        case when pairs.as_of_date - events.occurred_on <= 90 then events.session_id end
            as session_id,
        events.event_kind

    from events

    inner join pairs
        on
            events.customer_id = pairs.customer_id
            and events.known_on < pairs.as_of_date

),

sessions as (

    -- A session is of one day; where the tracker keeps none, the day is one.
    select
        pair_id,
        days_ago,
        count(*) >= 2 or bool_or(event_kind = 3) as is_engaged

    from pair_events

    where days_ago <= 90

    group by pair_id, days_ago, session_id

),

session_counts as (

    select
        pair_id,
        count(*) filter (where days_ago <= 7) as session_count_7d,
        count(*) filter (where days_ago <= 30) as session_count_30d,
        count(*) as session_count_90d,
        count(*) filter (where is_engaged) as engaged_session_count_90d

    from sessions

    group by pair_id

),

event_counts as (

    select
        pair_id,
        min(days_ago) as days_since_last_session,
        min(days_ago) filter (where event_kind = 1) as days_since_last_view,
        min(days_ago) filter (where event_kind = 2) as days_since_last_search,
        min(days_ago) filter (where event_kind = 3) as days_since_last_cart,
        min(days_ago) filter (where event_kind = 4) as days_since_last_checkout,
        count(*) filter (where event_kind = 1 and days_ago <= 30) as view_count_30d,
        count(*) filter (where event_kind = 2 and days_ago <= 30) as search_count_30d,
        count(*) filter (where event_kind = 3 and days_ago <= 30) as cart_count_30d,
        count(*) filter (where event_kind = 4 and days_ago <= 30) as checkout_count_30d

    from pair_events

    group by pair_id

)

select
    event_counts.pair_id,
    event_counts.days_since_last_session,
    event_counts.days_since_last_view,
    event_counts.days_since_last_search,
    event_counts.days_since_last_cart,
    event_counts.days_since_last_checkout,
    session_counts.session_count_7d,
    session_counts.session_count_30d,
    session_counts.session_count_90d,
    session_counts.engaged_session_count_90d,
    event_counts.view_count_30d,
    event_counts.search_count_30d,
    event_counts.cart_count_30d,
    event_counts.checkout_count_30d

from event_counts

left join session_counts
    on event_counts.pair_id = session_counts.pair_id;

create or replace temp table message_features as
with

known_messages as (

    select
        pairs.pair_id,
        pairs.as_of_date - cast(messages.sent_at as date) as days_ago,
        case
            when messages.opened_at < pairs.as_of_date
                then pairs.as_of_date - cast(messages.opened_at as date)
        end as days_since_opened,
        case
            when messages.clicked_at < pairs.as_of_date
                then pairs.as_of_date - cast(messages.clicked_at as date)
        end as days_since_clicked,
        coalesce(messages.unsubscribed_at < pairs.as_of_date, false) as is_unsubscribed

    from read_parquet(getvariable('data') || '/messages.parquet') as messages

    inner join pairs
        on
            messages.customer_id = pairs.customer_id
            and messages.sent_at < pairs.as_of_date

)

select
    pair_id,
    min(days_ago) as days_since_last_message,
    min(days_since_opened) as days_since_last_open,
    min(days_since_clicked) as days_since_last_click,
    count(*) filter (where days_ago <= 90) as message_count_90d,
    count(days_since_opened) filter (where days_ago <= 90) as opened_count_90d,
    count(days_since_clicked) filter (where days_ago <= 90) as clicked_count_90d,
    bool_or(is_unsubscribed) as is_unsubscribed

from known_messages

group by pair_id;

create or replace table floor_features as
with

signups as (

    select
        customer_id,
        min(signed_up_at) as signed_up_at

    from read_parquet(getvariable('data') || '/customers.parquet')

    group by customer_id

)

select
    pairs.as_of_date,
    pairs.customer_id,
    case
        when signups.signed_up_at < pairs.as_of_date
            then pairs.as_of_date - cast(signups.signed_up_at as date)
    end as days_since_signup,
    orders.days_since_last_order,
    orders.days_since_first_order,
    coalesce(orders.order_count, 0) as order_count,
    coalesce(orders.order_count_30d, 0) as order_count_30d,
    coalesce(orders.order_count_90d, 0) as order_count_90d,
    coalesce(orders.order_count_365d, 0) as order_count_365d,
    coalesce(orders.order_count_90d - orders.previous_order_count_90d, 0)
        as order_count_change_90d,
    round(coalesce(orders.net_amount, 0), 2) as net_amount,
    round(coalesce(orders.net_amount_90d, 0), 2) as net_amount_90d,
    round(coalesce(orders.net_amount_365d, 0), 2) as net_amount_365d,
    round(coalesce(orders.net_amount_90d, 0) - coalesce(orders.previous_net_amount_90d, 0), 2)
        as net_amount_change_90d,
    orders.net_amount / nullif(orders.order_count, 0) as avg_net_amount,
    round(orders.last_net_amount, 2) as last_net_amount,
    orders.repeat_net_amount / nullif(orders.gap_count, 0) as avg_repeat_net_amount,
    (orders.days_since_first_order - orders.days_since_last_order) / nullif(orders.gap_count, 0)
        as avg_gap_days,
    orders.max_gap_days,
    orders.days_since_last_order
    * orders.gap_count
    / nullif(orders.days_since_first_order - orders.days_since_last_order, 0) as overdue_ratio,
    (orders.days_since_first_order - orders.days_since_last_order) / nullif(orders.gap_count, 0)
    - orders.days_since_last_order as days_until_due,
    case
        when orders.order_count > 0
            then
                orders.kept_discount_amount
                / nullif(orders.kept_order_amount + orders.kept_discount_amount, 0)
    end as discount_share,
    orders.coupon_order_count / nullif(orders.order_count, 0) as coupon_order_share,
    orders.refund_amount / nullif(orders.kept_order_amount, 0) as refund_share,
    orders.cancelled_order_count / orders.placed_order_count as cancelled_order_share,
    orders.weekend_order_count / nullif(orders.order_count, 0) as weekend_order_share,
    orders.morning_order_count / nullif(orders.order_count, 0) as morning_order_share,
    orders.evening_order_count / nullif(orders.order_count, 0) as evening_order_share,
    coalesce(channels.sales_channel_count, 0) as sales_channel_count,
    channels.top_sales_channel_share,
    line_features.avg_item_count,
    coalesce(line_features.product_count, 0) as product_count,
    coalesce(line_features.category_count, 0) as category_count,
    line_features.top_category_share,
    line_features.repeat_product_share,
    events.days_since_last_session,
    events.days_since_last_view,
    events.days_since_last_search,
    events.days_since_last_cart,
    events.days_since_last_checkout,
    coalesce(events.session_count_7d, 0) as session_count_7d,
    coalesce(events.session_count_30d, 0) as session_count_30d,
    coalesce(events.session_count_90d, 0) as session_count_90d,
    coalesce(events.engaged_session_count_90d, 0) as engaged_session_count_90d,
    coalesce(events.view_count_30d, 0) as view_count_30d,
    coalesce(events.search_count_30d, 0) as search_count_30d,
    coalesce(events.cart_count_30d, 0) as cart_count_30d,
    coalesce(events.checkout_count_30d, 0) as checkout_count_30d,
    messages.days_since_last_message,
    coalesce(messages.message_count_90d, 0) as message_count_90d,
    messages.opened_count_90d / nullif(messages.message_count_90d, 0) as open_share_90d,
    messages.clicked_count_90d / nullif(messages.message_count_90d, 0)
        as click_share_90d,
    messages.days_since_last_open,
    messages.days_since_last_click,
    coalesce(messages.is_unsubscribed, false) as is_unsubscribed

from pairs

left join signups
    on pairs.customer_id = signups.customer_id

left join order_features as orders
    on pairs.pair_id = orders.pair_id

left join channel_features as channels
    on pairs.pair_id = channels.pair_id

left join line_features
    on pairs.pair_id = line_features.pair_id

left join event_features as events
    on pairs.pair_id = events.pair_id

left join message_features as messages
    on pairs.pair_id = messages.pair_id;
