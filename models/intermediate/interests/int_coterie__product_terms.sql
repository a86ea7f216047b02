{% set interests = coterie.settings('interests') %}

with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

products as (

    select
        products.product_id,
        products.product_name,
        products.brand,
        nullif(products.category, 'unknown') as category

    from {{ ref('int_coterie__products') }} as products

    cross join as_of

    where coalesce(products.launched_at < as_of.as_of_date, true)

),

comments as (

    select
        feedback.product_id,
        feedback.comment,
        row_number() over (
            partition by feedback.product_id
            order by feedback.occurred_at desc, feedback.feedback_id asc
        ) as newness

    from {{ ref('int_coterie__feedback') }} as feedback

    cross join as_of

    where
        feedback.product_id is not null
        and feedback.comment is not null
        and feedback.occurred_at < as_of.as_of_date

),

texts as (

    select
        product_id,
        product_name as text_of_product

    from products

    {% if interests.use_categories %}
    union all

    select
        product_id,
        category as text_of_product

    from products

    {% endif %}
    {% if interests.use_brands %}
    union all

    select
        product_id,
        brand as text_of_product

    from products

    {% endif %}
    union all

    select
        product_id,
        comment as text_of_product

    from comments

    where newness <= {{ interests.comment_limit | int }}

),

words as (

    select
        product_id,
        {{ coterie.unnested(coterie.words_of('text_of_product')) }} as term

    from texts

),

word_counts as (

    select
        product_id,
        term,
        count(*) as term_count

    from words

    group by product_id, term

),

brand_words as (

    -- A brand in the name of its product says who made it, not what it is.
    select distinct
        product_id,
        {{ coterie.unnested(coterie.words_of('brand')) }} as term

    from products

    where {{ 'false' if interests.use_brands else 'true' }}

),

stop_words as (

    select term from {{ ref('coterie__stop_words') }}

),

product_terms as (

    select
        word_counts.product_id,
        'text' as source_name,
        word_counts.term,
        cast(word_counts.term_count as bigint) as term_count

    from word_counts

    left join stop_words
        on word_counts.term = stop_words.term

    left join brand_words
        on
            word_counts.product_id = brand_words.product_id
            and word_counts.term = brand_words.term

    where
        stop_words.term is null
        and brand_words.term is null
        and word_counts.term not in {{ coterie.quoted_list(interests.stop_words or []) }}

    union all

    -- Topics where products have no words.
    select
        product_id,
        'category' as source_name,
        category as term,
        cast(1 as bigint) as term_count

    from products

    where category is not null

)

select * from product_terms
