with

purchase_histories as (

    select * from {{ ref('int_coterie__purchase_histories') }}

),

parameters as (

    select * from {{ ref('int_coterie__nbd_parameters') }}
    where settings_hash = {{ coterie.current_settings_hash('lifetime_value') }}

),

as_of_dates as (

    select distinct as_of_date from purchase_histories

),

parameter_dates as (

    -- What a date may use was fitted on what had happened by then.
    select
        as_of_dates.as_of_date,
        max(parameters.fitted_as_of) as fitted_as_of

    from as_of_dates

    inner join parameters
        on as_of_dates.as_of_date >= parameters.fitted_as_of

    group by as_of_dates.as_of_date

),

with_parameters as (

    -- Weeks are whole in the states that the fit reads, to make them few; here they need not be.
    select
        purchase_histories.as_of_date,
        purchase_histories.customer_id,
        purchase_histories.is_scoring_date,
        purchase_histories.repeat_count,
        purchase_histories.recency_days,
        purchase_histories.age_days,
        parameters.fitted_as_of,
        parameters.family,
        parameters.a,
        parameters.b,
        parameters.r + purchase_histories.repeat_count as rate_shape,
        parameters.alpha + purchase_histories.age_days / 7.0 as rate_weeks,
        parameters.alpha + purchase_histories.recency_days / 7.0 as recency_rate_weeks

    from purchase_histories

    inner join parameter_dates
        on purchase_histories.as_of_date = parameter_dates.as_of_date

    inner join parameters
        on parameter_dates.fitted_as_of = parameters.fitted_as_of

),

alive as (

    select
        *,
        case
            when family = 'bg_nbd' and repeat_count = 0 then 1
            else
                1 / (
                    1
                    + a / (b + repeat_count - case when family = 'bg_nbd' then 1 else 0 end)
                    * exp(least(rate_shape * ln(rate_weeks / recency_rate_weeks), 700))
                )
        end as probability_alive

    from with_parameters

),

customer_nbd as (

    select
        as_of_date,
        customer_id,
        is_scoring_date,
        repeat_count,
        recency_days,
        age_days,
        fitted_as_of,
        rate_shape,
        rate_weeks,
        round(probability_alive, 9) as nbd_probability_alive,
        round({{ coterie.nbd_purchase_probability('probability_alive', 90) }}, 9)
            as nbd_purchase_probability_90d

    from alive

)

select * from customer_nbd
