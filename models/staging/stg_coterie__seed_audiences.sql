{% set seed_audiences = coterie.staged_input('seed_audiences') %}

with

source as (

    select * from {{ seed_audiences.relation }}

),

renamed as (

    select
        {{ seed_audiences.audience_code }} as audience_code,
        {{ seed_audiences.customer_id }} as customer_id

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
