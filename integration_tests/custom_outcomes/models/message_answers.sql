with

messages as (

    select * from {{ ref('shop_messages') }}

),

message_answers as (

    -- The first sign of life: who clicks without pictures has opened nothing.
    select
        customer_id as recipient,
        'answered' as outcome,
        least(opened_at, clicked_at) as answered_at

    from messages

    where coalesce(opened_at, clicked_at) is not null

)

select * from message_answers
