{% set segmentations = coterie.segmentations() %}

with

customers as (

    select * from {{ ref('int_coterie__segmentation_features') }}

),

versions as (

    select
        segmentation_version,
        is_champion

    from {{ ref('int_coterie__segmentation_versions') }}

    where is_champion or is_held

),

centers as (

    select
        segment_centers.*,
        versions.is_champion

    from {{ ref('int_coterie__segment_centers') }} as segment_centers

    inner join versions
        on segment_centers.segmentation_version = versions.segmentation_version

),

{% for segmentation in segmentations %}
{% set number = loop.index %}
{% set numbers = segmentation.number_features + segmentation.interest_features %}
{% set categories = segmentation.category_features %}
segments_{{ number }} as (

    select
        {%- for feature in numbers %}
        {%- set place = loop.index %}
        {%- for part in ['center', 'location', 'scale', 'weight'] %}
        max(case when feature = {{ coterie.quoted(feature) }} then {{ part }} end)
            as {{ part }}_{{ place }},
        {%- endfor %}
        {%- endfor %}
        segmentation_version,
        segment_code,
        is_champion,
        max(clip) as clip,
        max(radius) as radius,
        max(score_offset) as score_offset,
        max(max_distance) as max_distance

    from centers

    where segmentation_name = {{ coterie.quoted(segmentation.name) }}

    group by segmentation_version, segment_code, is_champion

),

scores_{{ number }} as (

    select
        {{ coterie.quoted(segmentation.name) }} as segmentation_name,
        customers.customer_id,
        segments.segmentation_version,
        segments.segment_code,
        segments.is_champion,
        segments.radius,
        segments.max_distance,
        segments.score_offset,
        segments.score_offset
        {%- for feature in numbers %}
        + power(
            (
                {{ coterie.scaled_feature(
                    'customers.' ~ adapter.quote(feature),
                    'segments.location_' ~ loop.index, 'segments.scale_' ~ loop.index,
                    'segments.clip'
                ) }} - segments.center_{{ loop.index }}
            ) * segments.weight_{{ loop.index }},
            2
        )
        {%- endfor %}
        {%- for feature in categories %}
        + coalesce(level_{{ loop.index }}.center, other_{{ loop.index }}.center, 0)
        {%- endfor %} as score

    from customers

    cross join segments_{{ number }} as segments
    {% for feature in categories %}
    left join centers as level_{{ loop.index }}
        on
            segments.segmentation_version = level_{{ loop.index }}.segmentation_version
            and segments.segment_code = level_{{ loop.index }}.segment_code
            and level_{{ loop.index }}.feature = {{ coterie.quoted(feature) }}
            and customers.{{ adapter.quote(feature) }} = level_{{ loop.index }}.level

    left join centers as other_{{ loop.index }}
        on
            segments.segmentation_version = other_{{ loop.index }}.segmentation_version
            and segments.segment_code = other_{{ loop.index }}.segment_code
            and other_{{ loop.index }}.feature = {{ coterie.quoted(feature) }}
            and other_{{ loop.index }}.level = ''
    {% endfor %}
),

{% endfor %}
scores as (

    {% for segmentation in segmentations %}
    {{ 'union all' if not loop.first }}
    select * from scores_{{ loop.index }}
    {% endfor %}

),

segment_distances as (

    select
        segmentation_name,
        customer_id,
        segmentation_version,
        segment_code,
        is_champion,
        radius,
        max_distance,
        round(score, 9) as score,
        round(sqrt(greatest(score - score_offset, 0)), 9) as distance_to_center

    from scores

)

select * from segment_distances
