{% set horizons = coterie.value_horizons() %}

with

value_outcomes as (

    select * from {{ ref('int_coterie__value_outcomes') }}

),

as_of_dates as (

    select distinct as_of_date from value_outcomes

),

cohorts as (

    select distinct cohort from value_outcomes

),

amounts as (

    {% for horizon in horizons %}
    {{ 'union all' if not loop.first }}
    select
        {{ horizon }} as horizon_days,
        {{ coterie.days_after('as_of_date', horizon) }} as closed_on,
        cohort,
        amount_{{ horizon }}d as amount

    from value_outcomes

    where amount_{{ horizon }}d is not null
    {% endfor %}

),

learned as (

    -- A date may learn from what had been observed by it.
    select
        as_of_dates.as_of_date,
        amounts.horizon_days,
        amounts.cohort,
        count(*) as row_count,
        sum(amounts.amount) as amount,
        cast(count(case when amounts.amount = 0 then 1 end) as double) / count(*) as no_spend_share,
        {{ coterie.quantile('cast(amounts.amount as double)', 0.1) }} as quantile_10,
        {{ coterie.quantile('cast(amounts.amount as double)', 0.8) }} as quantile_80,
        {{ coterie.quantile('cast(amounts.amount as double)', 0.9) }} as quantile_90

    from as_of_dates

    inner join amounts
        on as_of_dates.as_of_date >= amounts.closed_on

    group by
        as_of_dates.as_of_date,
        amounts.horizon_days,
        amounts.cohort

),

buyers as (

    select
        as_of_date,
        horizon_days,
        cast(sum(amount) as double) / sum(row_count) as mean_amount

    from learned

    where cohort != 'prospect'

    group by
        as_of_date,
        horizon_days

),

grid as (

    select
        as_of_dates.as_of_date,
        horizons.horizon_days,
        cohorts.cohort

    from as_of_dates

    cross join cohorts

    cross join (
        {% for horizon in horizons %}
        {{ 'union all' if not loop.first }}
        select {{ horizon }} as horizon_days
        {% endfor %}
    ) as horizons

),

quarters as (

    -- Of 90 days most is known. A cohort of few is pulled to the mean of all buyers, as if ten of
    -- them had spent that.
    select
        grid.as_of_date,
        grid.cohort,
        case
            when grid.cohort = 'prospect'
                then cast(learned.amount as double) / learned.row_count
            else
                (coalesce(cast(learned.amount as double), 0) + 10 * buyers.mean_amount)
                / (coalesce(learned.row_count, 0) + 10)
        end as mean_amount,
        buyers.mean_amount as buyer_mean_amount,
        learned.no_spend_share,
        learned.quantile_10,
        learned.quantile_80,
        learned.quantile_90

    from grid

    left join buyers
        on
            grid.as_of_date = buyers.as_of_date
            and grid.horizon_days = buyers.horizon_days

    left join learned
        on
            grid.as_of_date = learned.as_of_date
            and grid.horizon_days = learned.horizon_days
            and grid.cohort = learned.cohort

    where grid.horizon_days = 90

),

scaled as (

    -- What 90 days bring a cohort, as so many days as the horizon has bring all buyers more.
    select
        grid.as_of_date,
        grid.horizon_days,
        grid.cohort,
        coalesce(learned.row_count, 0) as row_count,
        coalesce(cast(learned.amount as double), 0) as amount,
        quarters.mean_amount
        * coalesce(
            buyers.mean_amount / nullif(quarters.buyer_mean_amount, 0), grid.horizon_days / 90.0
        ) as prior_amount,
        coalesce(
            buyers.mean_amount / nullif(quarters.buyer_mean_amount, 0), grid.horizon_days / 90.0
        ) as scale,
        coalesce(learned.row_count >= 30, false) as is_observed,
        learned.no_spend_share,
        learned.quantile_10,
        learned.quantile_80,
        learned.quantile_90,
        quarters.no_spend_share as quarter_no_spend_share,
        quarters.quantile_10 as quarter_quantile_10,
        quarters.quantile_80 as quarter_quantile_80,
        quarters.quantile_90 as quarter_quantile_90

    from grid

    left join quarters
        on
            grid.as_of_date = quarters.as_of_date
            and grid.cohort = quarters.cohort

    left join buyers
        on
            grid.as_of_date = buyers.as_of_date
            and grid.horizon_days = buyers.horizon_days

    left join learned
        on
            grid.as_of_date = learned.as_of_date
            and grid.horizon_days = learned.horizon_days
            and grid.cohort = learned.cohort

),

cohort_values as (

    select
        as_of_date,
        horizon_days,
        cohort,
        row_count,
        round((amount + 10 * prior_amount) / (row_count + 10), 6) as mean_amount,
        round(
            case
                when is_observed
                    then case when no_spend_share < 0.1 then quantile_10 else 0 end
                else
                    scale * case when quarter_no_spend_share < 0.1 then quarter_quantile_10 else 0 end
            end,
            6
        ) as lower_amount,
        round(
            case
                when is_observed
                    then case when no_spend_share < 0.1 then quantile_90 else quantile_80 end
                else
                    scale
                    * case
                        when quarter_no_spend_share < 0.1 then quarter_quantile_90
                        else quarter_quantile_80
                    end
            end,
            6
        ) as upper_amount

    from scaled

)

select * from cohort_values
