with

checked as (

    select *
    from {{ coterie.checked_rows('erasure_requests', ref('stg_coterie__erasure_requests')) }}
        as input_rows

)

select * from checked
