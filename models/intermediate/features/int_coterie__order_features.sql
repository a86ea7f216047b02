{# One definition for all that is read: what became known later tells nothing. #}
{% set is_known_before = 'customer_as_of_dates.as_of_date > customer_days.known_on' %}
{% set day_age = coterie.days_between(
    'customer_days.happened_on', 'customer_as_of_dates.as_of_date'
) %}

{# A test order leaves a day of nothing, which says no more than that the customer is there. #}
{% set tells_of_orders %}
        (
            customer_days.placed_order_count != 0
            or customer_days.cancelled_order_count != 0
            or customer_days.order_count != 0
            or customer_days.refund_amount != 0
        )
{%- endset %}

with

customer_as_of_dates as (

    -- A number stands for the two, because a short key makes what follows cheaper.
    select
        as_of_date,
        customer_id,
        cast(row_number() over (order by as_of_date, customer_id) as integer) as pair_number

    from {{ ref('int_coterie__customer_as_of_dates') }}

),

corrections as (

    -- What became known of a day's orders after it and before the date: of few days anything.
    select
        customer_as_of_dates.pair_number,
        customer_days.happened_on,
        cast(sum(customer_days.order_count) as integer) as order_count,
        cast(sum(customer_days.net_amount) as decimal(18, 2)) as net_amount

    from customer_as_of_dates

    inner join {{ ref('int_coterie__customer_order_days') }} as customer_days
        on
            customer_as_of_dates.customer_id = customer_days.customer_id
            and {{ is_known_before }}

    where
        customer_days.known_on > customer_days.happened_on
        and {{ tells_of_orders }}

    group by customer_as_of_dates.pair_number, customer_days.happened_on

),

valid_days as (

    -- The days on which an order stands, as was known before the date. A day is corrected only
    -- where it has a row of its own: nothing is lost by the join, and nothing need be grouped.
    select
        customer_as_of_dates.pair_number,
        customer_days.happened_on,
        cast(
            customer_days.net_amount + coalesce(corrections.net_amount, 0) as decimal(18, 2)
        ) as net_amount

    from customer_as_of_dates

    inner join {{ ref('int_coterie__customer_order_days') }} as customer_days
        on
            customer_as_of_dates.customer_id = customer_days.customer_id
            and {{ is_known_before }}

    left join corrections
        on
            customer_as_of_dates.pair_number = corrections.pair_number
            and customer_days.happened_on = corrections.happened_on

    where
        customer_days.known_on = customer_days.happened_on
        and customer_days.order_count + coalesce(corrections.order_count, 0) > 0

),

day_gaps as (

    -- A window sorts whole rows: these have no more columns than are needed.
    select
        pair_number,
        happened_on,
        net_amount,
        lag(happened_on) over (partition by pair_number order by happened_on)
            as previous_ordered_on

    from valid_days

),

day_totals as (

    select
        pair_number,
        min(happened_on) as first_ordered_on,
        max(happened_on) as last_ordered_on,
        max({{ coterie.days_between('previous_ordered_on', 'happened_on') }}) as max_gap_days,
        count(*) as order_day_count,
        max_by(net_amount, happened_on) as last_net_amount,
        min_by(net_amount, happened_on) as first_net_amount

    from day_gaps

    group by pair_number

),

order_days as (

    -- A correction is a row of its own, and is added to what it corrects.
    select
        customer_as_of_dates.pair_number,
        customer_days.known_on,
        customer_days.happened_on,
        {%- for name in coterie.order_day_columns() %}
        customer_days.{{ name }},
        {%- endfor %}
        {{ day_age }} as days_ago

    from customer_as_of_dates

    inner join {{ ref('int_coterie__customer_order_days') }} as customer_days
        on
            customer_as_of_dates.customer_id = customer_days.customer_id
            and {{ is_known_before }}

    where {{ tells_of_orders }}

),

totals as (

    select
        pair_number,
        max(known_on) as newest_known_on,
        sum(order_count) as order_count,
        sum(case when days_ago <= 30 then order_count else 0 end) as order_count_30d,
        sum(case when days_ago <= 90 then order_count else 0 end) as order_count_90d,
        sum(case when days_ago > 90 and days_ago <= 180 then order_count else 0 end)
            as previous_order_count_90d,
        sum(case when days_ago <= 365 then order_count else 0 end) as order_count_365d,
        sum(case when days_ago <= {{ coterie.rfm_lookback_days() }} then order_count else 0 end)
            as order_count_lookback,
        sum(net_amount) as net_amount,
        sum(case when days_ago <= 90 then net_amount else 0 end) as net_amount_90d,
        sum(case when days_ago > 90 and days_ago <= 180 then net_amount else 0 end)
            as previous_net_amount_90d,
        sum(case when days_ago <= 365 then net_amount else 0 end) as net_amount_365d,
        sum(case when days_ago <= {{ coterie.rfm_lookback_days() }} then net_amount else 0 end)
            as net_amount_lookback,
        sum(refund_amount) as refund_amount,
        sum(discount_amount) as discount_amount,
        sum(placed_order_count) as placed_order_count,
        sum(cancelled_order_count) as cancelled_order_count,
        sum(coupon_order_count) as coupon_order_count,
        sum(
            case
                when {{ coterie.weekday_number('happened_on') }} >= 5 then order_count
                else 0
            end
        ) as weekend_order_count,
        sum(morning_order_count) as morning_order_count,
        sum(evening_order_count) as evening_order_count,
        sum(item_count) as item_count,
        sum(lined_order_count) as lined_order_count

    from order_days

    group by pair_number

),

customer_totals as (

    select
        totals.*,
        customer_as_of_dates.as_of_date,
        customer_as_of_dates.customer_id,
        {{ coterie.days_between('day_totals.first_ordered_on', 'customer_as_of_dates.as_of_date') }}
            as days_since_first_order,
        {{ coterie.days_between('day_totals.last_ordered_on', 'customer_as_of_dates.as_of_date') }}
            as days_since_last_order,
        day_totals.max_gap_days,
        coalesce(day_totals.order_day_count, 0) as order_day_count,
        day_totals.last_net_amount,
        day_totals.first_net_amount

    from totals

    inner join customer_as_of_dates
        on totals.pair_number = customer_as_of_dates.pair_number

    left join day_totals
        on totals.pair_number = day_totals.pair_number

),

order_features as (

    select
        as_of_date,
        customer_id,
        newest_known_on,
        days_since_first_order,
        days_since_last_order,
        order_day_count,
        order_count,
        order_count_30d,
        order_count_90d,
        order_count_365d,
        order_count_lookback,
        order_count_90d - previous_order_count_90d as order_count_change_90d,
        net_amount,
        net_amount_90d,
        net_amount_365d,
        net_amount_lookback,
        net_amount_90d - previous_net_amount_90d as net_amount_change_90d,
        {{ coterie.ratio('net_amount', 'order_count') }} as avg_net_amount,
        last_net_amount,
        {{ coterie.ratio('net_amount - first_net_amount', 'order_day_count - 1') }}
            as avg_repeat_net_amount,
        {{ coterie.ratio('days_since_first_order - days_since_last_order', 'order_day_count - 1') }}
            as avg_gap_days,
        max_gap_days,
        {{ coterie.ratio(
            'days_since_last_order * (order_day_count - 1)',
            'days_since_first_order - days_since_last_order'
        ) }} as overdue_ratio,
        {{ coterie.ratio('days_since_first_order - days_since_last_order', 'order_day_count - 1') }}
        - days_since_last_order as days_until_due,
        case
            when order_count > 0
                then {{ coterie.ratio(
                    'discount_amount', 'net_amount + refund_amount + discount_amount'
                ) }}
        end as discount_share,
        {{ coterie.ratio('coupon_order_count', 'order_count') }} as coupon_order_share,
        {{ coterie.ratio('refund_amount', 'net_amount + refund_amount') }} as refund_share,
        {{ coterie.ratio('cancelled_order_count', 'placed_order_count') }}
            as cancelled_order_share,
        {{ coterie.ratio('weekend_order_count', 'order_count') }} as weekend_order_share,
        {{ coterie.ratio('morning_order_count', 'order_count') }} as morning_order_share,
        {{ coterie.ratio('evening_order_count', 'order_count') }} as evening_order_share,
        {{ coterie.ratio('item_count', 'lined_order_count') }} as avg_item_count

    from customer_totals

)

select * from order_features
