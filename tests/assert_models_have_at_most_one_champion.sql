{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

champions as (

    select * from {{ ref('coterie', 'coterie__model_versions') }}
    where is_champion

),

wrong_models as (

    select
        model_name,
        count(*) as champion_count,
        count(
            case when gate_status in ('published', 'provisional') and has_current_settings then 1 end
        ) as passing_count

    from champions

    group by model_name

    having
        count(*) > 1
        or count(
            case when gate_status in ('published', 'provisional') and has_current_settings then 1 end
        ) < count(*)

)

select * from wrong_models
