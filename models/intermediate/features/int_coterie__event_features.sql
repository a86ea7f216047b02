{% set day_age = coterie.days_between('customer_days.happened_on', 'spine.as_of_date') %}

with

customer_as_of_dates as (

    -- A number stands for the two, because a short key makes what follows cheaper.
    select
        as_of_date,
        customer_id,
        cast(row_number() over (order by as_of_date, customer_id) as integer) as pair_number

    from {{ ref('int_coterie__customer_as_of_dates') }}

),

event_days as (

    -- A day stands once or twice: once more for what became known later.
    select
        spine.pair_number,
        {%- for name in coterie.event_day_columns() %}
        customer_days.{{ name }},
        {%- endfor %}
        customer_days.happened_on,
        customer_days.known_on,
        {{ day_age }} as days_ago

    from customer_as_of_dates as spine

    inner join {{ ref('int_coterie__customer_event_days') }} as customer_days
        on
            spine.customer_id = customer_days.customer_id
            and spine.as_of_date > customer_days.known_on

),

totals as (

    select
        pair_number,
        max(known_on) as newest_known_on,
        max(happened_on) as last_session_on,
        max(case when view_count > 0 then happened_on end) as last_view_on,
        max(case when search_count > 0 then happened_on end) as last_search_on,
        max(case when cart_count > 0 then happened_on end) as last_cart_on,
        max(case when checkout_count > 0 then happened_on end) as last_checkout_on,
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

    group by pair_number

),

event_features as (

    select
        customer_as_of_dates.as_of_date,
        customer_as_of_dates.customer_id,
        totals.newest_known_on,
        {{ coterie.days_between('totals.last_session_on', 'customer_as_of_dates.as_of_date') }}
            as days_since_last_session,
        {{ coterie.days_between('totals.last_view_on', 'customer_as_of_dates.as_of_date') }}
            as days_since_last_view,
        {{ coterie.days_between('totals.last_search_on', 'customer_as_of_dates.as_of_date') }}
            as days_since_last_search,
        {{ coterie.days_between('totals.last_cart_on', 'customer_as_of_dates.as_of_date') }}
            as days_since_last_cart,
        {{ coterie.days_between('totals.last_checkout_on', 'customer_as_of_dates.as_of_date') }}
            as days_since_last_checkout,
        totals.session_count_7d,
        totals.session_count_30d,
        totals.session_count_90d,
        totals.engaged_session_count_90d,
        totals.view_count_30d,
        totals.search_count_30d,
        totals.cart_count_30d,
        totals.checkout_count_30d

    from totals

    inner join customer_as_of_dates
        on totals.pair_number = customer_as_of_dates.pair_number

)

select * from event_features
