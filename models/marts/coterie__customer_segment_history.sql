with

states as (

    select states.*

    from {{ ref('int_coterie__customer_segment_states') }} as states

    inner join {{ ref('int_coterie__as_of') }} as as_of
        on states.valid_from_on <= as_of.as_of_date

),

segment_names as (

    select * from {{ ref('int_coterie__segment_names') }}

),

history as (

    select
        states.customer_id,
        states.segmentation_name,
        states.valid_from_on,
        lead(states.valid_from_on) over (
            partition by states.segmentation_name, states.customer_id
            order by states.valid_from_on
        ) as valid_to_on,
        states.segment_code,
        coalesce(segment_names.segment_name, states.segment_code) as segment_name,
        states.previous_segment_code,
        states.cause,
        states.segmentation_version

    from states

    left join segment_names
        on
            states.segmentation_name = segment_names.segmentation_name
            and states.segment_code = segment_names.segment_code

)

select
    cast(customer_id as string) as customer_id,
    cast(segmentation_name as string) as segmentation_name,
    valid_from_on,
    valid_to_on,
    cast(segment_code as string) as segment_code,
    cast(segment_name as string) as segment_name,
    cast(previous_segment_code as string) as previous_segment_code,
    cast(cause as string) as cause,
    cast(segmentation_version as string) as segmentation_version

from history
