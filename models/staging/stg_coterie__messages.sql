{% set messages = coterie.staged_input('messages') %}

with

source as (

    select * from {{ messages.relation }}

),

renamed as (

    select
        {{ messages.message_id }} as message_id,
        {{ messages.customer_id }} as customer_id,
        {{ messages.sent_at }} as sent_at,
        {{ messages.channel }} as channel,
        {{ messages.campaign_id }} as campaign_id,
        {{ messages.opened_at }} as opened_at,
        {{ messages.clicked_at }} as clicked_at,
        {{ messages.unsubscribed_at }} as unsubscribed_at,
        {{ messages.bounced_at }} as bounced_at,
        {{ messages.settings_hash }} as input_settings_hash

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
