with

customer_as_of_dates as (

    select * from {{ ref('int_coterie__customer_as_of_dates') }}

),

order_features as (

    select * from {{ ref('int_coterie__order_features') }}

),

basket_features as (

    select * from {{ ref('int_coterie__basket_features') }}

),

event_features as (

    select * from {{ ref('int_coterie__event_features') }}

),

message_features as (

    select * from {{ ref('int_coterie__message_features') }}

),

customer_attributes as (

    -- Attributes that may change are known of a date only where the input tells since when.
    select
        customer_id,
        valid_from,
        valid_until,
        gender,
        country_code,
        region,
        city

    from {{ ref('int_coterie__customer_attributes') }}

    where valid_from is not null

),

customer_features as (

    -- Counts and sums of nothing are 0; shares, averages and times since are NULL.
    select
        customer_as_of_dates.as_of_date,
        customer_as_of_dates.customer_id,
        customer_as_of_dates.is_scoring_date,
        customer_as_of_dates.is_in_sample,
        customer_as_of_dates.data_through,
        greatest(
            order_features.newest_known_on,
            event_features.newest_known_on,
            message_features.newest_known_on,
            cast(basket_features.last_ordered_at as date)
        ) as newest_known_on,
        basket_features.first_ordered_at,
        basket_features.last_ordered_at,
        case
            when customer_as_of_dates.signed_up_at < customer_as_of_dates.as_of_date
                then {{ coterie.days_between(
                    'customer_as_of_dates.signed_up_at', 'customer_as_of_dates.as_of_date'
                ) }}
        end as days_since_signup,
        case
            when customer_as_of_dates.birth_date < customer_as_of_dates.as_of_date
                then {{ coterie.whole_years_between(
                    'customer_as_of_dates.birth_date', 'customer_as_of_dates.as_of_date'
                ) }}
        end as age_years,
        customer_attributes.gender,
        customer_attributes.country_code,
        customer_attributes.region,
        customer_attributes.city,
        {%- for name in [
            'days_since_first_order', 'days_since_last_order', 'avg_net_amount',
            'avg_repeat_net_amount', 'avg_gap_days', 'max_gap_days', 'overdue_ratio', 'days_until_due', 'discount_share',
            'coupon_order_share', 'refund_share', 'cancelled_order_share', 'weekend_order_share',
            'morning_order_share', 'evening_order_share', 'avg_item_count'
        ] %}
        order_features.{{ name }},
        {%- endfor %}
        {%- for name in [
            'order_day_count', 'order_count', 'order_count_30d', 'order_count_90d',
            'order_count_365d', 'order_count_lookback', 'order_count_change_90d'
        ] %}
        cast(coalesce(order_features.{{ name }}, 0) as bigint) as {{ name }},
        {%- endfor %}
        {%- for name in [
            'net_amount', 'net_amount_90d', 'net_amount_365d', 'net_amount_lookback',
            'net_amount_change_90d'
        ] %}
        cast(coalesce(order_features.{{ name }}, 0) as decimal(18, 2)) as {{ name }},
        {%- endfor %}
        cast(order_features.last_net_amount as decimal(18, 2)) as last_net_amount,
        basket_features.top_sales_channel_share,
        basket_features.top_category_share,
        basket_features.repeat_product_share,
        {%- for name in ['sales_channel_count', 'product_count', 'category_count'] %}
        cast(coalesce(basket_features.{{ name }}, 0) as bigint) as {{ name }},
        {%- endfor %}
        {%- for name in [
            'days_since_last_session', 'days_since_last_view', 'days_since_last_search',
            'days_since_last_cart', 'days_since_last_checkout'
        ] %}
        event_features.{{ name }},
        {%- endfor %}
        {%- for name in [
            'session_count_7d', 'session_count_30d', 'session_count_90d',
            'engaged_session_count_90d', 'view_count_30d', 'search_count_30d', 'cart_count_30d',
            'checkout_count_30d'
        ] %}
        cast(coalesce(event_features.{{ name }}, 0) as bigint) as {{ name }},
        {%- endfor %}
        message_features.days_since_last_message,
        message_features.days_since_last_open,
        message_features.days_since_last_click,
        message_features.open_share_90d,
        message_features.click_share_90d,
        cast(coalesce(message_features.message_count_90d, 0) as bigint) as message_count_90d,
        cast(coalesce(message_features.is_unsubscribed, 0) as bigint) as is_unsubscribed

    from customer_as_of_dates

    left join order_features
        on
            customer_as_of_dates.as_of_date = order_features.as_of_date
            and customer_as_of_dates.customer_id = order_features.customer_id

    left join basket_features
        on
            customer_as_of_dates.as_of_date = basket_features.as_of_date
            and customer_as_of_dates.customer_id = basket_features.customer_id

    left join event_features
        on
            customer_as_of_dates.as_of_date = event_features.as_of_date
            and customer_as_of_dates.customer_id = event_features.customer_id

    left join message_features
        on
            customer_as_of_dates.as_of_date = message_features.as_of_date
            and customer_as_of_dates.customer_id = message_features.customer_id

    left join customer_attributes
        on
            customer_as_of_dates.customer_id = customer_attributes.customer_id
            and customer_as_of_dates.as_of_date > customer_attributes.valid_from
            and (
                customer_attributes.valid_until is null
                or customer_as_of_dates.as_of_date <= customer_attributes.valid_until
            )

)

select * from customer_features
