with

customer_nbd as (

    select
        customer_id,
        as_of_date,
        repeat_count,
        recency_days,
        age_days,
        rate_shape,
        rate_weeks,
        nbd_probability_alive as probability_alive

    from {{ ref('int_coterie__customer_nbd') }}

    where is_scoring_date

),

waits as (

    -- Given alive, the days to the next order have a closed form: a rate that follows a gamma
    -- distribution makes waits that follow a Lomax distribution.
    select
        *,
        {{ coterie.wait_days('rate_weeks', 0.1) }} as earliest_days,
        {{ coterie.wait_days('rate_weeks', 0.5) }} as median_days,
        {{ coterie.wait_days('rate_weeks', 0.9) }} as latest_days,
        -- As it looked on the day of the last order.
        {{ coterie.wait_days('rate_weeks - (age_days - recency_days) / 7.0', 0.9) }}
            as longest_usual_days

    from customer_nbd

),

next_orders as (

    select
        customer_id,
        case
            when probability_alive < 0.5 then 'probably_gone'
            when repeat_count < 2 then 'too_few_orders'
            else 'predicted'
        end as next_order_status,
        {%- for name in ['earliest', 'median', 'latest'] %}
        case
            when probability_alive >= 0.5 and repeat_count >= 2
                -- Beyond ten years a date is as good as none.
                then {{ coterie.days_after(
                    'as_of_date', 'cast(least(floor(' ~ name ~ '_days), 3650) as integer)'
                ) }}
        end as {{ name }}_order_on,
        {%- endfor %}
        age_days - recency_days > longest_usual_days as is_overdue

    from waits

)

select * from next_orders
