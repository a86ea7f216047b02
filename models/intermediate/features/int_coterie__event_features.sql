{% set day_age = coterie.days_between('customer_days.happened_on', 'spine.as_of_date') %}

with

customer_as_of_dates as (

    select
        as_of_date,
        customer_id

    from {{ ref('int_coterie__customer_as_of_dates') }}

),

event_days as (

    -- A day stands once or twice: once more for what became known later.
    select
        spine.as_of_date,
        spine.customer_id,
        {%- for name in coterie.event_day_columns() %}
        customer_days.{{ name }},
        {%- endfor %}
        customer_days.known_on,
        {{ day_age }} as days_ago

    from customer_as_of_dates as spine

    inner join {{ ref('int_coterie__customer_event_days') }} as customer_days
        on
            spine.customer_id = customer_days.customer_id
            and spine.as_of_date > customer_days.known_on

),

event_features as (

    select
        as_of_date,
        customer_id,
        max(known_on) as newest_known_on,
        min(days_ago) as days_since_last_session,
        min(case when view_count > 0 then days_ago end) as days_since_last_view,
        min(case when search_count > 0 then days_ago end) as days_since_last_search,
        min(case when cart_count > 0 then days_ago end) as days_since_last_cart,
        min(case when checkout_count > 0 then days_ago end) as days_since_last_checkout,
        sum(case when days_ago <= 7 then session_count else 0 end) as session_count_7d,
        sum(case when days_ago <= 30 then session_count else 0 end) as session_count_30d,
        sum(case when days_ago <= 90 then session_count else 0 end) as session_count_90d,
        sum(case when days_ago <= 90 then engaged_session_count else 0 end)
            as engaged_session_count_90d,
        sum(case when days_ago <= 30 then view_count else 0 end) as view_count_30d,
        sum(case when days_ago <= 30 then search_count else 0 end) as search_count_30d,
        sum(case when days_ago <= 30 then cart_count else 0 end) as cart_count_30d,
        sum(case when days_ago <= 30 then checkout_count else 0 end) as checkout_count_30d

    from event_days

    group by as_of_date, customer_id

)

select * from event_features
