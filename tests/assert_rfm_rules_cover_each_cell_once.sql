-- Each cell of recency and frequency score must have one segment, and `lapsed` and `prospect` a row
-- without scores. The words say what to mend in the rules.
with

rules as (

    select * from {{ ref('coterie', 'int_coterie__rfm_segments') }}

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

),

wrong_cells as (

    select
        'The cell r' || cast(cells.recency_score as string)
        || 'f' || cast(cells.frequency_score as string) || case
            when count(rules.rfm_segment_code) = 0
                then ' has no segment: widen the scores of one.'
            else
                ' has more than one segment (' || min(rules.rfm_segment_code) || ' and '
                || max(rules.rfm_segment_code) || '): narrow the scores of one.'
        end as what_to_mend

    from cells

    left join rules
        on
            cells.recency_score between rules.recency_score_from and rules.recency_score_to
            and cells.frequency_score between rules.frequency_score_from
            and rules.frequency_score_to

    group by cells.recency_score, cells.frequency_score

    having count(rules.rfm_segment_code) != 1

),

codes_outside_the_cells as (

    select 'lapsed' as rfm_segment_code
    union all
    select 'prospect' as rfm_segment_code

),

missing_codes as (

    select
        'There is no row of the code ' || codes_outside_the_cells.rfm_segment_code
        || ' without scores, for customers outside the look-back: add it.' as what_to_mend

    from codes_outside_the_cells

    left join rules
        on
            codes_outside_the_cells.rfm_segment_code = rules.rfm_segment_code
            and rules.recency_score_from is null
            and rules.recency_score_to is null
            and rules.frequency_score_from is null
            and rules.frequency_score_to is null

    where
        rules.rfm_segment_code is null

),

faults as (

    select what_to_mend from wrong_cells
    union all
    select what_to_mend from missing_codes

)

select * from faults

-- Under `--empty` there are no rules to test.
where exists (select rules.rfm_segment_code from rules)
