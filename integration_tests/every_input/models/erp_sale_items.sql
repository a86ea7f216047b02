with

order_lines as (

    select * from {{ demo_file('order_lines') }}

),

erp_sale_items as (

    select * rename (
        order_id as sale_number,
        product_id as article,
        quantity as pieces,
        line_amount as net_price
    )

    from order_lines

)

select * from erp_sale_items
