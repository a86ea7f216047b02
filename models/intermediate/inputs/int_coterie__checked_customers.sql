with

checked as (

    select *
    from {{ coterie.checked_rows('customers', ref('stg_coterie__customers')) }} as input_rows

)

select * from checked
