{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

weights as (

    select
        model_version,
        bin_set_id,
        feature,
        bin

    from {{ ref('coterie', 'int_coterie__propensity_weights') }}

),

versions as (

    select distinct
        model_version,
        bin_set_id

    from weights

),

bins as (

    select
        versions.model_version,
        feature_bins.feature,
        feature_bins.bin

    from versions

    inner join {{ ref('coterie', 'int_coterie__feature_bins') }} as feature_bins
        on versions.bin_set_id = feature_bins.bin_set_id

),

unmatched as (

    select
        coalesce(bins.model_version, weights.model_version) as model_version,
        coalesce(bins.feature, weights.feature) as feature,
        coalesce(bins.bin, weights.bin) as bin

    from bins

    full outer join weights
        on
            bins.model_version = weights.model_version
            and bins.feature = weights.feature
            and bins.bin = weights.bin

    where
        bins.bin is null
        or weights.bin is null

)

select * from unmatched
