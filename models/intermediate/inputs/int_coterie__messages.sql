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
        opened_at,
        clicked_at,
        unsubscribed_at,
        bounced_at

    from accepted

)

select * from messages
