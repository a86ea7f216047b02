{% set consents = coterie.staged_input('consents') %}

with

source as (

    select * from {{ consents.relation }}

),

renamed as (

    select
        {{ consents.customer_id }} as customer_id,
        {{ consents.purpose }} as purpose,
        {{ consents.is_granted }} as is_granted,
        {{ consents.changed_at }} as changed_at

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
