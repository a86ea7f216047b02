with

customer_features as (

    select
        as_of_date,
        customer_id,
        is_scoring_date,
        is_in_sample,
        order_day_count,
        days_since_first_order,
        days_since_last_order,
        avg_repeat_net_amount

    from {{ ref('int_coterie__customer_features') }}

    where order_day_count > 0

),

purchase_histories as (

    -- Whole weeks, rounded up: a second order day is never at recency 0, and states are few.
    select
        as_of_date,
        customer_id,
        is_scoring_date,
        is_in_sample,
        order_day_count - 1 as repeat_count,
        days_since_first_order - days_since_last_order as recency_days,
        days_since_first_order as age_days,
        cast(ceil((days_since_first_order - days_since_last_order) / 7.0) as bigint)
            as recency_weeks,
        cast(ceil(days_since_first_order / 7.0) as bigint) as age_weeks,
        avg_repeat_net_amount

    from customer_features

)

select * from purchase_histories
