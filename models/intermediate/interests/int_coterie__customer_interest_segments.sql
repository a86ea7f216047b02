{% set numbers = coterie.topic_numbers() %}

with

customers as (

    select
        customer_id,
        as_of_date

    from {{ ref('int_coterie__customer_as_of_dates') }}

    where is_scoring_date

),

held_versions as (

    select count(*) > 0 as has_held_version

    from {{ ref('int_coterie__interest_versions') }}

    where is_held

),

fondest as (

    select
        customer_id,
        max(case when is_current then topic_code end) as segment_code,
        max(case when not is_current then topic_code end) as held_segment_code

    from {{ ref('int_coterie__customer_interests') }}

    where interest_rank = 1

    group by customer_id

),

evidence as (

    select
        *,
        evidence_units / {{ coterie.action_units() }} as evidence

    from {{ ref('int_coterie__customer_interest_evidence') }}

    where is_current

),

shop_shares as (

    select
        {%- for number in numbers %}
        {{ coterie.ratio(
            'sum(case when topic_number = ' ~ number ~ ' then evidence_units else 0 end)',
            'sum(evidence_units)'
        ) }} as share_{{ number }},
        {%- endfor %}
        count(*) as row_count

    from evidence

),

customer_evidence as (

    select
        customer_id,
        {%- for number in numbers %}
        max(case when topic_number = {{ number }} then evidence else 0 end)
            as evidence_{{ number }},
        {%- endfor %}
        sum(evidence_units) / {{ coterie.action_units() }} as total_evidence

    from evidence

    group by customer_id

),

affinities as (

    select
        {%- for number in numbers %}
        {{ coterie.shrunk_affinity(
            'customer_evidence.evidence_' ~ number,
            'customer_evidence.total_evidence',
            'shop_shares.share_' ~ number
        ) }} as interest_{{ number }},
        {%- endfor %}
        customer_evidence.customer_id

    from customer_evidence

    cross join shop_shares

    where customer_evidence.total_evidence > 0

),

customer_interest_segments as (

    select
        customers.customer_id,
        customers.as_of_date,
        {%- for number in numbers %}
        coalesce(affinities.interest_{{ number }}, cast(0 as double)) as interest_{{ number }},
        {%- endfor %}
        coalesce(fondest.segment_code, 'none') as segment_code,
        case
            when held_versions.has_held_version then coalesce(fondest.held_segment_code, 'none')
        end as held_segment_code,
        cast(null as double) as distance

    from customers

    cross join held_versions

    left join fondest
        on customers.customer_id = fondest.customer_id

    left join affinities
        on customers.customer_id = affinities.customer_id

)

select * from customer_interest_segments
