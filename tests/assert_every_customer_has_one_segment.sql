{{ config(enabled=coterie.is_topic_enabled('segmentation')) }}

with

customers as (

    select customer_id

    from {{ ref('coterie', 'int_coterie__customer_features') }}

    where is_scoring_date

),

customer_segments as (

    select
        customer_id,
        segment_code

    from {{ ref('coterie', 'coterie__customer_segments') }}

),

wrong_customers as (

    select
        coalesce(customers.customer_id, customer_segments.customer_id) as customer_id,
        count(customers.customer_id) as customer_count,
        count(customer_segments.segment_code) as segment_count

    from customers

    full outer join customer_segments
        on customers.customer_id = customer_segments.customer_id

    group by coalesce(customers.customer_id, customer_segments.customer_id)

    having count(customers.customer_id) != 1 or count(customer_segments.segment_code) != 1

)

select * from wrong_customers
