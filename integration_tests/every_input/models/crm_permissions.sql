with

consents as (

    select * from {{ demo_file('consents') }}

),

crm_permissions as (

    select * rename (
        customer_id as contact_code,
        purpose as medium,
        is_granted as is_allowed,
        changed_at as said_at
    )

    from consents

)

select * from crm_permissions
