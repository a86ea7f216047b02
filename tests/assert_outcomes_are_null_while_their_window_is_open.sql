-- An outcome is NULL exactly where the data does not cover the whole of its window. Outcomes of the
-- host's own may end before the orders do: then they are NULL earlier.
{% set custom_names = coterie.predictions() | rejectattr('outcome', 'equalto', 'purchase')
    | map(attribute='name') | list %}

with

outcomes as (

    select
        customer_outcomes.as_of_date,
        customer_outcomes.customer_id,
        customer_outcomes.prediction_name,
        customer_outcomes.outcome,
        {{ coterie.days_between('customer_outcomes.as_of_date', 'as_of.data_through') }}
        >= customer_outcomes.horizon_days as is_window_closed

    from {{ ref('coterie', 'int_coterie__customer_outcomes') }} as customer_outcomes

    cross join {{ ref('coterie', 'int_coterie__as_of') }} as as_of

),

wrong as (

    select * from outcomes
    where
        (not is_window_closed and outcome is not null)
        or (
            is_window_closed
            and outcome is null
            and prediction_name not in {{ coterie.quoted_list(custom_names) }}
        )

)

select * from wrong
