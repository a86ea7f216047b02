{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

scores as (

    select
        model_name,
        model_version,
        customer_id,
        log_odds,
        base_log_odds,
        total_contribution

    from {{ ref('coterie', 'int_coterie__propensity_scores') }}

)

select * from scores
where not coalesce(abs(base_log_odds + total_contribution - log_odds) <= 0.000001, false)
