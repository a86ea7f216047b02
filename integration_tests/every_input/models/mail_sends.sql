with

messages as (

    select * from {{ demo_file('messages') }}

),

mail_sends as (

    select * rename (
        message_id as send_id,
        customer_id as recipient,
        sent_at as delivered_at,
        channel as medium
    )

    from messages

)

select * from mail_sends
