{% set feedback = coterie.staged_input('feedback') %}

with

source as (

    select * from {{ feedback.relation }}

),

renamed as (

    select
        {{ feedback.feedback_id }} as feedback_id,
        {{ feedback.customer_id }} as customer_id,
        {{ feedback.occurred_at }} as occurred_at,
        {{ feedback.rating }} as rating,
        {{ feedback.comment }} as comment,
        {{ feedback.product_id }} as product_id,
        {{ feedback.settings_hash }} as input_settings_hash

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
