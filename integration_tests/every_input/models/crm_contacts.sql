with

customers as (

    select * from {{ demo_file('customers') }}

),

crm_contacts as (

    select * rename (
        customer_id as contact_code
    ),
        1 + length(city) % 4 as persons

    from customers

)

select * from crm_contacts
