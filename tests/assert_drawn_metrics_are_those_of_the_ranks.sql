{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

metrics as (

    select * from {{ ref('coterie', 'int_coterie__backtest_metrics') }}
    where group_name = 'all'

),

drawn as (

    select * from {{ ref('coterie', 'int_coterie__backtest_intervals') }}

),

different as (

    select
        drawn.model_version,
        drawn.origin,
        drawn.scorer_name,
        drawn.metric_name,
        drawn.metric_value,
        metrics.metric_value as ranked_value

    from drawn

    left join metrics
        on
            drawn.model_version = metrics.model_version
            and drawn.origin = metrics.origin
            and drawn.scorer_name = metrics.scorer_name
            and drawn.metric_name = metrics.metric_name

    where
        metrics.metric_name is null
        or (drawn.metric_value is null) != (metrics.metric_value is null)
        or abs(drawn.metric_value - metrics.metric_value) > 0.00000001

)

select * from different
