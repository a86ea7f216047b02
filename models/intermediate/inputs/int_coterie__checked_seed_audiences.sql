with

checked as (

    select *
    from {{ coterie.checked_rows('seed_audiences', ref('stg_coterie__seed_audiences')) }}
        as input_rows

)

select * from checked
