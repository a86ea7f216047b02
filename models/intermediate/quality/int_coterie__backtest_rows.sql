with

backtests as (

    select * from {{ ref('int_coterie__propensity_backtests') }}

),

rounds as (

    -- Each test origin by itself, and all of them together.
    select
        model_name,
        model_version,
        cast(origin as string) as origin,
        origin as tested_on,
        scorer_name,
        customer_id,
        outcome,
        probability

    from backtests

    union all

    select
        model_name,
        model_version,
        'pooled' as origin,
        origin as tested_on,
        scorer_name,
        customer_id,
        outcome,
        probability

    from backtests

),

backtest_rows as (

    select
        *,
        outcome * -ln(probability) + (1 - outcome) * -ln(1 - probability) as log_loss,
        (probability - outcome) * (probability - outcome) as squared_error

    from rounds

)

select * from backtest_rows
