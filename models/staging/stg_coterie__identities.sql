{% set identities = coterie.staged_input('identities') %}

with

source as (

    select * from {{ identities.relation }}

),

renamed as (

    select
        {{ identities.anonymous_id }} as anonymous_id,
        {{ identities.customer_id }} as customer_id,
        {{ identities.linked_at }} as linked_at

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
