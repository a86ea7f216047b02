with

webshop_customers as (

    select * from {{ source('webshop', 'customers') }}

),

customers as (

    select
        id as customer_id,
        created_at as signed_up_at,
        'a model of the host' as remark

    from webshop_customers

)

select * from customers
