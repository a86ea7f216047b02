{{ config(materialized='view') }}

with

accepted as (

    select * from {{ ref('int_coterie__checked_messages') }}
    where rejection_rule is null

),

messages as (

    select
        message_id,
        customer_id,
        sent_at,
        lower(trim(channel)) as channel,
        campaign_id,
        {{ coterie.possible_time('opened_at') }} as opened_at,
        {{ coterie.possible_time('clicked_at') }} as clicked_at,
        {{ coterie.possible_time('unsubscribed_at') }} as unsubscribed_at,
        {{ coterie.possible_time('bounced_at') }} as bounced_at

    from accepted

)

select * from messages
