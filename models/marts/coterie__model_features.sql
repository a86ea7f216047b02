{% set evidence = coterie.settings('evidence') %}
{# Shares below it count as it, so that an empty bin does not make the index infinite. #}
{% set floor = '0.0001' %}

with

versions as (

    select
        model_name,
        model_version,
        bin_set_id

    from {{ ref('int_coterie__propensity_versions') }}

),

shapes as (

    select
        weights.model_name,
        weights.model_version,
        weights.feature,
        weights.bin,
        weights.weight,
        feature_bins.training_share

    from {{ ref('int_coterie__propensity_weights') }} as weights

    inner join versions
        on
            weights.model_name = versions.model_name
            and weights.model_version = versions.model_version

    inner join {{ ref('int_coterie__feature_bins') }} as feature_bins
        on
            versions.bin_set_id = feature_bins.bin_set_id
            and weights.feature = feature_bins.feature
            and weights.bin = feature_bins.bin

),

contributions as (

    select
        model_name,
        model_version,
        feature,
        sum(training_share * abs(weight)) as mean_contribution

    from shapes

    group by model_name, model_version, feature

),

pairs as (

    -- Each pair of bins of values, as often as a lower and a higher value meet.
    select
        lower_bins.model_name,
        lower_bins.model_version,
        lower_bins.feature,
        lower_bins.training_share * higher_bins.training_share as pair_share,
        higher_bins.weight - lower_bins.weight as weight_difference

    from shapes as lower_bins

    inner join shapes as higher_bins
        on
            lower_bins.model_name = higher_bins.model_name
            and lower_bins.model_version = higher_bins.model_version
            and lower_bins.feature = higher_bins.feature
            and lower_bins.bin < higher_bins.bin

    where lower_bins.bin > 0

),

associations as (

    -- The Gini correlation of weight and value: 1 where the weight never falls, -1 where it never
    -- rises (Schechtman & Yitzhaki 1987).
    select
        model_name,
        model_version,
        feature,
        sum(pair_share * weight_difference)
        / nullif(sum(pair_share * abs(weight_difference)), 0) as association

    from pairs

    group by model_name, model_version, feature

),

model_weights as (

    select
        contributions.model_name,
        contributions.model_version,
        contributions.feature,
        {{ coterie.ratio(
            'contributions.mean_contribution',
            'sum(contributions.mean_contribution) over ('
            ~ 'partition by contributions.model_name, contributions.model_version)'
        ) }} as importance,
        case
            when associations.association is null then 'none'
            when associations.association >= 0.5 then 'raises'
            when associations.association <= -0.5 then 'lowers'
            else 'mixed'
        end as direction

    from contributions

    left join associations
        on
            contributions.model_name = associations.model_name
            and contributions.model_version = associations.model_version
            and contributions.feature = associations.feature

),

indexes as (

    select
        model_name,
        model_version,
        feature,
        min(training_row_count) as training_row_count,
        min(row_count) as row_count,
        sum(
            (greatest(customer_share, {{ floor }}) - greatest(training_share, {{ floor }}))
            * ln(greatest(customer_share, {{ floor }}) / greatest(training_share, {{ floor }}))
        ) as psi

    from {{ ref('int_coterie__feature_drift') }}

    group by model_name, model_version, feature

),

drifts as (

    select
        model_name,
        model_version,
        feature,
        least(training_row_count, row_count)
        >= {{ evidence.min_drift_row_count | int }} as is_enough,
        round(psi, 6) as psi

    from indexes

),

described as (

    select
        model_name,
        model_version,
        feature,
        importance,
        direction

    from model_weights

    union all

    select
        model_name,
        model_version,
        feature,
        cast(null as double) as importance,
        cast(null as string) as direction

    from drifts

    where feature = '(score)'

),

model_features as (

    select
        described.model_name,
        described.model_version,
        described.feature,
        described.importance,
        described.direction,
        case when drifts.is_enough then drifts.psi end as psi,
        case
            when drifts.feature is null then 'not_in_use'
            when not drifts.is_enough then 'too_few'
            when drifts.psi < {{ evidence.psi_watch | float }} then 'steady'
            when drifts.psi <= {{ evidence.psi_act | float }} then 'watch'
            else 'act'
        end as drift_status

    from described

    left join drifts
        on
            described.model_name = drifts.model_name
            and described.model_version = drifts.model_version
            and described.feature = drifts.feature

)

select
    cast(model_name as string) as model_name,
    cast(model_version as string) as model_version,
    cast(feature as string) as feature,
    cast(importance as double) as importance,
    cast(direction as string) as direction,
    cast(psi as double) as psi,
    cast(drift_status as string) as drift_status

from model_features
