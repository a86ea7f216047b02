{{ config(
    enabled=coterie.is_topic_enabled('segmentation') or coterie.is_topic_enabled('rfm')
) }}

with

segment_profiles as (

    select * from {{ ref('coterie', 'coterie__segment_profiles') }}

),

segmentations as (

    select
        segmentation_name,
        sum(customer_share) as customer_share,
        sum(revenue_share) as revenue_share

    from segment_profiles

    group by segmentation_name

)

-- Each share is rounded to six decimals.
select * from segmentations
where
    abs(customer_share - 1) > 0.0001
    or abs(revenue_share - 1) > 0.0001
