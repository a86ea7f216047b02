with

orders_as_of as (

    select * from {{ ref('int_coterie__orders_as_of') }}

),

valid_orders as (

    select * from orders_as_of
    where is_valid

),

order_days as (

    select
        as_of_date,
        customer_id,
        ordered_on,
        sum(net_amount) as net_amount

    from valid_orders

    group by as_of_date, customer_id, ordered_on

),

day_gaps as (

    select
        as_of_date,
        customer_id,
        ordered_on,
        net_amount,
        lag(ordered_on) over (
            partition by as_of_date, customer_id
            order by ordered_on
        ) as previous_ordered_on,
        row_number() over (
            partition by as_of_date, customer_id
            order by ordered_on desc
        ) as day_number_from_last

    from order_days

),

rhythms as (

    select
        as_of_date,
        customer_id,
        count(*) as order_day_count,
        max({{ coterie.days_between('previous_ordered_on', 'ordered_on') }}) as max_gap_days,
        sum(case when day_number_from_last = 1 then net_amount end) as last_net_amount

    from day_gaps

    group by as_of_date, customer_id

),

channels as (

    select
        as_of_date,
        customer_id,
        sales_channel,
        count(*) as order_count

    from valid_orders

    where sales_channel is not null

    group by as_of_date, customer_id, sales_channel

),

channel_mixes as (

    select
        as_of_date,
        customer_id,
        count(*) as sales_channel_count,
        max(order_count) as top_sales_channel_order_count,
        sum(order_count) as channel_order_count

    from channels

    group by as_of_date, customer_id

),

attempts as (

    -- Shares of what was ordered, whether or not it stood.
    select
        as_of_date,
        customer_id,
        count(*) as placed_order_count,
        sum(case when has_invalid_status then 1 else 0 end) as cancelled_order_count,
        sum(case when not has_invalid_status and order_amount > 0 then order_amount else 0 end)
            as kept_order_amount,
        sum(
            case
                when not has_invalid_status and order_amount > 0
                    then least(refund_amount, order_amount)
                else 0
            end
        ) as refund_amount

    from orders_as_of

    group by as_of_date, customer_id

),

totals as (

    select
        as_of_date,
        customer_id,
        min(ordered_at) as first_ordered_at,
        max(ordered_at) as last_ordered_at,
        max(days_ago) as days_since_first_order,
        min(days_ago) as days_since_last_order,
        count(*) as order_count,
        sum(case when days_ago <= 30 then 1 else 0 end) as order_count_30d,
        sum(case when days_ago <= 90 then 1 else 0 end) as order_count_90d,
        sum(case when days_ago > 90 and days_ago <= 180 then 1 else 0 end)
            as previous_order_count_90d,
        sum(case when days_ago <= 365 then 1 else 0 end) as order_count_365d,
        sum(case when days_ago <= {{ coterie.rfm_lookback_days() }} then 1 else 0 end)
            as order_count_lookback,
        sum(net_amount) as net_amount,
        sum(case when days_ago <= 90 then net_amount else 0 end) as net_amount_90d,
        sum(case when days_ago > 90 and days_ago <= 180 then net_amount else 0 end)
            as previous_net_amount_90d,
        sum(case when days_ago <= 365 then net_amount else 0 end) as net_amount_365d,
        sum(case when days_ago <= {{ coterie.rfm_lookback_days() }} then net_amount else 0 end)
            as net_amount_lookback,
        sum(discount_amount) as discount_amount,
        sum(order_amount) as order_amount,
        sum(case when coupon_code is not null then 1 else 0 end) as coupon_order_count,
        sum(case when {{ coterie.weekday_number('ordered_on') }} >= 5 then 1 else 0 end)
            as weekend_order_count,
        sum(case when extract(hour from ordered_at) between 5 and 11 then 1 else 0 end)
            as morning_order_count,
        sum(case when extract(hour from ordered_at) >= 18 then 1 else 0 end)
            as evening_order_count

    from valid_orders

    group by as_of_date, customer_id

),

order_features as (

    select
        attempts.as_of_date,
        attempts.customer_id,
        totals.first_ordered_at,
        totals.last_ordered_at,
        totals.days_since_first_order,
        totals.days_since_last_order,
        totals.order_count,
        totals.order_count_30d,
        totals.order_count_90d,
        totals.order_count_365d,
        totals.order_count_lookback,
        totals.order_count_90d - totals.previous_order_count_90d as order_count_change_90d,
        totals.net_amount,
        totals.net_amount_90d,
        totals.net_amount_365d,
        totals.net_amount_lookback,
        totals.net_amount_90d - totals.previous_net_amount_90d as net_amount_change_90d,
        {{ coterie.ratio('totals.net_amount', 'totals.order_count') }} as avg_net_amount,
        rhythms.last_net_amount,
        {{ coterie.ratio(
            'totals.days_since_first_order - totals.days_since_last_order',
            'rhythms.order_day_count - 1'
        ) }} as avg_gap_days,
        rhythms.max_gap_days,
        {{ coterie.ratio(
            'totals.days_since_last_order * (rhythms.order_day_count - 1)',
            'totals.days_since_first_order - totals.days_since_last_order'
        ) }} as overdue_ratio,
        {{ coterie.ratio(
            'totals.discount_amount', 'totals.order_amount + totals.discount_amount'
        ) }} as discount_share,
        {{ coterie.ratio('totals.coupon_order_count', 'totals.order_count') }}
            as coupon_order_share,
        {{ coterie.ratio('attempts.refund_amount', 'attempts.kept_order_amount') }}
            as refund_share,
        {{ coterie.ratio('attempts.cancelled_order_count', 'attempts.placed_order_count') }}
            as cancelled_order_share,
        {{ coterie.ratio('totals.weekend_order_count', 'totals.order_count') }}
            as weekend_order_share,
        {{ coterie.ratio('totals.morning_order_count', 'totals.order_count') }}
            as morning_order_share,
        {{ coterie.ratio('totals.evening_order_count', 'totals.order_count') }}
            as evening_order_share,
        channel_mixes.sales_channel_count,
        {{ coterie.ratio(
            'channel_mixes.top_sales_channel_order_count', 'channel_mixes.channel_order_count'
        ) }} as top_sales_channel_share

    from attempts

    left join totals
        on
            attempts.as_of_date = totals.as_of_date
            and attempts.customer_id = totals.customer_id

    left join rhythms
        on
            attempts.as_of_date = rhythms.as_of_date
            and attempts.customer_id = rhythms.customer_id

    left join channel_mixes
        on
            attempts.as_of_date = channel_mixes.as_of_date
            and attempts.customer_id = channel_mixes.customer_id

)

select * from order_features
