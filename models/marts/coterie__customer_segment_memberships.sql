with

segment_names as (

    select * from {{ ref('int_coterie__segment_names') }}

),

memberships as (

    select
        memberships.customer_id,
        memberships.segmentation_name,
        memberships.as_of_date,
        memberships.segment_code,
        segment_names.segment_name,
        memberships.distance_to_center,
        memberships.is_core_member,
        memberships.previous_segment_code,
        memberships.segment_since,
        memberships.segmentation_version

    from {{ ref('int_coterie__segment_memberships') }} as memberships

    left join segment_names
        on
            memberships.segmentation_name = segment_names.segmentation_name
            and memberships.segment_code = segment_names.segment_code

)

select
    cast(customer_id as string) as customer_id,
    cast(segmentation_name as string) as segmentation_name,
    as_of_date,
    cast(segment_code as string) as segment_code,
    cast(coalesce(segment_name, segment_code) as string) as segment_name,
    cast(distance_to_center as double) as distance_to_center,
    is_core_member,
    cast(previous_segment_code as string) as previous_segment_code,
    segment_since,
    cast(segmentation_version as string) as segmentation_version

from memberships
