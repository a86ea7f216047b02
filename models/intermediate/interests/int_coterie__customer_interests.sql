{% set interests = coterie.settings('interests') %}
{% set numbers = coterie.topic_numbers() %}
{% set action_units = 'cast(' ~ (coterie.interest_units() ** 2) ~ ' as double)' %}

with

evidence as (

    select
        *,
        0{{ coterie.sum_of_topics('evidence_units') }} as total_units

    from {{ ref('int_coterie__customer_interest_evidence') }}

),

shop_totals as (

    select
        is_current,
        {%- for number in numbers %}
        sum(evidence_units_{{ number }}) as evidence_units_{{ number }},
        {%- endfor %}
        sum(total_units) as total_units

    from evidence

    group by is_current

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
            coterie.value_of_topic('shop_totals.evidence_units', 'topics.topic_number'),
            'shop_totals.total_units'
        ) }} as shop_share

    from topics

    inner join shop_totals
        on topics.is_current = shop_totals.is_current

),

customer_topics as (

    select
        evidence.customer_id,
        topic_shares.is_current,
        topic_shares.topics_version,
        topic_shares.topic_number,
        topic_shares.topic_code,
        topic_shares.topic_name,
        topic_shares.shop_share,
        evidence.total_units / {{ action_units }} as total_evidence,
        {{ coterie.value_of_topic('evidence.evidence_units', 'topic_shares.topic_number') }}
        / {{ action_units }} as evidence,
        {{ coterie.value_of_topic('evidence.order_count', 'topic_shares.topic_number') }}
            as order_count,
        {{ coterie.value_of_topic('evidence.view_count', 'topic_shares.topic_number') }}
            as view_count

    from evidence

    inner join topic_shares
        on evidence.is_current = topic_shares.is_current

),

affinities as (

    select
        *,
        {{ coterie.shrunk_affinity('evidence', 'total_evidence', 'shop_share') }} as affinity

    from customer_topics

    where evidence >= {{ interests.min_evidence }} and shop_share > 0

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
