-- An outcome counts the orders of its own window and of no other day: recounted here from the
-- orders themselves, without what builds the outcomes. The window starts at the date.
with

outcomes as (

    select
        as_of_date,
        customer_id,
        prediction_name,
        horizon_days,
        outcome

    from {{ ref('coterie', 'int_coterie__customer_outcomes') }}

    where outcome is not null

),

orders as (

    -- What stood when the build looked.
    select
        orders.customer_id,
        orders.ordered_on

    from {{ ref('coterie', 'int_coterie__orders') }} as orders

    cross join {{ ref('coterie', 'int_coterie__as_of') }} as as_of

    where
        not orders.is_test
        and not (orders.has_invalid_status and orders.status_changed_at < as_of.as_of_date)
        and orders.order_amount
        > case when orders.refunded_at < as_of.as_of_date then orders.refund_amount else 0 end

),

buyers as (

    select distinct
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.prediction_name

    from outcomes

    inner join orders
        on
            outcomes.customer_id = orders.customer_id
            and outcomes.as_of_date <= orders.ordered_on
            and {{ coterie.days_between('outcomes.as_of_date', 'orders.ordered_on') }}
            < outcomes.horizon_days

),

wrong as (

    select
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.prediction_name,
        outcomes.outcome

    from outcomes

    left join buyers
        on
            outcomes.as_of_date = buyers.as_of_date
            and outcomes.customer_id = buyers.customer_id
            and outcomes.prediction_name = buyers.prediction_name

    where (outcomes.outcome = 1) != (buyers.customer_id is not null)

)

select * from wrong
