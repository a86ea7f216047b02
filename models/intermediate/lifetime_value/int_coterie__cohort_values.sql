{% set horizons = coterie.value_horizons() %}

with

value_outcomes as (

    select * from {{ ref('int_coterie__value_outcomes') }}

),

as_of_dates as (

    select distinct as_of_date from value_outcomes

),

horizons as (

    {% for horizon in horizons %}
    {{ 'union all' if not loop.first }}
    select {{ horizon }} as horizon_days
    {% endfor %}

),

cohorts as (

    -- Once, again, or never: the kind of a cohort is what its name begins with.
    select distinct
        cohort,
        {{ coterie.cohort_kind() }} as kind

    from value_outcomes

),

amounts as (

    {% for horizon in horizons %}
    {{ 'union all' if not loop.first }}
    select
        {{ horizon }} as horizon_days,
        {{ coterie.days_after('as_of_date', horizon) }} as closed_on,
        cohort,
        {{ coterie.cohort_kind() }} as kind,
        amount_{{ horizon }}d as amount

    from value_outcomes

    where amount_{{ horizon }}d is not null
    {% endfor %}

),

{% for level in ['cohort', 'kind'] %}
learned_by_{{ level }} as (

    -- A date may learn from what had been observed by it.
    select
        as_of_dates.as_of_date,
        amounts.horizon_days,
        amounts.{{ level }},
        count(*) as row_count,
        cast(sum(amounts.amount) as double) as amount,
        cast(sum(amounts.amount) as double) / count(*) as mean_amount,
        {%- set is_likely = 'count(case when amounts.amount = 0 then 1 end) < 0.1 * count(*)' %}
        case
            when {{ is_likely }} then {{ coterie.quantile('cast(amounts.amount as double)', 0.1) }}
            else 0
        end as lower_amount,
        case
            when {{ is_likely }} then {{ coterie.quantile('cast(amounts.amount as double)', 0.9) }}
            else {{ coterie.quantile('cast(amounts.amount as double)', 0.8) }}
        end as upper_amount

    from as_of_dates

    inner join amounts
        on as_of_dates.as_of_date >= amounts.closed_on

    group by
        as_of_dates.as_of_date,
        amounts.horizon_days,
        amounts.{{ level }}

),

{% endfor %}
grid as (

    select
        as_of_dates.as_of_date,
        horizons.horizon_days,
        cohorts.cohort,
        cohorts.kind

    from as_of_dates

    cross join cohorts

    cross join horizons

),

learned as (

    select
        grid.as_of_date,
        grid.horizon_days,
        grid.cohort,
        coalesce(of_cohort.row_count, 0) as row_count,
        coalesce(of_cohort.amount, 0) as amount,
        of_kind.mean_amount as kind_mean_amount,
        case when of_cohort.row_count >= 30 then of_cohort.lower_amount end as lower_amount,
        case when of_cohort.row_count >= 30 then of_cohort.upper_amount end as upper_amount,
        of_kind.lower_amount as kind_lower_amount,
        of_kind.upper_amount as kind_upper_amount

    from grid

    left join learned_by_cohort as of_cohort
        on
            grid.as_of_date = of_cohort.as_of_date
            and grid.horizon_days = of_cohort.horizon_days
            and grid.cohort = of_cohort.cohort

    left join learned_by_kind as of_kind
        on
            grid.as_of_date = of_kind.as_of_date
            and grid.horizon_days = of_kind.horizon_days
            and grid.kind = of_kind.kind

),

quarters as (

    -- Of 90 days most is known. A cohort of few is pulled to the mean of its kind, as if ten more
    -- had spent that.
    select
        as_of_date,
        cohort,
        (amount + 10 * kind_mean_amount) / (row_count + 10) as mean_amount,
        kind_mean_amount,
        coalesce(lower_amount, kind_lower_amount) as lower_amount,
        coalesce(upper_amount, kind_upper_amount) as upper_amount

    from learned

    where horizon_days = 90

),

scaled as (

    -- A cohort brings more than in 90 days as its kind does; where no window was ever observed to
    -- its end, as it has more days. Shorter windows close before any of 90 days has.
    select
        learned.as_of_date,
        learned.horizon_days,
        learned.cohort,
        learned.row_count,
        learned.amount,
        learned.lower_amount,
        learned.upper_amount,
        learned.kind_mean_amount,
        learned.kind_lower_amount,
        learned.kind_upper_amount,
        quarters.mean_amount as quarter_mean_amount,
        quarters.lower_amount as quarter_lower_amount,
        quarters.upper_amount as quarter_upper_amount,
        coalesce(
            learned.kind_mean_amount / nullif(quarters.kind_mean_amount, 0),
            learned.horizon_days / 90.0
        ) as scale

    from learned

    inner join quarters
        on
            learned.as_of_date = quarters.as_of_date
            and learned.cohort = quarters.cohort

),

cohort_values as (

    -- The mean of 90 days has had its ten rows.
    select
        as_of_date,
        horizon_days,
        cohort,
        row_count,
        round(
            case
                when horizon_days = 90 then quarter_mean_amount
                else
                    (amount + 10 * coalesce(scale * quarter_mean_amount, kind_mean_amount))
                    / (row_count + 10)
            end,
            6
        ) as mean_amount,
        round(coalesce(lower_amount, scale * quarter_lower_amount, kind_lower_amount), 6)
            as lower_amount,
        round(coalesce(upper_amount, scale * quarter_upper_amount, kind_upper_amount), 6)
            as upper_amount

    from scaled

)

select * from cohort_values
