with

checked as (

    select *
    from {{ coterie.checked_rows('custom_outcomes', ref('stg_coterie__custom_outcomes')) }}
        as input_rows

)

select * from checked
