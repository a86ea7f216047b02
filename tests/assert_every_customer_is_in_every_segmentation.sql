{{ config(enabled=coterie.has_segmentations()) }}

with

customers as (

    select customer_id

    from {{ ref('coterie', 'int_coterie__customer_features') }}

    where is_scoring_date

),

memberships as (

    select * from {{ ref('coterie', 'coterie__customer_segment_memberships') }}

),

segmentations as (

    select distinct segmentation_name from memberships

),

wrong_customers as (

    select
        customers.customer_id,
        segmentations.segmentation_name,
        count(memberships.segment_code) as segment_count

    from customers

    cross join segmentations

    left join memberships
        on
            customers.customer_id = memberships.customer_id
            and segmentations.segmentation_name = memberships.segmentation_name

    group by customers.customer_id, segmentations.segmentation_name

    having count(memberships.segment_code) != 1

)

select * from wrong_customers
