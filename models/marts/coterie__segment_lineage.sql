with

lineage as (

    select lineage.*

    from {{ ref('int_coterie__segment_lineage') }} as lineage

    inner join {{ ref('int_coterie__as_of') }} as as_of
        on lineage.fitted_as_of <= as_of.as_of_date

),

segment_names as (

    select * from {{ ref('int_coterie__segment_names') }}

),

named as (

    select
        lineage.*,
        from_names.segment_name as from_segment_name,
        to_names.segment_name as to_segment_name

    from lineage

    left join segment_names as from_names
        on
            lineage.segmentation_name = from_names.segmentation_name
            and lineage.from_segment_code = from_names.segment_code

    left join segment_names as to_names
        on
            lineage.segmentation_name = to_names.segmentation_name
            and lineage.to_segment_code = to_names.segment_code

)

select
    cast(segmentation_name as string) as segmentation_name,
    fitted_as_of,
    cast(coalesce(from_segment_code, 'none') as string) as from_segment_code,
    cast(coalesce(to_segment_code, 'none') as string) as to_segment_code,
    cast(from_segment_name as string) as from_segment_name,
    cast(to_segment_name as string) as to_segment_name,
    cast(change as string) as change,
    cast(overlap as double) as overlap,
    cast(center_distance as double) as center_distance,
    cast(customer_count as bigint) as customer_count,
    cast(previous_version as string) as previous_version,
    cast(segmentation_version as string) as segmentation_version

from named
