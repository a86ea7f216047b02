{{ config(alias='shopCustomers') }}

with

customers as (

    select * from {{ source('erp', 'customers') }}

),

shop_customers as (

    select
        "customerRef",
        "signedUp" as "Signed Up",
        country_code as "COUNTRY_CODE"

    from customers

)

select * from shop_customers
