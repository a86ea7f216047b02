{% set has_rfm = coterie.is_topic_enabled('rfm') %}

with

customer_segments as (

    select * from {{ ref('int_coterie__customer_segments') }}

),

customer_rfm as (

    select
        customer_id,
        monetary_tier,
        rfm_segment_code,
        rfm_reason

    from {{ ref('int_coterie__customer_rfm') }}

    where is_scoring_date

),

joined as (

    select
        customer_segments.customer_id,
        customer_segments.as_of_date,
        {% if has_rfm %}
        customer_rfm.rfm_segment_code,
        customer_rfm.monetary_tier,
        customer_rfm.rfm_reason,
        {% else %}
        null as rfm_segment_code,
        null as monetary_tier,
        null as rfm_reason,
        {% endif %}
        customer_segments.segment_code,
        customer_segments.segment_name,
        customer_segments.distance_to_center,
        customer_segments.is_core_member,
        customer_segments.previous_segment_code,
        customer_segments.segment_since,
        customer_segments.segmentation_version

    from customer_segments

    inner join customer_rfm
        on customer_segments.customer_id = customer_rfm.customer_id

)

select
    cast(customer_id as string) as customer_id,
    as_of_date,
    cast(rfm_segment_code as string) as rfm_segment_code,
    cast(monetary_tier as string) as monetary_tier,
    cast(rfm_reason as string) as rfm_reason,
    cast(segment_code as string) as segment_code,
    cast(segment_name as string) as segment_name,
    cast(distance_to_center as double) as distance_to_center,
    is_core_member,
    cast(previous_segment_code as string) as previous_segment_code,
    segment_since,
    cast(segmentation_version as string) as segmentation_version

from joined
