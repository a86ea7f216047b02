with

rules as (

    select * from {{ ref('coterie', 'coterie__rfm_segments') }}

),

scores as (

    select cast(generated_number as bigint) as score

    from ({{ dbt.generate_series(5) }}) as numbers

),

cells as (

    select
        recency.score as recency_score,
        frequency.score as frequency_score

    from scores as recency

    cross join scores as frequency

    -- Under `--empty` there are no rules to test.
    where exists (select rules.rfm_segment_code from rules)

),

wrong_cells as (

    select
        cells.recency_score,
        cells.frequency_score,
        count(rules.rfm_segment_code) as segment_count

    from cells

    left join rules
        on
            cells.recency_score between rules.recency_score_from and rules.recency_score_to
            and cells.frequency_score between rules.frequency_score_from
            and rules.frequency_score_to

    group by cells.recency_score, cells.frequency_score

    having count(rules.rfm_segment_code) != 1

)

select * from wrong_cells
