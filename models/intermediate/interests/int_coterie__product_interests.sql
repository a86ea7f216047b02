{% set interests = coterie.settings('interests') %}

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

known_terms as (

    select distinct
        topics_version,
        source_name,
        term,
        idf

    from weights

),

lengths as (

    -- How much the words say that a topic could be told by.
    select
        known_terms.topics_version,
        product_terms.product_id,
        sqrt(
            sum(
                power(
                    (1 + ln(cast(product_terms.term_count as double))) * known_terms.idf, 2
                )
            )
        ) as vector_length

    from {{ ref('int_coterie__product_terms') }} as product_terms

    inner join known_terms
        on
            product_terms.term = known_terms.term
            and product_terms.source_name = known_terms.source_name

    group by known_terms.topics_version, product_terms.product_id

),

positive as (

    select
        *,
        sum(score) over (partition by topics_version, product_id) as total_score

    from scores

    where score > 0

),

large as (

    -- What little a product shares with any topic says nothing, and shares of it would say it loud.
    select
        positive.*,
        sum(positive.score) over (
            partition by positive.topics_version, positive.product_id
        ) as total_large_score

    from positive

    inner join lengths
        on
            positive.topics_version = lengths.topics_version
            and positive.product_id = lengths.product_id

    where
        positive.score >= {{ coterie.min_product_affinity() }} * positive.total_score
        and round(positive.total_score / lengths.vector_length, 9) >= {{ interests.min_fit }}

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
