with

versions as (

    select * from {{ ref('int_coterie__propensity_versions') }}

),

models as (

    {% for prediction in coterie.predictions() %}
    {{ 'union all' if not loop.first }}
    select '{{ prediction.name }}' as model_name
    {% endfor %}

),

training_rows as (

    select
        model_name,
        count(*) as row_count,
        sum(outcome) as positive_count

    from {{ ref('int_coterie__propensity_training_rows') }}

    group by model_name

),

never_fitted as (

    select
        models.model_name,
        coalesce(training_rows.row_count, 0) as training_row_count,
        coalesce(training_rows.positive_count, 0) as positive_count

    from models

    left join training_rows
        on models.model_name = training_rows.model_name

    where models.model_name not in (select versions.model_name from versions)

),

model_versions as (

    select
        model_name,
        model_version,
        fitted_as_of,
        data_through,
        horizon_days,
        settings,
        training_fingerprint as fingerprint,
        training_row_count,
        positive_count,
        training_row_count - positive_count as negative_count,
        origin_count,
        first_origin,
        last_origin,
        max_iter,
        calibration,
        bin_set_id,
        gate_status,
        gate_reason,
        has_current_settings,
        is_newest,
        is_champion

    from versions

    union all

    select
        model_name,
        'none' as model_version,
        cast(null as date) as fitted_as_of,
        cast(null as date) as data_through,
        cast(null as bigint) as horizon_days,
        cast(null as string) as settings,
        cast(null as string) as fingerprint,
        training_row_count,
        positive_count,
        training_row_count - positive_count as negative_count,
        cast(null as bigint) as origin_count,
        cast(null as date) as first_origin,
        cast(null as date) as last_origin,
        cast(null as bigint) as max_iter,
        cast(null as string) as calibration,
        cast(null as string) as bin_set_id,
        'insufficient_data' as gate_status,
        'Too little to learn from: ' || cast(positive_count as string) || ' outcomes and '
        || cast(training_row_count - positive_count as string)
        || ' non-outcomes on past dates, where '
        || '{{ coterie.settings("gates").min_training_positive_count }} and '
        || '{{ coterie.settings("gates").min_training_negative_count }} are needed.' as gate_reason,
        true as has_current_settings,
        false as is_newest,
        false as is_champion

    from never_fitted

)

select
    cast(model_name as string) as model_name,
    cast(model_version as string) as model_version,
    fitted_as_of,
    data_through,
    cast(horizon_days as bigint) as horizon_days,
    cast(settings as string) as settings,
    cast(fingerprint as string) as fingerprint,
    cast(training_row_count as bigint) as training_row_count,
    cast(positive_count as bigint) as positive_count,
    cast(negative_count as bigint) as negative_count,
    cast(origin_count as bigint) as origin_count,
    first_origin,
    last_origin,
    cast(max_iter as bigint) as max_iter,
    cast(calibration as string) as calibration,
    cast(bin_set_id as string) as bin_set_id,
    cast(gate_status as string) as gate_status,
    cast(gate_reason as string) as gate_reason,
    has_current_settings,
    is_newest,
    is_champion

from model_versions
