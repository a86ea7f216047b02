{{ config(materialized='view') }}

with

accepted as (

    select * from {{ ref('int_coterie__checked_orders') }}
    where rejection_rule is null

),

orders as (

    select
        order_id,
        customer_id,
        ordered_at,
        cast(ordered_at as date) as ordered_on,
        cast(order_amount as decimal(18, 2)) as order_amount,
        cast({{ coterie.size_or_zero('refund_amount') }} as decimal(18, 2)) as refund_amount,
        cast({{ coterie.size_or_zero('discount_amount') }} as decimal(18, 2)) as discount_amount,
        case
            when abs(margin_amount) < {{ coterie.amount_limit() }}
                then cast(margin_amount as decimal(18, 2))
        end as margin_amount,
        -- A change without a time of its own has always been known.
        coalesce({{ coterie.possible_time('refunded_at') }}, ordered_at) as refunded_at,
        coalesce({{ coterie.possible_time('status_changed_at') }}, ordered_at)
            as status_changed_at,
        status,
        coalesce(
            lower(trim(status))
            in {{ coterie.quoted_list(var('coterie__invalid_order_statuses')) }},
            false
        ) as has_invalid_status,
        coalesce(is_test, false) as is_test,
        sales_channel,
        coupon_code

    from accepted

)

select * from orders
