{{ config(materialized='view') }}

{% set interests = coterie.settings('interests') %}

with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

versions as (

    select distinct
        topics.topics_version,
        topics.fitted_as_of,
        topics.settings_hash,
        topics.method,
        topics.training_product_count,
        topics.vocabulary_size,
        topics.topic_count,
        topics.version_stability,
        topics.settings_hash = {{ coterie.current_settings_hash('interests') }}
            as has_current_settings,
        topics.fitted_as_of = as_of.as_of_date as is_fitted_now

    from {{ ref('int_coterie__interest_topics') }} as topics

    cross join as_of

    where topics.fitted_as_of <= as_of.as_of_date

),

numbered as (

    -- The newest with today's settings is current; the newest of the others came before it.
    select
        *,
        row_number() over (
            order by
                case when has_current_settings then 0 else 1 end,
                fitted_as_of desc,
                topics_version asc
        ) as version_number

    from versions

),

current_version as (

    select
        topics_version,
        fitted_as_of,
        is_fitted_now

    from numbered

    where version_number = 1 and has_current_settings

),

earlier_versions as (

    select
        numbered.topics_version,
        row_number() over (
            order by numbered.fitted_as_of desc, numbered.topics_version asc
        ) as earlier_number

    from numbered

    inner join current_version
        on
            numbered.topics_version != current_version.topics_version
            and numbered.fitted_as_of <= current_version.fitted_as_of

    where current_version.is_fitted_now

),

interest_versions as (

    select
        numbered.topics_version,
        numbered.fitted_as_of,
        numbered.settings_hash,
        numbered.method,
        numbered.training_product_count,
        numbered.vocabulary_size,
        numbered.topic_count,
        numbered.version_stability,
        current_version.topics_version is not null as is_current,
        coalesce(earlier_versions.earlier_number = 1, false) as is_held,
        case
            when numbered.method = 'category' then 'categories'
            when numbered.version_stability >= {{ interests.min_stability }} then 'stable'
            else 'unstable'
        end as topics_status

    from numbered

    left join current_version
        on numbered.topics_version = current_version.topics_version

    left join earlier_versions
        on numbered.topics_version = earlier_versions.topics_version

)

select * from interest_versions
