with

erasure_requests as (

    select * from {{ demo_file('erasure_requests') }}

),

crm_deletions as (

    select * rename (
        customer_id as contact_code,
        requested_at as asked_at
    )

    from erasure_requests

)

select * from crm_deletions
