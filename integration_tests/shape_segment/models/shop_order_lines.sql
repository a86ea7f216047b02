with

baskets as (

    -- The basket is a JSON list in one column of the order.
    select
        order_id,
        timestamp,
        unnest(
            from_json(
                products,
                '[{"product_id": "VARCHAR", "name": "VARCHAR", "category": "VARCHAR",
                   "price": "DOUBLE", "quantity": "DOUBLE"}]'
            )
        ) as line

    from {{ source('segment', 'order_completed') }}

)

select
    order_id,
    timestamp,
    line.product_id as product_id,
    line.name as product_name,
    line.category as category,
    line.quantity as quantity,
    line.price * line.quantity as line_amount

from baskets
