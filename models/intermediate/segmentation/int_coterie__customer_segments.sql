{% set segmentation = coterie.settings('segmentation') %}

with

as_of as (

    select * from {{ ref('int_coterie__as_of') }}

),

customer_features as (

    select * from {{ ref('int_coterie__customer_features') }}
    where is_scoring_date

),

centers as (

    select segment_centers.*

    from {{ ref('int_coterie__segment_centers') }} as segment_centers

    cross join as_of

    where
        segment_centers.settings_hash = {{ coterie.current_settings_hash('segmentation') }}
        and segment_centers.fitted_as_of <= as_of.as_of_date

),

newest_version as (

    select segmentation_version

    from centers

    group by segmentation_version

    order by max(fitted_as_of) desc, segmentation_version asc

    limit 1

),

segments as (

    select
        {%- for feature in segmentation.features %}
        max(case when centers.feature = {{ coterie.quoted(feature) }} then centers.center end)
            as center_{{ loop.index }},
        max(case when centers.feature = {{ coterie.quoted(feature) }} then centers.location end)
            as location_{{ loop.index }},
        max(case when centers.feature = {{ coterie.quoted(feature) }} then centers.scale end)
            as scale_{{ loop.index }},
        {%- endfor %}
        centers.segmentation_version,
        centers.segment_code,
        centers.segment_name,
        centers.description,
        centers.radius,
        centers.clip

    from centers

    inner join newest_version
        on centers.segmentation_version = newest_version.segmentation_version

    group by
        centers.segmentation_version,
        centers.segment_code,
        centers.segment_name,
        centers.description,
        centers.radius,
        centers.clip

),

distances as (

    select
        customer_features.customer_id,
        segments.segmentation_version,
        segments.segment_code,
        segments.segment_name,
        segments.description,
        segments.radius,
        round(
            sqrt(
                {%- for feature in segmentation.features %}
                {{ '+ ' if not loop.first }}power(
                    {{ coterie.scaled_feature(
                        'cast(customer_features.' ~ adapter.quote(feature) ~ ' as double)',
                        'segments.location_' ~ loop.index, 'segments.scale_' ~ loop.index,
                        'segments.clip'
                    ) }} - segments.center_{{ loop.index }},
                    2
                )
                {%- endfor %}
            ),
            9
        ) as distance_to_center

    from customer_features

    cross join segments

    where customer_features.order_count_lookback > 0

),

ranked_segments as (

    select
        *,
        row_number() over (
            partition by customer_id
            order by distance_to_center, segment_code
        ) as nearness_rank

    from distances

    where distance_to_center is not null

),

customer_segments as (

    select
        customer_features.as_of_date,
        customer_features.customer_id,
        ranked_segments.segmentation_version,
        case
            when customer_features.order_count = 0 then 'prospect'
            when customer_features.order_count_lookback = 0 then 'lapsed'
            else coalesce(ranked_segments.segment_code, 'unassigned')
        end as segment_code,
        case
            when customer_features.order_count = 0 then 'Prospects'
            when customer_features.order_count_lookback = 0 then 'Lapsed customers'
            else coalesce(ranked_segments.segment_name, 'Not yet assigned')
        end as segment_name,
        case
            when customer_features.order_count = 0 then 'Known, but without a valid order.'
            when customer_features.order_count_lookback = 0
                then
                    'No valid order in the last '
                    || '{{ coterie.rfm_lookback_days() }} days, but at least one before.'
            else
                coalesce(
                    ranked_segments.description,
                    'Too few active customers to tell groups apart yet.'
                )
        end as description,
        ranked_segments.distance_to_center,
        ranked_segments.distance_to_center <= ranked_segments.radius as is_core_member

    from customer_features

    left join ranked_segments
        on
            customer_features.customer_id = ranked_segments.customer_id
            and ranked_segments.nearness_rank = 1

)

select * from customer_segments
