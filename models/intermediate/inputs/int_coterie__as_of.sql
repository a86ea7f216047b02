{% set given_as_of_date = coterie.given_as_of_date() %}

with

orders as (

    select
        ordered_on,
        not is_test and not has_invalid_status and order_amount > refund_amount as is_valid,
        is_far_ahead,
        is_far_behind

    from {{ ref('int_coterie__orders') }}

),

order_span as (

    select
        min(case when not is_far_behind then ordered_on end) as first_ordered_on,
        max(case when is_valid then ordered_on end) as last_ordered_on,
        max(case when not is_far_ahead then ordered_on end) as newest_on

    from orders

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
