with

checked as (

    select *
    from {{ coterie.checked_rows('feedback', ref('stg_coterie__feedback')) }} as input_rows

)

select * from checked
