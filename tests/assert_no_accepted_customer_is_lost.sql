-- Whoever has an id in an accepted row of any input is a customer.
with

mentions as (

    select customer_id from {{ ref('coterie', 'int_coterie__orders') }}

    union all

    select visitor_id as customer_id

    from {{ ref('coterie', 'int_coterie__checked_events') }}

    where
        rejection_rule is null
        and not is_anonymous

    union all

    select customer_id from {{ ref('coterie', 'int_coterie__identities') }}

    union all

    select customer_id from {{ ref('coterie', 'int_coterie__messages') }}

    union all

    select customer_id

    from {{ ref('coterie', 'int_coterie__checked_customers') }}

    where rejection_rule is null

),

customers as (

    select customer_id from {{ ref('coterie', 'int_coterie__customers') }}

),

lost as (

    select distinct mentions.customer_id

    from mentions

    left join customers
        on mentions.customer_id = customers.customer_id

    where
        mentions.customer_id is not null
        and customers.customer_id is null

)

select * from lost
