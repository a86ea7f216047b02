with

events as (

    select * from {{ demo_file('events') }}

),

web_hits as (

    select * rename (
        event_id as hit_id,
        occurred_at as hit_at,
        event_type as action,
        customer_id as client_code,
        anonymous_id as cookie
    )

    from events

)

select * from web_hits
