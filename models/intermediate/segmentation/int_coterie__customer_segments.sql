with

memberships as (

    select * from {{ ref('int_coterie__segment_memberships') }}

    where segmentation_name = {{ coterie.quoted(coterie.default_segmentation_name()) }}

),

segment_names as (

    select * from {{ ref('int_coterie__segment_names') }}

),

customer_segments as (

    select
        memberships.as_of_date,
        memberships.customer_id,
        memberships.segmentation_version,
        memberships.segment_code,
        segment_names.segment_name,
        segment_names.description,
        memberships.distance_to_center,
        memberships.is_core_member,
        memberships.previous_segment_code,
        memberships.segment_since

    from memberships

    left join segment_names
        on
            memberships.segmentation_name = segment_names.segmentation_name
            and memberships.segment_code = segment_names.segment_code

)

select * from customer_segments
