with

checked as (

    select *
    from {{ coterie.checked_rows('identities', ref('stg_coterie__identities')) }} as input_rows

)

select * from checked
