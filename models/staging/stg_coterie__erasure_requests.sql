{% set erasure_requests = coterie.staged_input('erasure_requests') %}

with

source as (

    select * from {{ erasure_requests.relation }}

),

renamed as (

    select
        {{ erasure_requests.customer_id }} as customer_id,
        {{ erasure_requests.requested_at }} as requested_at

    from source

)

select * from renamed
