{% set events = coterie.staged_input('events') %}

with

source as (

    select * from {{ events.relation }}

),

renamed as (

    select
        {{ events.event_id }} as event_id,
        {{ events.occurred_at }} as occurred_at,
        {{ events.event_type }} as event_type,
        {{ events.customer_id }} as customer_id,
        {{ events.anonymous_id }} as anonymous_id,
        {{ events.session_id }} as session_id,
        {{ events.product_id }} as product_id,
        {{ events.channel }} as channel,
        {{ events.campaign_id }} as campaign_id,
        {{ events.device_type }} as device_type,
        {{ events.country_code }} as country_code,
        {{ events.settings_hash }} as input_settings_hash

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
