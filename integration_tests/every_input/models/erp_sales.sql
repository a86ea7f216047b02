with

orders as (

    select * from {{ demo_file('orders') }}

),

erp_sales as (

    select * rename (
        order_id as sale_number,
        customer_id as client_code,
        ordered_at as placed_at,
        order_amount as net_total
    )

    from orders

)

select * from erp_sales
