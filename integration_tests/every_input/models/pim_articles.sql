with

products as (

    select * from {{ demo_file('products') }}

),

pim_articles as (

    select * rename (
        product_id as article,
        product_name as title
    )

    from products

)

select * from pim_articles
