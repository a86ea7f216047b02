{% set topics = coterie.tested_topics() %}
{% set has_segmentation = coterie.is_topic_enabled('segmentation') %}

with

metrics as (

    {% for topic in topics %}
    {{ 'union all' if not loop.first }}
    select
        metrics.model_name,
        metrics.model_version,
        metrics.origin,
        metrics.scorer_name,
        metrics.group_name,
        metrics.group_value,
        metrics.metric_name,
        metrics.metric_value,
        metrics.interval_lower,
        metrics.interval_upper

    from {{ ref(topic.metrics) }} as metrics

    inner join {{ ref(topic.versions) }} as versions
        on
            metrics.model_name = versions.model_name
            and metrics.model_version = versions.model_version
    {% endfor %}

    {{ 'union all' if topics and has_segmentation }}

    {% if has_segmentation %}
    -- The groups themselves: how stable they are, and what they explain.
    select
        quality.segmentation_name as model_name,
        quality.segmentation_version as model_version,
        'pooled' as origin,
        'model' as scorer_name,
        'all' as group_name,
        'all' as group_value,
        quality.metric_name,
        quality.metric_value,
        quality.interval_lower,
        quality.interval_upper

    from {{ ref('int_coterie__segmentation_quality') }} as quality

    inner join {{ ref('int_coterie__segmentation_versions') }} as versions
        on quality.segmentation_version = versions.segmentation_version
    {% endif %}

)

select
    cast(model_name as string) as model_name,
    cast(model_version as string) as model_version,
    cast(origin as string) as origin,
    cast(scorer_name as string) as scorer_name,
    cast(group_name as string) as group_name,
    cast(group_value as string) as group_value,
    cast(metric_name as string) as metric_name,
    cast(metric_value as double) as metric_value,
    cast(interval_lower as double) as interval_lower,
    cast(interval_upper as double) as interval_upper

from metrics
