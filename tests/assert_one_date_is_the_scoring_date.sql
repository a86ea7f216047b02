-- Where there is a date to look from, it is the scoring date, and no origin lies after it.
with

as_of as (

    select as_of_date

    from {{ ref('coterie', 'int_coterie__as_of') }}

    where as_of_date is not null

),

as_of_dates as (

    select
        max(as_of_date) as newest_as_of_date,
        max(case when is_scoring_date then as_of_date end) as scoring_date,
        sum(case when is_scoring_date then 1 else 0 end) as scoring_date_count

    from {{ ref('coterie', 'int_coterie__as_of_dates') }}

),

wrong as (

    select
        as_of.as_of_date,
        as_of_dates.newest_as_of_date,
        as_of_dates.scoring_date,
        as_of_dates.scoring_date_count

    from as_of

    cross join as_of_dates

    where not coalesce(
        as_of_dates.scoring_date_count = 1
        and as_of_dates.scoring_date = as_of.as_of_date
        and as_of_dates.newest_as_of_date = as_of.as_of_date,
        false
    )

)

select * from wrong
