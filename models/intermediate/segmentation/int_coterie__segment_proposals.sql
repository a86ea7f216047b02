{% set segmentations = coterie.enabled_segmentations() %}
{% set others = coterie.ruled_segmentations() %}

with

customer_features as (

    select
        as_of_date,
        customer_id,
        order_count,
        order_count_lookback,
        net_amount_lookback

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

{% if segmentations %}

ranked_segments as (

    select
        *,
        row_number() over (
            partition by segmentation_name, customer_id, is_champion
            order by score, segment_code
        ) as nearness_rank

    from {{ ref('int_coterie__segment_distances') }}

),

nearest_segments as (

    select
        segmentation_name,
        customer_id,
        segmentation_version,
        is_champion,
        case
            when distance_to_center > max_distance then 'unassigned'
            else segment_code
        end as segment_code

    from ranked_segments

    where nearness_rank = 1

),

redefined as (

    select
        segmentation_name,
        is_redefined

    from {{ ref('int_coterie__segmentation_versions') }}

    where is_champion

),

clusters as (

    {% for segmentation in segmentations %}
    {{ 'union all' if not loop.first }}
    select {{ coterie.quoted(segmentation.name) }} as segmentation_name
    {% endfor %}

),

{% endif %}

proposed as (

    {% if segmentations %}
    select
        clusters.segmentation_name,
        customer_features.customer_id,
        nearest_segments.segmentation_version,
        case
            when customer_features.order_count = 0 then 'prospect'
            when customer_features.order_count_lookback = 0 then 'lapsed'
            else coalesce(nearest_segments.segment_code, 'unassigned')
        end as segment_code,
        held_segments.segment_code as held_segment_code,
        customer_features.order_count_lookback > 0
        and coalesce(redefined.is_redefined, false) as is_redefined

    from customer_features

    cross join clusters

    left join redefined
        on clusters.segmentation_name = redefined.segmentation_name

    left join nearest_segments
        on
            clusters.segmentation_name = nearest_segments.segmentation_name
            and customer_features.customer_id = nearest_segments.customer_id
            and nearest_segments.is_champion

    left join nearest_segments as held_segments
        on
            clusters.segmentation_name = held_segments.segmentation_name
            and customer_features.customer_id = held_segments.customer_id
            and not held_segments.is_champion
    {% endif %}

    {% for other in others %}
    {{ 'union all' if segmentations or not loop.first }}
    select
        '{{ other.name }}' as segmentation_name,
        customer_id,
        cast(null as string) as segmentation_version,
        {{ other.code }} as segment_code,
        {{ other.held_code }} as held_segment_code,
        false as is_redefined

    from {{ ref(other.relation) }}
    {{ 'where ' ~ other.condition if other.condition }}
    {% endfor %}

),

segment_proposals as (

    select
        customer_features.as_of_date,
        proposed.segmentation_name,
        proposed.customer_id,
        proposed.segmentation_version,
        proposed.segment_code,
        proposed.held_segment_code,
        proposed.is_redefined,
        customer_features.net_amount_lookback as net_amount

    from proposed

    inner join customer_features
        on proposed.customer_id = customer_features.customer_id

)

select * from segment_proposals
