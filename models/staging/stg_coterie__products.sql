{% set products = coterie.staged_input('products') %}

with

source as (

    select * from {{ products.relation }}

),

renamed as (

    select
        {{ products.product_id }} as product_id,
        {{ products.product_name }} as product_name,
        {{ products.category }} as category,
        {{ products.brand }} as brand,
        {{ products.unit_cost }} as unit_cost,
        {{ products.launched_at }} as launched_at

    from source

)

select * from renamed
