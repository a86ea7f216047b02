{% set custom_outcomes = coterie.staged_input('custom_outcomes') %}

with

source as (

    select * from {{ custom_outcomes.relation }}

),

renamed as (

    select
        {{ custom_outcomes.customer_id }} as customer_id,
        {{ custom_outcomes.outcome }} as outcome,
        {{ custom_outcomes.occurred_at }} as occurred_at,
        {{ custom_outcomes.outcome_value }} as outcome_value

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
