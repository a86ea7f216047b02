with

alive_states as (

    select distinct
        as_of_date,
        repeat_count,
        age_weeks

    from {{ ref('int_coterie__purchase_histories') }}

    where is_scoring_date

)

select * from alive_states
