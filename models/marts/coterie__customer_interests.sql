with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

customer_interests as (

    select * from {{ ref('int_coterie__customer_interests') }}
    where is_current

)

select
    cast(customer_interests.customer_id as string) as customer_id,
    as_of.as_of_date,
    cast(customer_interests.topic_code as string) as topic_code,
    cast(customer_interests.topic_name as string) as topic_name,
    cast(customer_interests.affinity as double) as affinity,
    cast(customer_interests.lift as double) as lift,
    cast(customer_interests.evidence as double) as evidence,
    cast(customer_interests.order_count as bigint) as order_count,
    cast(customer_interests.view_count as bigint) as view_count,
    cast(customer_interests.interest_rank as bigint) as interest_rank,
    cast(customer_interests.topics_version as string) as topics_version

from customer_interests

cross join as_of
