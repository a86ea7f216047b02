-- One row per message in place of one per answer. What a flow sends a person twice is one message.
select
    concat(person_id, '/', coalesce(flow_message_id, campaign_id)) as message_id,
    person_id,
    min(campaign_id) as campaign_id,
    'email' as channel,
    min(case when type = 'Received Email' then datetime end) as sent_at,
    min(case when type = 'Opened Email' then datetime end) as opened_at,
    min(case when type = 'Clicked Email' then datetime end) as clicked_at,
    min(case when type = 'Unsubscribed' then datetime end) as unsubscribed_at,
    min(case when type = 'Bounced Email' then datetime end) as bounced_at

from {{ source('klaviyo', 'event') }}

where type in ('Received Email', 'Opened Email', 'Clicked Email', 'Unsubscribed', 'Bounced Email')

group by person_id, coalesce(flow_message_id, campaign_id)

having count(case when type = 'Received Email' then 1 end) > 0
