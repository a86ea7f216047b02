{% set segmentations = coterie.enabled_segmentations() %}
{% set others = coterie.ruled_segmentations() | map(attribute='name') | list %}

with

{% if segmentations %}

centers as (

    -- A code that is no more keeps its last name.
    select distinct
        segment_centers.segmentation_name,
        segment_centers.segment_code,
        segment_centers.segment_name,
        segment_centers.description,
        segment_centers.segmentation_version,
        segment_centers.fitted_as_of

    from {{ ref('int_coterie__segment_centers') }} as segment_centers

    inner join {{ ref('int_coterie__segmentation_versions') }} as versions
        on segment_centers.segmentation_version = versions.segmentation_version

),

ranked_centers as (

    select
        centers.*,
        row_number() over (
            partition by centers.segmentation_name, centers.segment_code
            order by
                case when versions.is_champion then 1 else 0 end desc,
                centers.fitted_as_of desc,
                centers.segmentation_version asc
        ) as newest_rank

    from centers

    inner join {{ ref('int_coterie__segmentation_versions') }} as versions
        on centers.segmentation_version = versions.segmentation_version

),

{% endif %}

segment_names as (

    {% for segmentation in segmentations %}
    {{ 'union all' if not loop.first }}
    select
        segmentation_name,
        segment_code,
        segment_name,
        description

    from ranked_centers

    where
        segmentation_name = {{ coterie.quoted(segmentation.name) }}
        and newest_rank = 1

    {% for code, name, description in [
        ('prospect', 'Prospects', 'Known, but without a valid order.'),
        ('lapsed', 'Lapsed customers', 'No valid order in the last ' ~ coterie.rfm_lookback_days()
            ~ ' days, but at least one before.'),
        ('unassigned', 'Not yet assigned', 'Like no group of customers that could be told apart.')
    ] %}
    union all

    select
        {{ coterie.quoted(segmentation.name) }} as segmentation_name,
        '{{ code }}' as segment_code,
        '{{ name }}' as segment_name,
        '{{ description }}' as description
    {% endfor %}
    {% endfor %}

    {% if 'rfm' in others %}
    {{ 'union all' if segmentations }}
    select
        'rfm' as segmentation_name,
        rfm_segment_code as segment_code,
        rfm_segment_name as segment_name,
        description

    from {{ ref('int_coterie__rfm_segments') }}
    {% endif %}

    {% if 'interest' in others %}
    {{ 'union all' if segmentations or 'rfm' in others }}
    select
        'interest' as segmentation_name,
        topic_code as segment_code,
        topic_name as segment_name,
        'Fondest of ' || topic_name || '.' as description

    from {{ ref('coterie__interest_topics') }}

    -- Where there are no topics, one row says so.
    where topic_code != 'none'

    union all

    select
        'interest' as segmentation_name,
        'none' as segment_code,
        'No known interest' as segment_name,
        'Has bought, viewed or written too little to tell.' as description
    {% endif %}

    {% if 'demographic' in others %}
    {{ 'union all' if segmentations or 'rfm' in others or 'interest' in others }}
    select
        'demographic' as segmentation_name,
        segment_code,
        min(segment_name) as segment_name,
        min(description) as description

    from {{ ref('int_coterie__customer_demographics') }}

    group by segment_code
    {% endif %}

)

select * from segment_names
