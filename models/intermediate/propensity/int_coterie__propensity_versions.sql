with

as_of as (

    select * from {{ ref('int_coterie__as_of') }}

),

weights as (

    select distinct
        model_name,
        model_version,
        fitted_as_of,
        data_through,
        horizon_days,
        settings,
        settings_hash,
        training_fingerprint,
        training_row_count,
        positive_count,
        origin_count,
        first_origin,
        last_origin,
        learner,
        max_iter,
        calibration,
        bin_set_id

    from {{ ref('int_coterie__propensity_weights') }}

),

gate_results as (

    select * from {{ ref('int_coterie__gate_results') }}

),

{{ coterie.judged_versions('propensity', 'scores are withheld') }}

select * from versions_judged
