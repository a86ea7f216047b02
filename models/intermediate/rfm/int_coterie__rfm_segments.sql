with

rules as (

    select * from {{ coterie.rfm_segments_relation() }}

),

rfm_segments as (

    select
        cast(rfm_segment_code as string) as rfm_segment_code,
        cast(rfm_segment_name as string) as rfm_segment_name,
        cast(recency_score_from as bigint) as recency_score_from,
        cast(recency_score_to as bigint) as recency_score_to,
        cast(frequency_score_from as bigint) as frequency_score_from,
        cast(frequency_score_to as bigint) as frequency_score_to,
        cast(description as string) as description

    from rules

)

select * from rfm_segments
