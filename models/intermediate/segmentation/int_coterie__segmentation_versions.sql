{% set gates = coterie.settings('gates') %}

with

as_of as (

    select * from {{ ref('int_coterie__as_of') }}

),

segmentations as (

    {% for segmentation in coterie.segmentations() %}
    {{ 'union all' if not loop.first }}
    select
        {{ coterie.quoted(segmentation.name) }} as segmentation_name,
        '{{ coterie.segmentation_settings_hash(segmentation) }}' as settings_hash
    {% endfor %}

),

quality as (

    select
        segmentation_version,
        max(case when metric_name = 'bootstrap_ari' then metric_value end) as bootstrap_ari,
        max(case when metric_name = 'smallest_share' then metric_value end) as smallest_share

    from {{ ref('int_coterie__segmentation_quality') }}

    group by segmentation_version

),

fitted as (

    -- As of an older date only what had been fitted by then exists.
    select distinct
        segment_centers.segmentation_name,
        segment_centers.segmentation_version,
        segment_centers.fitted_as_of,
        segment_centers.settings_hash,
        segment_centers.data_through,
        segment_centers.settings,
        segment_centers.training_fingerprint,
        segment_centers.algorithm,
        segment_centers.training_row_count

    from {{ ref('int_coterie__segment_centers') }} as segment_centers

    cross join as_of

    where segment_centers.fitted_as_of <= as_of.as_of_date

),

judged as (

    select
        fitted.*,
        segmentations.segmentation_name is not null as has_current_settings,
        quality.bootstrap_ari,
        quality.smallest_share,
        case
            when quality.bootstrap_ari is null then 'insufficient_data'
            when
                quality.bootstrap_ari < {{ gates.min_bootstrap_ari | float }}
                or quality.smallest_share < {{ gates.min_segment_share | float }}
                then 'unstable'
            else 'published'
        end as gate_status,
        case
            when quality.bootstrap_ari is null
                then 'Too few different customers to try the groups again.'
            when quality.bootstrap_ari < {{ gates.min_bootstrap_ari | float }}
                then
                    'Drawn again from the same customers, the groups agree by an adjusted '
                    || 'Rand index of ' || cast(round(quality.bootstrap_ari, 3) as string)
                    || ', where {{ gates.min_bootstrap_ari | float }} is needed.'
            when quality.smallest_share < {{ gates.min_segment_share | float }}
                then
                    'The smallest group holds '
                    || cast(round(100 * quality.smallest_share, 2) as string)
                    || ' % of the customers, where '
                    || '{{ 100 * gates.min_segment_share | float }} % is needed.'
            else
                'Drawn again from the same customers, the groups agree by an adjusted '
                || 'Rand index of ' || cast(round(quality.bootstrap_ari, 3) as string) || '.'
        end as gate_reason

    from fitted

    left join segmentations
        on
            fitted.segmentation_name = segmentations.segmentation_name
            and fitted.settings_hash = segmentations.settings_hash

    left join quality
        on fitted.segmentation_version = quality.segmentation_version

),

numbered as (

    select
        *,
        row_number() over (
            partition by segmentation_name, has_current_settings
            order by fitted_as_of desc, segmentation_version asc
        ) as newest_rank,
        row_number() over (
            partition by segmentation_name, has_current_settings, gate_status
            order by fitted_as_of desc, segmentation_version asc
        ) as newest_rank_of_status

    from judged

),

champions as (

    select
        segmentation_name,
        fitted_as_of

    from numbered

    where
        has_current_settings
        and gate_status = 'published'
        and newest_rank_of_status = 1

),

segmentation_versions as (

    select
        numbered.segmentation_name,
        numbered.segmentation_version,
        numbered.fitted_as_of,
        numbered.settings_hash,
        numbered.data_through,
        numbered.settings,
        numbered.training_fingerprint,
        numbered.algorithm,
        numbered.training_row_count,
        numbered.has_current_settings,
        numbered.bootstrap_ari,
        numbered.smallest_share,
        numbered.gate_status,
        numbered.gate_reason,
        numbered.has_current_settings and numbered.newest_rank = 1 as is_newest,
        numbered.has_current_settings
        and numbered.gate_status = 'published'
        and numbered.newest_rank_of_status = 1 as is_champion,
        -- The version before, where the champion is of this very date: what a customer would be by
        -- it tells whether the customer or the definition has moved.
        numbered.has_current_settings
        and numbered.gate_status = 'published'
        and numbered.newest_rank_of_status = 2
        and coalesce(champions.fitted_as_of = as_of.as_of_date, false) as is_held,
        coalesce(champions.fitted_as_of = as_of.as_of_date, false) as is_redefined,
        case
            when champions.segmentation_name is null
                then 'No version passes its gate, so active customers are unassigned.'
            when
                numbered.has_current_settings
                and numbered.gate_status = 'published'
                and numbered.newest_rank_of_status = 1
                then 'Customers are assigned by this version.'
            when not numbered.has_current_settings then 'Fitted under other settings.'
            when numbered.gate_status = 'published' then 'A newer version passes its gate, too.'
            else 'The last version that passed its gate stays in use.'
        end as champion_reason

    from numbered

    cross join as_of

    left join champions
        on numbered.segmentation_name = champions.segmentation_name

)

select * from segmentation_versions
