{% set min_cell_size = coterie.min_cell_size() %}

with

trait_counts as (

    select * from {{ ref('int_coterie__segment_trait_counts') }}

),

segment_sizes as (

    select
        segmentation_name,
        segment_code,
        count(*) as customer_count

    from {{ ref('int_coterie__segment_memberships') }}

    group by segmentation_name, segment_code

),

category_buyers as (

    select
        segmentation_name,
        segment_code,
        customer_count

    from trait_counts

    where trait_name = 'any_category'

),

counted as (

    -- A customer has one value of most traits, but orders in several categories, and orders of
    -- several hours: these are counted by order, and categories by who bought in them at all.
    select
        trait_counts.segmentation_name,
        trait_counts.segment_code,
        trait_counts.trait_name,
        trait_counts.trait_value,
        trait_counts.customer_count,
        segment_sizes.customer_count as segment_customer_count,
        case when trait_counts.order_count is null then 'customers' else 'orders' end as counted_by,
        coalesce(trait_counts.order_count, trait_counts.customer_count) as value_count,
        case
            when trait_counts.trait_name = 'category' then category_buyers.customer_count
            else
                sum(coalesce(trait_counts.order_count, trait_counts.customer_count)) over (
                    partition by
                        trait_counts.segmentation_name,
                        trait_counts.segment_code,
                        trait_counts.trait_name
                )
        end as base_count

    from trait_counts

    inner join segment_sizes
        on
            trait_counts.segmentation_name = segment_sizes.segmentation_name
            and trait_counts.segment_code = segment_sizes.segment_code

    left join category_buyers
        on
            trait_counts.segmentation_name = category_buyers.segmentation_name
            and trait_counts.segment_code = category_buyers.segment_code

    where trait_counts.trait_name != 'any_category'

),

value_totals as (

    select
        segmentation_name,
        trait_name,
        trait_value,
        sum(customer_count) as all_customer_count,
        sum(value_count) as all_value_count

    from counted

    group by segmentation_name, trait_name, trait_value

),

trait_totals as (

    select
        segmentation_name,
        trait_name,
        sum(base_count) as all_base_count

    from (
        select distinct
            segmentation_name,
            segment_code,
            trait_name,
            base_count

        from counted
    ) as bases

    group by segmentation_name, trait_name

),

segment_traits as (

    select
        counted.*,
        counted.segment_customer_count < {{ min_cell_size }}
        or counted.customer_count < {{ min_cell_size }} as is_suppressed,
        {{ coterie.ratio('counted.value_count', 'counted.base_count') }} as segment_share,
        case
            when value_totals.all_customer_count >= {{ min_cell_size }}
                then {{ coterie.ratio(
                    'value_totals.all_value_count', 'trait_totals.all_base_count'
                ) }}
        end as share_of_all,
        round(
            cast(counted.value_count as double) / counted.base_count
            / (cast(value_totals.all_value_count as double) / trait_totals.all_base_count),
            6
        ) as lift,
        row_number() over (
            partition by
                counted.segmentation_name, counted.segment_code, counted.trait_name
            order by counted.value_count desc, counted.trait_value asc
        ) as trait_rank

    from counted

    inner join value_totals
        on
            counted.segmentation_name = value_totals.segmentation_name
            and counted.trait_name = value_totals.trait_name
            and counted.trait_value = value_totals.trait_value

    inner join trait_totals
        on
            counted.segmentation_name = trait_totals.segmentation_name
            and counted.trait_name = trait_totals.trait_name

)

select
    cast(segmentation_name as string) as segmentation_name,
    cast(segment_code as string) as segment_code,
    cast(trait_name as string) as trait_name,
    cast(trait_value as string) as trait_value,
    cast(counted_by as string) as counted_by,
    {{ coterie.unless_suppressed('customer_count', 'bigint') }} as customer_count,
    {{ coterie.unless_suppressed('segment_share', 'double') }} as segment_share,
    cast(share_of_all as double) as share_of_all,
    {{ coterie.unless_suppressed('lift', 'double') }} as lift,
    {{ coterie.unless_suppressed('trait_rank', 'bigint') }} as trait_rank,
    is_suppressed

from segment_traits
