{% set features = coterie.segmentation_features() %}
{% set limits = coterie.segmentations() | map(attribute='sample_customer_limit') | list %}

with

segmentation_features as (

    select * from {{ ref('int_coterie__segmentation_features') }}

),

sample as (

    select 1000000.0 * {{ (limits or [1]) | max | int }} / greatest(count(*), 1) as position_limit

    from segmentation_features

),

segmentation_sample as (

    select
        {%- for feature in features %}
        segmentation_features.{{ adapter.quote(feature) }},
        {%- endfor %}
        segmentation_features.customer_id

    from segmentation_features

    cross join sample

    where segmentation_features.sample_position < sample.position_limit

)

select * from segmentation_sample
