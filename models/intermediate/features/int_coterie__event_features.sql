with

customer_as_of_dates as (

    select
        as_of_date,
        customer_id

    from {{ ref('int_coterie__customer_as_of_dates') }}

),

events as (

    select * from {{ ref('int_coterie__events') }}
    where customer_id is not null

),

sessions as (

    -- A session counts on the day it began, with the events that were known by the date.
    select
        customer_as_of_dates.as_of_date,
        customer_as_of_dates.customer_id,
        events.session_key,
        max({{ coterie.days_between('events.occurred_on', 'customer_as_of_dates.as_of_date') }})
            as days_ago,
        count(*) as event_count,
        sum(case when events.event_kind = 'view' then 1 else 0 end) as view_count,
        sum(case when events.event_kind = 'search' then 1 else 0 end) as search_count,
        sum(case when events.event_kind = 'cart' then 1 else 0 end) as cart_count,
        sum(case when events.event_kind = 'checkout' then 1 else 0 end) as checkout_count

    from customer_as_of_dates

    inner join events
        on
            customer_as_of_dates.customer_id = events.customer_id
            and customer_as_of_dates.as_of_date > events.known_at

    group by
        customer_as_of_dates.as_of_date,
        customer_as_of_dates.customer_id,
        events.session_key

),

event_features as (

    select
        as_of_date,
        customer_id,
        min(days_ago) as days_since_last_session,
        min(case when view_count > 0 then days_ago end) as days_since_last_view,
        min(case when search_count > 0 then days_ago end) as days_since_last_search,
        min(case when cart_count > 0 then days_ago end) as days_since_last_cart,
        min(case when checkout_count > 0 then days_ago end) as days_since_last_checkout,
        sum(case when days_ago <= 7 then 1 else 0 end) as session_count_7d,
        sum(case when days_ago <= 30 then 1 else 0 end) as session_count_30d,
        sum(case when days_ago <= 90 then 1 else 0 end) as session_count_90d,
        sum(
            case
                when days_ago <= 90 and (event_count >= 2 or cart_count > 0) then 1
                else 0
            end
        ) as engaged_session_count_90d,
        sum(case when days_ago <= 30 then view_count else 0 end) as view_count_30d,
        sum(case when days_ago <= 30 then search_count else 0 end) as search_count_30d,
        sum(case when days_ago <= 30 then cart_count else 0 end) as cart_count_30d,
        sum(case when days_ago <= 30 then checkout_count else 0 end) as checkout_count_30d

    from sessions

    group by as_of_date, customer_id

)

select * from event_features
