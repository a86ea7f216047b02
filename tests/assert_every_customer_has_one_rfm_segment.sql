with

customers as (

    select
        as_of_date,
        customer_id

    from {{ ref('coterie', 'int_coterie__customer_features') }}

),

customer_rfm as (

    select * from {{ ref('coterie', 'int_coterie__customer_rfm') }}

),

wrong_customers as (

    select
        coalesce(customers.as_of_date, customer_rfm.as_of_date) as as_of_date,
        coalesce(customers.customer_id, customer_rfm.customer_id) as customer_id,
        count(customers.customer_id) as customer_count,
        count(customer_rfm.rfm_segment_code) as segment_count

    from customers

    full outer join customer_rfm
        on
            customers.as_of_date = customer_rfm.as_of_date
            and customers.customer_id = customer_rfm.customer_id

    group by
        coalesce(customers.as_of_date, customer_rfm.as_of_date),
        coalesce(customers.customer_id, customer_rfm.customer_id)

    having count(customers.customer_id) != 1 or count(customer_rfm.rfm_segment_code) != 1

)

select * from wrong_customers
