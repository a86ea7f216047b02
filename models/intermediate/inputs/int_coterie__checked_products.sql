with

checked as (

    select *
    from {{ coterie.checked_rows('products', ref('stg_coterie__products')) }} as input_rows

)

select * from checked
