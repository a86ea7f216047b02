with

as_of as (

    select * from {{ ref('int_coterie__as_of') }}
    where as_of_date is not null

),

steps as (

    select cast(generated_number - 1 as bigint) as step_number

    from ({{ dbt.generate_series(400) }}) as numbers

),

dates as (

    select
        {{ dbt.dateadd('day', '-30 * steps.step_number', 'as_of.as_of_date') }} as as_of_at,
        steps.step_number,
        as_of.data_through,
        as_of.first_ordered_on

    from as_of

    cross join steps

),

as_of_dates as (

    select
        cast(as_of_at as date) as as_of_date,
        step_number,
        step_number = 0 as is_scoring_date,
        data_through

    from dates

    where
        step_number = 0
        or {{ coterie.days_between('first_ordered_on', 'as_of_at') }} >= 90

)

select * from as_of_dates
