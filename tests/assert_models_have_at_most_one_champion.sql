{{ config(
    enabled=coterie.is_topic_enabled('propensity') or coterie.is_topic_enabled('lifetime_value')
) }}

with

champions as (

    select
        model_name,
        case
            when gate_status in ('published', 'provisional') and has_current_settings then 1
            else 0
        end as is_passing

    from {{ ref('coterie', 'coterie__model_versions') }}

    where is_champion

),

wrong_models as (

    select
        model_name,
        count(*) as champion_count,
        sum(is_passing) as passing_count

    from champions

    group by model_name

    having
        count(*) > 1
        or sum(is_passing) < count(*)

)

select * from wrong_models
