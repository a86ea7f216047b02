with

identities as (

    select * from {{ demo_file('identities') }}

),

web_logins as (

    select * rename (
        anonymous_id as cookie,
        customer_id as client_code,
        linked_at as logged_in_at
    )

    from identities

)

select * from web_logins
