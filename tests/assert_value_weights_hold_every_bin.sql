{{ config(
    enabled=coterie.is_topic_enabled('lifetime_value') and coterie.has_additive_value()
) }}

with

weights as (

    select
        model_version,
        bin_set_id,
        component,
        feature,
        bin

    from {{ ref('coterie', 'int_coterie__value_weights') }}

    where component in ('purchase', 'spend')

),

components as (

    select distinct
        model_version,
        bin_set_id,
        component

    from weights

),

bins as (

    select
        components.model_version,
        components.component,
        feature_bins.feature,
        feature_bins.bin

    from components

    inner join {{ ref('coterie', 'int_coterie__feature_bins') }} as feature_bins
        on components.bin_set_id = feature_bins.bin_set_id

),

unmatched as (

    select
        coalesce(bins.model_version, weights.model_version) as model_version,
        coalesce(bins.component, weights.component) as component,
        coalesce(bins.feature, weights.feature) as feature,
        coalesce(bins.bin, weights.bin) as bin

    from bins

    full outer join weights
        on
            bins.model_version = weights.model_version
            and bins.component = weights.component
            and bins.feature = weights.feature
            and bins.bin = weights.bin

    where
        bins.bin is null
        or weights.bin is null

)

select * from unmatched
