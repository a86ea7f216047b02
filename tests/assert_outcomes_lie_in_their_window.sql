-- An outcome counts what happened in its own window and on no other day: recounted here from the
-- inputs themselves, without what builds the outcomes. The window starts at the date.
with

predictions as (

    {% for prediction in coterie.predictions() %}
    {{ 'union all' if not loop.first }}
    select
        {{ coterie.quoted(prediction.name) }} as prediction_name,
        {{ coterie.quoted(prediction.outcome) }} as outcome_name,
        {{ 1 if prediction.complement_of else 0 }} as complement
    {% endfor %}

),

outcomes as (

    -- A complement is 1 where the thing has not happened.
    select
        customer_outcomes.as_of_date,
        customer_outcomes.customer_id,
        customer_outcomes.prediction_name,
        customer_outcomes.horizon_days,
        predictions.outcome_name,
        customer_outcomes.outcome,
        customer_outcomes.outcome != predictions.complement as has_happened

    from {{ ref('coterie', 'int_coterie__customer_outcomes') }} as customer_outcomes

    inner join predictions
        on customer_outcomes.prediction_name = predictions.prediction_name

    where customer_outcomes.outcome is not null

),

customers_at_origins as (

    select distinct customer_id from outcomes

),

happenings as (

    -- What stood when the build looked.
    select
        orders.customer_id,
        'purchase' as outcome_name,
        orders.ordered_on as happened_on

    from {{ ref('coterie', 'int_coterie__orders') }} as orders

    inner join customers_at_origins
        on orders.customer_id = customers_at_origins.customer_id

    cross join {{ ref('coterie', 'int_coterie__as_of') }} as as_of

    where
        not orders.is_test
        and not (orders.has_invalid_status and orders.status_changed_at < as_of.as_of_date)
        and orders.order_amount
        > case when orders.refunded_at < as_of.as_of_date then orders.refund_amount else 0 end

    union all

    select
        custom_outcomes.customer_id,
        custom_outcomes.outcome as outcome_name,
        cast(custom_outcomes.occurred_at as date) as happened_on

    from {{ ref('coterie', 'int_coterie__checked_custom_outcomes') }} as custom_outcomes

    cross join {{ ref('coterie', 'int_coterie__as_of') }} as as_of

    where
        custom_outcomes.rejection_rule is null
        and custom_outcomes.occurred_at < as_of.as_of_date

),

found as (

    select distinct
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.prediction_name

    from outcomes

    inner join happenings
        on
            outcomes.customer_id = happenings.customer_id
            and outcomes.outcome_name = happenings.outcome_name
            and outcomes.as_of_date <= happenings.happened_on
            and {{ coterie.days_between('outcomes.as_of_date', 'happenings.happened_on') }}
            < outcomes.horizon_days

),

wrong as (

    select
        outcomes.as_of_date,
        outcomes.customer_id,
        outcomes.prediction_name,
        outcomes.outcome

    from outcomes

    left join found
        on
            outcomes.as_of_date = found.as_of_date
            and outcomes.customer_id = found.customer_id
            and outcomes.prediction_name = found.prediction_name

    where outcomes.has_happened != (found.customer_id is not null)

)

select * from wrong
