{{ config(enabled=coterie.has_segmentations()) }}

-- As many segments as there are segmentations: that none counts twice in one is a claim of the
-- mart itself.
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

    select count(distinct segmentation_name) as segmentation_count from memberships

),

segment_counts as (

    select
        customer_id,
        count(segment_code) as segment_count

    from memberships

    group by customer_id

),

wrong_customers as (

    select
        customers.customer_id,
        segmentations.segmentation_count,
        coalesce(segment_counts.segment_count, 0) as segment_count

    from customers

    cross join segmentations

    left join segment_counts
        on customers.customer_id = segment_counts.customer_id

    where coalesce(segment_counts.segment_count, 0) != segmentations.segmentation_count

)

select * from wrong_customers
