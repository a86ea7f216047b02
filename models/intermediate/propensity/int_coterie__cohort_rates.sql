with

candidates as (

    -- Newcomers: signed up lately, and with neither an order nor an engaged session to go by.
    select
        as_of_date,
        customer_id,
        is_scoring_date,
        prediction_name,
        outcome

    from {{ ref('int_coterie__customer_outcomes') }}

    where
        not is_eligible
        and prediction_name = model_name

),

customers as (

    select
        customer_id,
        coalesce(acquisition_channel, '(unknown)') as acquisition_channel

    from {{ ref('int_coterie__customers') }}

),

newcomers as (

    select
        candidates.*,
        customers.acquisition_channel

    from candidates

    inner join customers
        on candidates.customer_id = customers.customer_id

),

totals as (

    select
        prediction_name,
        count(*) as row_count,
        sum(outcome) as positive_count,
        cast(sum(outcome) as double) / count(*) as rate

    from newcomers

    where
        outcome is not null
        and not is_scoring_date

    group by prediction_name

),

channels as (

    select
        prediction_name,
        acquisition_channel,
        count(*) as row_count,
        sum(outcome) as positive_count

    from newcomers

    where
        outcome is not null
        and not is_scoring_date

    group by
        prediction_name,
        acquisition_channel

),

cohort_rates as (

    -- A channel with few newcomers is pulled to the rate of all of them, as if 100 had had that.
    select
        newcomers.as_of_date,
        newcomers.customer_id,
        newcomers.prediction_name,
        newcomers.acquisition_channel,
        totals.row_count as cohort_row_count,
        round(
            (coalesce(channels.positive_count, 0) + 100 * totals.rate)
            / (coalesce(channels.row_count, 0) + 100),
            9
        ) as cohort_rate

    from newcomers

    inner join totals
        on newcomers.prediction_name = totals.prediction_name

    left join channels
        on
            newcomers.prediction_name = channels.prediction_name
            and newcomers.acquisition_channel = channels.acquisition_channel

    where
        newcomers.is_scoring_date
        and totals.row_count >= {{ coterie.settings('propensity').min_cohort_count }}

)

select * from cohort_rates
