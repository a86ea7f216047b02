{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

feature_bins as (

    select * from {{ ref('coterie', 'int_coterie__feature_bins') }}

),

wrong_features as (

    select
        bin_set_id,
        feature,
        sum(training_share) as training_share

    from feature_bins

    group by bin_set_id, feature

    having abs(sum(training_share) - 1) > 0.000001

)

select * from wrong_features
