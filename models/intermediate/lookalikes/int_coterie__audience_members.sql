{{ config(materialized='view') }}

with

accepted as (

    select
        audience_code,
        customer_id

    from {{ ref('int_coterie__checked_seed_audiences') }}

    where rejection_rule is null

),

customers as (

    select customer_id from {{ ref('int_coterie__customer_features') }}
    where is_scoring_date

),

audience_members as (

    -- Who has not been seen before the date has no features.
    select
        accepted.audience_code,
        accepted.customer_id

    from accepted

    inner join customers
        on accepted.customer_id = customers.customer_id

)

select * from audience_members
