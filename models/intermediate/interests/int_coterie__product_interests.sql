with

weights as (

    select
        topics.topics_version,
        versions.is_current,
        topics.topic_number,
        topics.term,
        topics.idf,
        topics.score_weight,
        case when versions.method = 'category' then 'category' else 'text' end as source_name

    from {{ ref('int_coterie__interest_topics') }} as topics

    inner join {{ ref('int_coterie__interest_versions') }} as versions
        on topics.topics_version = versions.topics_version

    where versions.is_current or versions.is_held

),

scores as (

    select
        weights.topics_version,
        weights.is_current,
        product_terms.product_id,
        weights.topic_number,
        round(
            sum(
                (1 + ln(cast(product_terms.term_count as double)))
                * weights.idf
                * weights.score_weight
            ),
            9
        ) as score

    from {{ ref('int_coterie__product_terms') }} as product_terms

    inner join weights
        on
            product_terms.term = weights.term
            and product_terms.source_name = weights.source_name

    group by
        weights.topics_version,
        weights.is_current,
        product_terms.product_id,
        weights.topic_number

),

positive as (

    select
        *,
        sum(score) over (partition by topics_version, product_id) as total_score

    from scores

    where score > 0

),

large as (

    select
        *,
        sum(score) over (partition by topics_version, product_id) as total_large_score

    from positive

    where score >= {{ coterie.min_product_affinity() }} * total_score

),

product_interests as (

    select
        topics_version,
        is_current,
        product_id,
        topic_number,
        round(score / total_large_score, 9) as affinity,
        row_number() over (
            partition by topics_version, product_id
            order by score desc, topic_number asc
        ) as topic_rank

    from large

)

select * from product_interests
