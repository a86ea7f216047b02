with

seed_audiences as (

    select * from {{ demo_file('seed_audiences') }}

),

crm_lists as (

    select * rename (
        audience_code as list_code,
        customer_id as contact_code
    )

    from seed_audiences

)

select * from crm_lists
