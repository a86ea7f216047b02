with

customers as (

    select * from {{ ref('stg_customers') }}

),

customer_orders as (

    select
        customer_id,
        min(order_date) as first_order,
        count(*) as number_of_orders

    from {{ ref('stg_orders') }}

    group by customer_id

)

select
    customers.customer_id,
    customers.first_name,
    customers.last_name,
    customer_orders.first_order,
    customer_orders.number_of_orders

from customers

left join customer_orders
    on customers.customer_id = customer_orders.customer_id
