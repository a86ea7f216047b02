with

accepted as (

    select * from {{ ref('int_coterie__checked_products') }}
    where rejection_rule is null

),

products as (

    select
        product_id,
        product_name,
        coalesce(category, 'unknown') as category,
        brand,
        launched_at

    from accepted

)

select * from products
