with

metrics as (

    select * from {{ ref('int_coterie__backtest_metrics') }}

),

versions as (

    select
        model_name,
        model_version

    from {{ ref('int_coterie__propensity_versions') }}

),

model_metrics as (

    select metrics.*

    from metrics

    inner join versions
        on
            metrics.model_name = versions.model_name
            and metrics.model_version = versions.model_version

)

select
    cast(model_name as string) as model_name,
    cast(model_version as string) as model_version,
    cast(origin as string) as origin,
    cast(scorer_name as string) as scorer_name,
    cast(group_name as string) as group_name,
    cast(group_value as string) as group_value,
    cast(metric_name as string) as metric_name,
    cast(metric_value as double) as metric_value,
    cast(interval_lower as double) as interval_lower,
    cast(interval_upper as double) as interval_upper

from model_metrics
