with

days as (

    select
        cast(
            unnest(generate_series(timestamp '2023-01-01', timestamp '2026-12-31', interval 1 day))
            as date
        ) as date_day

)

select * from days
