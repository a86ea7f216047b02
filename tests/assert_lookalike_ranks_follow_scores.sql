-- Ranks run from 1 on without a gap, and who is less like the members never stands before.
{{ config(enabled=coterie.is_topic_enabled('lookalikes')) }}

with

lookalikes as (

    select
        audience_code,
        customer_id,
        rank,
        score,
        row_number() over (partition by audience_code order by rank) as expected_rank,
        lag(score) over (partition by audience_code order by rank) as previous_score

    from {{ ref('coterie', 'coterie__lookalikes') }}

)

select * from lookalikes
where
    rank != expected_rank
    or previous_score < score
