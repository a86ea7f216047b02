with

customer_as_of_dates as (

    select
        as_of_date,
        customer_id

    from {{ ref('int_coterie__customer_as_of_dates') }}

),

message_days as (

    -- An answer counts only once it has been given.
    select
        spine.as_of_date,
        spine.customer_id,
        {%- for name in coterie.message_day_columns() %}
        customer_days.{{ name }},
        {%- endfor %}
        customer_days.known_on,
        {{ coterie.days_between('customer_days.happened_on', 'spine.as_of_date') }} as days_ago,
        {{ coterie.days_between('customer_days.known_on', 'spine.as_of_date') }} as days_known

    from customer_as_of_dates as spine

    inner join {{ ref('int_coterie__customer_message_days') }} as customer_days
        on
            spine.customer_id = customer_days.customer_id
            and spine.as_of_date > customer_days.known_on

),

totals as (

    select
        as_of_date,
        customer_id,
        max(known_on) as newest_known_on,
        min(days_ago) as days_since_last_message,
        min(case when opened_message_count > 0 then days_known end) as days_since_last_open,
        min(case when clicked_message_count > 0 then days_known end) as days_since_last_click,
        sum(case when days_ago <= 90 then message_count else 0 end) as message_count_90d,
        sum(case when days_ago <= 90 then opened_message_count else 0 end)
            as opened_message_count_90d,
        sum(case when days_ago <= 90 then clicked_message_count else 0 end)
            as clicked_message_count_90d,
        max(case when unsubscribed_message_count > 0 then 1 else 0 end) as is_unsubscribed

    from message_days

    group by as_of_date, customer_id

),

message_features as (

    select
        as_of_date,
        customer_id,
        newest_known_on,
        days_since_last_message,
        message_count_90d,
        {{ coterie.ratio('opened_message_count_90d', 'message_count_90d') }} as open_share_90d,
        {{ coterie.ratio('clicked_message_count_90d', 'message_count_90d') }} as click_share_90d,
        days_since_last_open,
        days_since_last_click,
        is_unsubscribed

    from totals

)

select * from message_features
