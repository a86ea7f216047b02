with

checked as (

    select *
    from {{ coterie.checked_rows('consents', ref('stg_coterie__consents')) }} as input_rows

)

select * from checked
