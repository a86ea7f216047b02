{{ config(enabled=coterie.is_topic_enabled('lifetime_value')) }}

with

quantiles as (

    select
        'state ' || cast(repeat_count as string) || ' ' || cast(age_weeks as string)
        || ' ' || cast(horizon_days as string) as distribution,
        level as place,
        value_quantile as quantile

    from {{ ref('coterie', 'int_coterie__state_expectations') }}

    union all

    select
        'residuals of ' || model_version as distribution,
        bin as place,
        weight as quantile

    from {{ ref('coterie', 'int_coterie__value_weights') }}

    where component = 'residual'

),

compared as (

    select
        distribution,
        place,
        quantile,
        lag(quantile) over (partition by distribution order by place) as quantile_below

    from quantiles

)

select * from compared
where quantile < quantile_below
