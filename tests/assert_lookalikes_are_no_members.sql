{{ config(enabled=coterie.is_topic_enabled('lookalikes')) }}

with

lookalikes as (

    select * from {{ ref('coterie', 'coterie__lookalikes') }}

),

seed_audiences as (

    select * from {{ ref('coterie', 'int_coterie__checked_seed_audiences') }}
    where rejection_rule is null

)

select
    lookalikes.audience_code,
    lookalikes.customer_id

from lookalikes

inner join seed_audiences
    on
        lookalikes.audience_code = seed_audiences.audience_code
        and lookalikes.customer_id = seed_audiences.customer_id
