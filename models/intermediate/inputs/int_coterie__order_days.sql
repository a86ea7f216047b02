with

order_days as (

    select
        cast(input_rows.ordered_at as date) as ordered_on,
        count(*) as order_count

    from {{ ref('stg_coterie__orders') }} as input_rows

    where {{ coterie.broken_rule('orders') }} is null

    group by cast(input_rows.ordered_at as date)

),

day_gaps as (

    select
        ordered_on,
        order_count,
        lag(ordered_on) over (order by ordered_on) as previous_ordered_on,
        sum(order_count) over (
            order by ordered_on desc
            rows between unbounded preceding and current row
        ) as remaining_order_count,
        sum(order_count) over (
            order by ordered_on
            rows between unbounded preceding and 1 preceding
        ) as earlier_order_count,
        sum(order_count) over () as all_order_count

    from order_days

),

sound_days as (

    -- A few days far from all others are typing errors; without this they would set the date,
    -- or pretend a long history.
    select
        min(case when remaining_order_count < 0.001 * all_order_count then ordered_on end)
            as future_starts_on,
        max(case when earlier_order_count < 0.001 * all_order_count then ordered_on end)
            as past_ends_on

    from day_gaps

    where {{ coterie.days_between('previous_ordered_on', 'ordered_on') }} > 30

),

dated as (

    select
        order_days.ordered_on,
        order_days.order_count,
        coalesce(order_days.ordered_on >= sound_days.future_starts_on, false) as is_far_ahead,
        coalesce(order_days.ordered_on < sound_days.past_ends_on, false) as is_far_behind

    from order_days

    cross join sound_days

)

select * from dated
