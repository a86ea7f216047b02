{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

model_features as (

    select * from {{ ref('coterie', 'coterie__model_features') }}

),

wrong_versions as (

    -- Of a model that has learned nothing all importances are NULL.
    select
        model_name,
        model_version,
        sum(importance) as total_importance

    from model_features

    group by model_name, model_version

    having abs(sum(importance) - 1) > 0.001

)

select * from wrong_versions
