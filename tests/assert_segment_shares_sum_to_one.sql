{{ config(enabled=coterie.has_segmentations()) }}

with

segment_profiles as (

    select * from {{ ref('coterie', 'coterie__segment_profiles') }}

),

segmentations as (

    select
        segmentation_name,
        sum(customer_share) as customer_share,
        sum(revenue_share) as revenue_share,
        count(case when is_suppressed then 1 end) as suppressed_count

    from segment_profiles

    group by segmentation_name

)

-- Each share is rounded to six decimals. What is hidden is missing in the sum.
select * from segmentations
where
    customer_share > 1.0001
    or revenue_share > 1.0001
    or (suppressed_count = 0 and (customer_share < 0.9999 or revenue_share < 0.9999))
