{% set given_as_of_date = coterie.given_as_of_date() %}

with

orders as (

    select
        ordered_on,
        count(
            case
                when not is_test and not has_invalid_status and order_amount > refund_amount then 1
            end
        ) > 0 as is_valid

    from {{ ref('int_coterie__orders') }}

    group by ordered_on

),

order_days as (

    select * from {{ ref('int_coterie__order_days') }}

),

order_span as (

    select
        min(case when not order_days.is_far_behind then orders.ordered_on end)
            as first_ordered_on,
        max(case when orders.is_valid then orders.ordered_on end) as last_ordered_on,
        max(case when not order_days.is_far_ahead then orders.ordered_on end) as newest_on

    from orders

    inner join order_days
        on orders.ordered_on = order_days.ordered_on

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
        {{ coterie.days_after('order_span.newest_on', 1) }} as data_ends_on

    from order_span

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
