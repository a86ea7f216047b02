-- The tracker keeps no catalogue: a product is called as it was when it was last bought.
select
    product_id,
    max_by(product_name, (timestamp, order_id)) as product_name,
    max_by(category, (timestamp, order_id)) as category

from {{ ref('shop_order_lines') }}

group by product_id
