{% set interests = coterie.settings('interests') %}

with

as_of as (

    select
        as_of_date,
        {{ coterie.interest_days_from(interests.lookback_days, 'as_of_date') }} as orders_from

    from {{ ref('int_coterie__as_of') }}

),

versions as (

    select * from {{ ref('int_coterie__interest_versions') }}
    where is_current

),

topics as (

    select
        topics.topic_number,
        topics.topic_code,
        topics.topic_name,
        topics.stability,
        topics.is_continuation,
        concat_ws(
            ', ',
            {%- for rank in range(1, 11) %}
            max(case when topics.term_rank = {{ rank }} and topics.loading > 0 then topics.term end)
            {{- ',' if not loop.last }}
            {%- endfor %}
        ) as top_terms

    from {{ ref('int_coterie__interest_topics') }} as topics

    inner join versions
        on topics.topics_version = versions.topics_version

    group by
        topics.topic_number,
        topics.topic_code,
        topics.topic_name,
        topics.stability,
        topics.is_continuation

),

product_sales as (

    select
        order_lines.product_id,
        count(*) as line_count

    from {{ ref('int_coterie__checked_order_lines') }} as order_lines

    cross join as_of

    where
        order_lines.rejection_rule is null
        and order_lines.is_of_customer
        and order_lines.quantity > 0
        and order_lines.ordered_at >= as_of.orders_from
        and order_lines.ordered_at < as_of.as_of_date

    group by order_lines.product_id

),

product_topics as (

    select
        product_interests.topic_number,
        product_interests.product_id,
        coalesce(products.product_name, product_interests.product_id) as product_name,
        row_number() over (
            partition by product_interests.topic_number
            order by
                round(product_interests.affinity * coalesce(product_sales.line_count, 0), 6) desc,
                round(product_interests.affinity, 6) desc,
                product_interests.product_id asc
        ) as product_rank

    from {{ ref('int_coterie__product_interests') }} as product_interests

    left join product_sales
        on product_interests.product_id = product_sales.product_id

    left join {{ ref('int_coterie__products') }} as products
        on product_interests.product_id = products.product_id

    where product_interests.is_current

),

top_products as (

    select
        topic_number,
        count(*) as product_count,
        concat_ws(
            ', ',
            {%- for rank in range(1, 6) %}
            max(case when product_rank = {{ rank }} then product_name end)
            {{- ',' if not loop.last }}
            {%- endfor %}
        ) as top_products

    from product_topics

    group by topic_number

),

interested as (

    select
        topic_number,
        count(*) as interested_customer_count,
        count(case when interest_rank = 1 then 1 end) as customer_count

    from {{ ref('int_coterie__customer_interests') }}

    where is_current

    group by topic_number

),

shop_totals as (

    select
        topic_number,
        sum(evidence_units) as evidence_units

    from {{ ref('int_coterie__customer_interest_evidence') }}

    where is_current

    group by topic_number

),

published as (

    select
        topics.topic_code,
        topics.topic_name,
        versions.topics_version,
        versions.fitted_as_of,
        versions.method,
        topics.top_terms,
        top_products.top_products,
        coalesce(top_products.product_count, 0) as product_count,
        coalesce(interested.customer_count, 0) as customer_count,
        coalesce(interested.interested_customer_count, 0) as interested_customer_count,
        {{ coterie.ratio(
            'coalesce(shop_totals.evidence_units, 0)', 'sum(shop_totals.evidence_units) over ()'
        ) }} as evidence_share,
        topics.stability,
        topics.is_continuation,
        case
            when versions.method = 'category' then 'categories'
            when topics.stability >= {{ interests.min_stability }} then 'stable'
            else 'unstable'
        end as topic_status,
        case
            when versions.method = 'category'
                then
                    'A category of the shop: too few products ('
                    || cast({{ interests.min_product_count | int }} as string)
                    || ' are needed) share words of names or reviews to learn topics from.'
            when topics.stability >= {{ interests.min_stability }}
                then
                    'The topic comes back when products are drawn anew, with a similarity of '
                    || cast(cast(topics.stability as decimal(9, 2)) as string)
                    || '.'
            else
                'The topic changes when products are drawn anew: its similarity of '
                || cast(cast(topics.stability as decimal(9, 2)) as string)
                || ' lies under {{ interests.min_stability }}. Do not build on it.'
        end as status_words

    from topics

    cross join versions

    left join shop_totals
        on topics.topic_number = shop_totals.topic_number

    left join top_products
        on topics.topic_number = top_products.topic_number

    left join interested
        on topics.topic_number = interested.topic_number

    union all

    -- Where there are no topics, one row says why.
    select
        'none' as topic_code,
        'No topics' as topic_name,
        'none' as topics_version,
        cast(null as date) as fitted_as_of,
        'none' as method,
        cast(null as string) as top_terms,
        cast(null as string) as top_products,
        0 as product_count,
        0 as customer_count,
        0 as interested_customer_count,
        cast(null as double) as evidence_share,
        cast(null as double) as stability,
        false as is_continuation,
        'disabled' as topic_status,
        'There are no topics of this date: no product has words in its name or reviews, or a '
        || 'category, or none were fitted by then with the settings of today. Map product_name or '
        || 'category of the input products.' as status_words

    from as_of

    where (select count(*) from versions) = 0

)

select
    cast(published.topic_code as string) as topic_code,
    cast(published.topic_name as string) as topic_name,
    as_of.as_of_date,
    cast(published.topics_version as string) as topics_version,
    cast(published.fitted_as_of as date) as fitted_as_of,
    cast(published.method as string) as method,
    cast(published.top_terms as string) as top_terms,
    cast(published.top_products as string) as top_products,
    cast(published.product_count as bigint) as product_count,
    cast(published.customer_count as bigint) as customer_count,
    cast(published.interested_customer_count as bigint) as interested_customer_count,
    cast(published.evidence_share as double) as evidence_share,
    cast(published.stability as double) as stability,
    cast(published.is_continuation as boolean) as is_continuation,
    cast(published.topic_status as string) as topic_status,
    cast(published.status_words as string) as status_words

from published

cross join as_of
