with

changes as (

    select states.*

    from {{ ref('int_coterie__customer_segment_states') }} as states

    inner join {{ ref('int_coterie__as_of') }} as as_of
        on states.valid_from_on <= as_of.as_of_date

    where states.previous_segment_code is not null

),

segment_names as (

    select * from {{ ref('int_coterie__segment_names') }}

),

counted as (

    select
        segmentation_name,
        valid_from_on as as_of_date,
        previous_segment_code as from_segment_code,
        segment_code as to_segment_code,
        cause,
        count(*) as customer_count,
        sum(net_amount) as net_amount

    from changes

    group by segmentation_name, valid_from_on, previous_segment_code, segment_code, cause

),

migrations as (

    select
        counted.*,
        coalesce(from_names.segment_name, counted.from_segment_code) as from_segment_name,
        coalesce(to_names.segment_name, counted.to_segment_code) as to_segment_name

    from counted

    left join segment_names as from_names
        on
            counted.segmentation_name = from_names.segmentation_name
            and counted.from_segment_code = from_names.segment_code

    left join segment_names as to_names
        on
            counted.segmentation_name = to_names.segmentation_name
            and counted.to_segment_code = to_names.segment_code

)

select
    cast(segmentation_name as string) as segmentation_name,
    as_of_date,
    cast(from_segment_code as string) as from_segment_code,
    cast(to_segment_code as string) as to_segment_code,
    cast(cause as string) as cause,
    cast(from_segment_name as string) as from_segment_name,
    cast(to_segment_name as string) as to_segment_name,
    cast(customer_count as bigint) as customer_count,
    cast(net_amount as decimal(18, 2)) as net_amount

from migrations
