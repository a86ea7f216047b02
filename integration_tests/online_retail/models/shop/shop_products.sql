with

sales as (

    select * from {{ ref('stg_online_retail__lines') }}
    where line_kind = 'sale'

),

description_counts as (

    select
        product_id,
        description,
        count(*) as line_count

    from sales

    group by product_id, description

),

ranked_descriptions as (

    select
        product_id,
        description,
        row_number() over (
            partition by product_id
            order by line_count desc, description nulls last
        ) as description_rank

    from description_counts

),

products as (

    select
        product_id,
        description as product_name

    from ranked_descriptions

    where description_rank = 1

)

select * from products
