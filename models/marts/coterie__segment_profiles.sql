{% set traits = [
    'days_since_last_order', 'order_count_365d', 'net_amount_365d', 'avg_net_amount',
    'avg_gap_days', 'discount_share', 'refund_share', 'category_count', 'session_count_90d',
    'open_share_90d'
] %}
{% set has_segmentation = coterie.is_topic_enabled('segmentation') %}
{% set has_rfm = coterie.is_topic_enabled('rfm') %}

with

customer_features as (

    select
        customer_id,
        {%- for trait in traits %}
        cast({{ trait }} as decimal(18, 6)) as {{ trait }},
        {%- endfor %}
        net_amount_lookback

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

memberships as (

    {% if has_segmentation %}
    select
        customer_id,
        {{ coterie.quoted(coterie.settings('segmentation').segmentation_name) }}
            as segmentation_name,
        segment_code,
        segment_name,
        description

    from {{ ref('int_coterie__customer_segments') }}
    {% endif %}

    {{ 'union all' if has_segmentation and has_rfm }}

    {% if has_rfm %}
    select
        customer_rfm.customer_id,
        'rfm' as segmentation_name,
        customer_rfm.rfm_segment_code as segment_code,
        rfm_segments.rfm_segment_name as segment_name,
        rfm_segments.description

    from {{ ref('int_coterie__customer_rfm') }} as customer_rfm

    inner join {{ ref('int_coterie__rfm_segments') }} as rfm_segments
        on customer_rfm.rfm_segment_code = rfm_segments.rfm_segment_code

    where customer_rfm.is_scoring_date
    {% endif %}

),

members as (

    select
        memberships.segmentation_name,
        memberships.segment_code,
        memberships.segment_name,
        memberships.description,
        customer_features.*

    from memberships

    inner join customer_features
        on memberships.customer_id = customer_features.customer_id

),

everyone as (

    select
        segmentation_name,
        {%- for trait in traits %}
        avg(cast({{ trait }} as double)) as avg_{{ trait }},
        stddev_pop(cast({{ trait }} as double)) as spread_{{ trait }},
        {%- endfor %}
        count(*) as customer_count,
        sum(net_amount_lookback) as net_amount

    from members

    group by segmentation_name

),

segments as (

    select
        segmentation_name,
        segment_code,
        segment_name,
        description,
        {%- for trait in traits %}
        avg(cast({{ trait }} as double)) as avg_{{ trait }},
        {%- endfor %}
        count(*) as customer_count,
        sum(net_amount_lookback) as net_amount

    from members

    group by segmentation_name, segment_code, segment_name, description

),

segment_profiles as (

    select
        segments.segmentation_name,
        segments.segment_code,
        segments.segment_name,
        segments.description,
        segments.customer_count,
        {{ coterie.ratio('segments.customer_count', 'everyone.customer_count') }} as customer_share,
        segments.net_amount,
        {%- for trait in traits %}
        round(segments.avg_{{ trait }}, 6) as avg_{{ trait }},
        round(
            (segments.avg_{{ trait }} - everyone.avg_{{ trait }})
            / nullif(everyone.spread_{{ trait }}, 0),
            6
        ) as z_{{ trait }},
        {%- endfor %}
        {{ coterie.ratio('segments.net_amount', 'everyone.net_amount') }} as revenue_share

    from segments

    inner join everyone
        on segments.segmentation_name = everyone.segmentation_name

)

select
    cast(segmentation_name as string) as segmentation_name,
    cast(segment_code as string) as segment_code,
    cast(segment_name as string) as segment_name,
    cast(description as string) as description,
    cast(customer_count as bigint) as customer_count,
    cast(customer_share as double) as customer_share,
    cast(net_amount as decimal(18, 2)) as net_amount,
    {%- for trait in traits %}
    cast(avg_{{ trait }} as double) as avg_{{ trait }},
    cast(z_{{ trait }} as double) as z_{{ trait }},
    {%- endfor %}
    cast(revenue_share as double) as revenue_share

from segment_profiles
