{{ config(enabled=coterie.is_topic_enabled('demographics')) }}

with

customers as (

    select customer_id from {{ ref('coterie', 'int_coterie__customer_features') }}
    where is_scoring_date

),

demographics as (

    select
        customer_id,
        count(*) as segment_count

    from {{ ref('coterie', 'int_coterie__customer_demographics') }}

    group by customer_id

)

select
    coalesce(customers.customer_id, demographics.customer_id) as customer_id,
    demographics.segment_count

from customers

full outer join demographics
    on customers.customer_id = demographics.customer_id

where
    customers.customer_id is null
    or demographics.segment_count is distinct from 1
