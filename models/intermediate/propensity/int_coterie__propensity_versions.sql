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

usable as (

    -- As of an older date only what had been fitted by then exists.
    select
        weights.*,
        gate_results.gate_status as gate_status_when_fitted,
        gate_results.gate_reason as gate_reason_when_fitted,
        weights.settings_hash = {{ coterie.current_settings_hash('propensity') }}
            as has_current_settings,
        {{ coterie.days_between('weights.fitted_as_of', 'as_of.as_of_date') }} as age_days

    from weights

    cross join as_of

    left join gate_results
        on
            weights.model_name = gate_results.model_name
            and weights.model_version = gate_results.model_version
            and gate_results.gate_settings_hash = {{ coterie.gate_settings_hash() }}

    where weights.fitted_as_of <= as_of.as_of_date

),

judged as (

    select
        *,
        case
            when age_days > {{ coterie.stale_after_days() }} then 'stale'
            else gate_status_when_fitted
        end as gate_status,
        case
            when age_days > {{ coterie.stale_after_days() }}
                then
                    'Fitted ' || cast(age_days as string) || ' days before the date; versions are '
                    || 'trusted for {{ coterie.stale_after_days() }} days. Build with fits again.'
            else gate_reason_when_fitted
        end as gate_reason

    from usable

),

numbered as (

    select
        *,
        has_current_settings
        and coalesce(gate_status in ('published', 'provisional'), false) as is_presentable,
        row_number() over (
            partition by model_name, has_current_settings
            order by fitted_as_of desc, model_version asc
        ) as number_from_newest,
        row_number() over (
            partition by
                model_name,
                has_current_settings
                and coalesce(gate_status in ('published', 'provisional'), false)
            order by fitted_as_of desc, model_version asc
        ) as number_from_newest_presentable

    from judged

),

marked as (

    select
        *,
        has_current_settings and number_from_newest = 1 as is_newest,
        is_presentable and number_from_newest_presentable = 1 as is_champion

    from numbered

),

champions as (

    select
        model_name,
        fitted_as_of,
        model_version

    from marked

    where is_champion

),

newest as (

    select
        model_name,
        fitted_as_of,
        model_version,
        gate_status

    from marked

    where is_newest

),

propensity_versions as (

    select
        marked.*,
        case
            when marked.is_champion and marked.is_newest
                then 'Its scores are published: it is the newest version, and it passes its gate.'
            when marked.is_champion
                then
                    'Its scores stay published: the newer version ' || newest.model_version
                    || ' of ' || cast(newest.fitted_as_of as string) || ' does not pass its gate ('
                    || coalesce(newest.gate_status, 'not judged yet') || ').'
            when not marked.has_current_settings
                then 'Not published: it was fitted under other settings.'
            when champions.model_version is null
                then
                    'Not published (' || coalesce(marked.gate_status, 'not judged yet')
                    || '), and no other version is: scores are withheld.'
            when marked.fitted_as_of >= champions.fitted_as_of
                then
                    'Not published (' || coalesce(marked.gate_status, 'not judged yet')
                    || '): the version ' || champions.model_version || ' of '
                    || cast(champions.fitted_as_of as string) || ' stays.'
            else
                'Replaced by the version ' || champions.model_version || ' of '
                || cast(champions.fitted_as_of as string) || '.'
        end as champion_reason

    from marked

    left join champions
        on marked.model_name = champions.model_name

    left join newest
        on marked.model_name = newest.model_name

)

select * from propensity_versions
