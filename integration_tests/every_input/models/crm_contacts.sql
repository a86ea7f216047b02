with

customers as (

    select * from {{ demo_file('customers') }}

),

crm_contacts as (

    select * rename (
        customer_id as contact_code
    )

    from customers

)

select * from crm_contacts
