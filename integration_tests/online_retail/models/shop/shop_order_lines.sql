with

sales as (

    select * from {{ ref('stg_online_retail__lines') }}
    where line_kind = 'sale'

),

order_lines as (

    select
        line_id,
        invoice_id as order_id,
        product_id,
        quantity,
        line_amount

    from sales

)

select * from order_lines
