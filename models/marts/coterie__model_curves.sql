with

ranks as (

    select * from {{ ref('int_coterie__backtest_ranks') }}
    where
        origin = 'pooled'
        and scorer_name = 'model'
        and group_name = 'all'

),

versions as (

    select
        model_name,
        model_version

    from {{ ref('int_coterie__propensity_versions') }}

),

points as (

    select
        model_name,
        model_version,
        'calibration' as curve_name,
        1 + calibration_bin as bin,
        outcome,
        probability,
        row_count as total_row_count,
        positive_count as total_positive_count

    from ranks

    union all

    -- From the top; the first bin holds the rows of which top_decile_lift tells.
    select
        model_name,
        model_version,
        'lift' as curve_name,
        1 + cast(floor(10.0 * (high_rank - 1) / row_count) as bigint) as bin,
        outcome,
        probability,
        row_count as total_row_count,
        positive_count as total_positive_count

    from ranks

),

bins as (

    select
        model_name,
        model_version,
        curve_name,
        bin,
        count(*) as customer_count,
        sum(outcome) as positive_count,
        avg(probability) as predicted_mean,
        max(total_row_count) as total_row_count,
        max(total_positive_count) as total_positive_count

    from points

    group by model_name, model_version, curve_name, bin

),

counted as (

    select
        *,
        sum(customer_count) over (
            partition by model_name, model_version, curve_name
            order by bin
        ) as cumulative_customer_count,
        sum(positive_count) over (
            partition by model_name, model_version, curve_name
            order by bin
        ) as cumulative_positive_count

    from bins

),

model_curves as (

    select
        counted.model_name,
        counted.model_version,
        counted.curve_name,
        counted.bin,
        counted.customer_count,
        round(counted.predicted_mean, 10) as predicted_mean,
        {{ coterie.ratio('counted.positive_count', 'counted.customer_count') }} as observed_rate,
        case
            when counted.curve_name = 'lift'
                then
                    {{ coterie.ratio(
                        'counted.positive_count * counted.total_row_count',
                        'counted.customer_count * counted.total_positive_count'
                    ) }}
        end as lift,
        case
            when counted.curve_name = 'lift'
                then
                    {{ coterie.ratio(
                        'counted.cumulative_positive_count', 'counted.total_positive_count'
                    ) }}
        end as cumulative_gain,
        case
            when counted.curve_name = 'lift'
                then
                    {{ coterie.ratio(
                        'counted.cumulative_customer_count', 'counted.total_row_count'
                    ) }}
        end as cumulative_share

    from counted

    inner join versions
        on
            counted.model_name = versions.model_name
            and counted.model_version = versions.model_version

)

select
    cast(model_name as string) as model_name,
    cast(model_version as string) as model_version,
    cast(curve_name as string) as curve_name,
    cast(bin as bigint) as bin,
    cast(customer_count as bigint) as customer_count,
    cast(predicted_mean as double) as predicted_mean,
    cast(observed_rate as double) as observed_rate,
    cast(lift as double) as lift,
    cast(cumulative_gain as double) as cumulative_gain,
    cast(cumulative_share as double) as cumulative_share

from model_curves
