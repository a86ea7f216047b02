{{ config(post_hook="{{ coterie.delete_erased_customers() }}") }}

with

erased_customers as (

    select
        customer_id,
        requested_at

    from {{ ref('int_coterie__checked_erasure_requests') }}

    where rejection_rule is null

)

select * from erased_customers
