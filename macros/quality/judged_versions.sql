{#
    CTEs that judge the versions of a model and choose the one that is published: `versions_judged` ends
    them, with the columns of `weights` (one row per version) and gate_status, gate_reason, has_current_settings,
    is_newest, is_champion and champion_reason. Before them must stand `as_of`, `weights` and `gate_results`.

    - settings_topic: whose settings a version must have been fitted under
    - otherwise: what is told where no version is published, as the end of a sentence
#}
{% macro judged_versions(settings_topic, otherwise) %}
usable as (

    -- As of an older date only what had been fitted by then exists.
    select
        weights.*,
        gate_results.gate_status as gate_status_when_fitted,
        gate_results.gate_reason as gate_reason_when_fitted,
        weights.settings_hash = {{ coterie.current_settings_hash(settings_topic) }}
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

versions_judged as (

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
                    || '), and no other version is: {{ otherwise }}.'
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
{%- endmacro %}
