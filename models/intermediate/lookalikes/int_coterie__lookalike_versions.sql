{{ config(materialized='view') }}

with

lookalike_versions as (

    select distinct
        audience_code,
        model_version,
        fitted_as_of,
        settings_hash,
        method,
        status,
        training_member_count,
        training_other_count,
        model_roc_auc,
        model_roc_auc_lower,
        model_roc_auc_upper,
        closeness_roc_auc,
        closeness_roc_auc_lower,
        closeness_roc_auc_upper,
        top_decile_lift,
        intercept

    from {{ ref('int_coterie__lookalike_weights') }}

)

select * from lookalike_versions
