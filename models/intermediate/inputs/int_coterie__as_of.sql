{% set given_as_of_date = coterie.given_as_of_date() %}

with

orders as (

    select
        ordered_on,
        not is_test and not has_invalid_status and order_amount > refund_amount as is_valid

    from {{ ref('int_coterie__orders') }}

),

order_span as (

    select
        min(ordered_on) as first_ordered_on,
        max(case when is_valid then ordered_on end) as last_ordered_on,
        max(ordered_on) as newest_on

    from orders

),

other_days as (

    select max(occurred_on) as newest_on from {{ ref('int_coterie__events') }}

    union all

    select max(cast(sent_at as date)) as newest_on from {{ ref('int_coterie__messages') }}

),

newest_other_day as (

    select max(newest_on) as newest_on from other_days

),

dated as (

    select
        {% if given_as_of_date %}
        cast({{ coterie.quoted(given_as_of_date) }} as date) as as_of_date,
        {% else %}
        {{ coterie.days_after('order_span.last_ordered_on', 1) }} as as_of_date,
        {% endif %}
        order_span.first_ordered_on,
        order_span.last_ordered_on,
        {{ coterie.days_after(
            'greatest(order_span.newest_on, coalesce(newest_other_day.newest_on, order_span.newest_on))', 1
        ) }} as data_ends_on

    from order_span

    cross join newest_other_day

),

as_of as (

    select
        as_of_date,
        first_ordered_on,
        last_ordered_on,
        -- An outcome window is complete only where the data covers all of it.
        least(as_of_date, data_ends_on) as data_through

    from dated

)

select * from as_of
