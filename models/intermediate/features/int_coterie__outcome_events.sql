{{ config(materialized='view') }}

with

orders as (

    -- Outcomes use what is known when the build looks.
    select
        orders.customer_id,
        orders.ordered_at

    from {{ ref('int_coterie__orders') }} as orders

    cross join {{ ref('int_coterie__as_of') }} as as_of

    where
        orders.customer_id is not null
        and {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

custom_outcomes as (

    select
        checked_custom_outcomes.customer_id,
        checked_custom_outcomes.outcome,
        checked_custom_outcomes.occurred_at

    from {{ ref('int_coterie__checked_custom_outcomes') }} as checked_custom_outcomes

    cross join {{ ref('int_coterie__as_of') }} as as_of

    where
        checked_custom_outcomes.rejection_rule is null
        and as_of.as_of_date > checked_custom_outcomes.occurred_at

),

outcome_events as (

    select
        customer_id,
        'purchase' as outcome,
        ordered_at as occurred_at

    from orders

    union all

    -- Nobody redefines what a purchase is.
    select
        customer_id,
        outcome,
        occurred_at

    from custom_outcomes

    where outcome != 'purchase'

)

select * from outcome_events
