{% set interests = coterie.settings('interests') %}

with

evidence as (

    select
        *,
        evidence_units / {{ coterie.action_units() }} as evidence

    from {{ ref('int_coterie__customer_interest_evidence') }}

),

customer_totals as (

    select
        customer_id,
        is_current,
        sum(evidence_units) / {{ coterie.action_units() }} as total_evidence

    from evidence

    group by customer_id, is_current

),

shop_totals as (

    select
        is_current,
        topic_number,
        sum(evidence_units) as evidence_units

    from evidence

    group by is_current, topic_number

),

topics as (

    select distinct
        topics.topic_number,
        topics.topic_code,
        topics.topic_name,
        versions.is_current,
        versions.topics_version

    from {{ ref('int_coterie__interest_topics') }} as topics

    inner join {{ ref('int_coterie__interest_versions') }} as versions
        on topics.topics_version = versions.topics_version

    where versions.is_current or versions.is_held

),

topic_shares as (

    select
        topics.*,
        {{ coterie.ratio(
            'shop_totals.evidence_units',
            'sum(shop_totals.evidence_units) over (partition by topics.is_current)'
        ) }} as shop_share

    from topics

    inner join shop_totals
        on
            topics.is_current = shop_totals.is_current
            and topics.topic_number = shop_totals.topic_number

),

affinities as (

    select
        evidence.customer_id,
        evidence.evidence,
        evidence.order_count,
        evidence.view_count,
        topic_shares.is_current,
        topic_shares.topics_version,
        topic_shares.topic_number,
        topic_shares.topic_code,
        topic_shares.topic_name,
        topic_shares.shop_share,
        {{ coterie.shrunk_affinity(
            'evidence.evidence', 'customer_totals.total_evidence', 'topic_shares.shop_share'
        ) }} as affinity

    from evidence

    inner join customer_totals
        on
            evidence.customer_id = customer_totals.customer_id
            and evidence.is_current = customer_totals.is_current

    inner join topic_shares
        on
            evidence.is_current = topic_shares.is_current
            and evidence.topic_number = topic_shares.topic_number

    where
        evidence.evidence >= {{ interests.min_evidence }}
        and topic_shares.shop_share > 0

),

customer_interests as (

    -- Fondest: more than others, and much. Either alone would name rare topics or those of all.
    select
        customer_id,
        is_current,
        topics_version,
        topic_number,
        topic_code,
        topic_name,
        shop_share,
        affinity,
        round(affinity / shop_share, 6) as lift,
        round(evidence, 6) as evidence,
        order_count,
        view_count,
        row_number() over (
            partition by customer_id, is_current
            order by round(affinity * affinity / shop_share, 9) desc, topic_number asc
        ) as interest_rank

    from affinities

)

select * from customer_interests
