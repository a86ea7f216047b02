{{ config(enabled=coterie.has_segmentations()) }}

with

segment_traits as (

    select * from {{ ref('coterie', 'coterie__segment_traits') }}
    where trait_name != 'category'

),

sums as (

    select
        segmentation_name,
        segment_code,
        trait_name,
        sum(segment_share) as share_sum,
        count(case when is_suppressed then 1 end) as suppressed_count

    from segment_traits

    group by segmentation_name, segment_code, trait_name

)

-- Each share is rounded to six decimals. What is hidden is missing in the sum.
select * from sums
where
    share_sum > 1.0001
    or (suppressed_count = 0 and share_sum < 0.9999)
