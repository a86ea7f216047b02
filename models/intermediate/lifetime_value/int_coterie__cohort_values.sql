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

means as (

    -- A cohort of few is pulled to the mean of all buyers, as if ten of them had spent that.
    select
        as_of_dates.as_of_date,
        horizons.horizon_days,
        cohorts.cohort,
        coalesce(learned.row_count, 0) as row_count,
        case
            when cohorts.cohort = 'prospect'
                then cast(learned.amount as double) / learned.row_count
            else
                (coalesce(cast(learned.amount as double), 0) + 10 * buyers.mean_amount)
                / (coalesce(learned.row_count, 0) + 10)
        end as mean_amount,
        learned.no_spend_share,
        learned.quantile_10,
        learned.quantile_80,
        learned.quantile_90

    from as_of_dates

    cross join cohorts

    cross join (
        {% for horizon in horizons %}
        {{ 'union all' if not loop.first }}
        select {{ horizon }} as horizon_days
        {% endfor %}
    ) as horizons

    left join buyers
        on
            as_of_dates.as_of_date = buyers.as_of_date
            and horizons.horizon_days = buyers.horizon_days

    left join learned
        on
            as_of_dates.as_of_date = learned.as_of_date
            and horizons.horizon_days = learned.horizon_days
            and cohorts.cohort = learned.cohort

),

cohort_values as (

    -- Where no window was ever observed to its end, what 90 days bring stands for each 90 days.
    select
        means.as_of_date,
        means.horizon_days,
        means.cohort,
        means.row_count,
        means.mean_amount is null and quarters.mean_amount is not null as is_scaled,
        {%- set scale = "means.horizon_days / 90.0" %}
        round(coalesce(means.mean_amount, quarters.mean_amount * {{ scale }}), 6) as mean_amount,
        round(
            case
                when coalesce(means.no_spend_share, quarters.no_spend_share) < 0.1
                    then coalesce(means.quantile_10, quarters.quantile_10 * {{ scale }})
                else 0
            end,
            6
        ) as lower_amount,
        round(
            case
                when coalesce(means.no_spend_share, quarters.no_spend_share) < 0.1
                    then coalesce(means.quantile_90, quarters.quantile_90 * {{ scale }})
                else coalesce(means.quantile_80, quarters.quantile_80 * {{ scale }})
            end,
            6
        ) as upper_amount

    from means

    left join means as quarters
        on
            means.as_of_date = quarters.as_of_date
            and means.cohort = quarters.cohort
            and quarters.horizon_days = 90

)

select * from cohort_values
