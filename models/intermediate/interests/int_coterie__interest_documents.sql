{% set interests = coterie.settings('interests') %}

with

product_terms as (

    select * from {{ ref('int_coterie__product_terms') }}

),

products as (

    select product_id

    from product_terms

    group by product_id

),

numbered as (

    select
        product_id,
        row_number() over (
            order by {{ coterie.sample_position('product_id') }}, product_id
        ) as product_number

    from products

),

interest_documents as (

    -- Learning reads a bounded sample of products, so its cost does not grow with the shop.
    select
        product_terms.product_id,
        product_terms.source_name,
        product_terms.term,
        product_terms.term_count

    from product_terms

    inner join numbered
        on product_terms.product_id = numbered.product_id

    where numbered.product_number <= {{ interests.product_limit | int }}

)

select * from interest_documents
