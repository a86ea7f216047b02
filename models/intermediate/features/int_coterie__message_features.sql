with

customer_as_of_dates as (

    select
        as_of_date,
        customer_id

    from {{ ref('int_coterie__customer_as_of_dates') }}

),

messages as (

    select * from {{ ref('int_coterie__messages') }}

),

messages_as_of as (

    -- An answer counts only once it has been given.
    select
        customer_as_of_dates.as_of_date,
        customer_as_of_dates.customer_id,
        {{ coterie.days_between('messages.sent_at', 'customer_as_of_dates.as_of_date') }}
            as days_ago,
        case
            when messages.opened_at < customer_as_of_dates.as_of_date
                then {{ coterie.days_between(
                    'messages.opened_at', 'customer_as_of_dates.as_of_date'
                ) }}
        end as days_since_opened,
        case
            when messages.clicked_at < customer_as_of_dates.as_of_date
                then {{ coterie.days_between(
                    'messages.clicked_at', 'customer_as_of_dates.as_of_date'
                ) }}
        end as days_since_clicked,
        coalesce(messages.unsubscribed_at < customer_as_of_dates.as_of_date, false)
            as is_unsubscribed

    from customer_as_of_dates

    inner join messages
        on
            customer_as_of_dates.customer_id = messages.customer_id
            and customer_as_of_dates.as_of_date > messages.sent_at

),

totals as (

    select
        as_of_date,
        customer_id,
        min(days_ago) as days_since_last_message,
        min(days_since_opened) as days_since_last_open,
        min(days_since_clicked) as days_since_last_click,
        sum(case when days_ago <= 90 then 1 else 0 end) as message_count_90d,
        sum(case when days_ago <= 90 and days_since_opened is not null then 1 else 0 end)
            as opened_message_count_90d,
        sum(case when days_ago <= 90 and days_since_clicked is not null then 1 else 0 end)
            as clicked_message_count_90d,
        max(case when is_unsubscribed then 1 else 0 end) as is_unsubscribed

    from messages_as_of

    group by as_of_date, customer_id

),

message_features as (

    select
        as_of_date,
        customer_id,
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
