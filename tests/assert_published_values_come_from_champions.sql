{{ config(enabled=coterie.is_topic_enabled('lifetime_value')) }}

with

published as (

    select distinct
        'value_365d' as model_name,
        model_version

    from {{ ref('coterie', 'coterie__customer_lifetime_values') }}

    where value_status = 'scored'

    union all

    select distinct
        'value_90d' as model_name,
        model_version_90d as model_version

    from {{ ref('coterie', 'coterie__customer_lifetime_values') }}

    where value_status_90d = 'scored'

),

champions as (

    select
        model_name,
        model_version

    from {{ ref('coterie', 'coterie__model_versions') }}

    where is_champion

),

unapproved as (

    select
        published.model_name,
        published.model_version

    from published

    left join champions
        on
            published.model_name = champions.model_name
            and published.model_version = champions.model_version

    where champions.model_version is null

)

select * from unapproved
