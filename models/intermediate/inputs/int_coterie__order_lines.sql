{{ config(materialized='view') }}

with

accepted as (

    select * from {{ ref('int_coterie__checked_order_lines') }}
    where rejection_rule is null

),

order_lines as (

    select
        order_id,
        product_id,
        cast(quantity as decimal(18, 3)) as quantity,
        cast(line_amount as decimal(18, 2)) as line_amount,
        cast({{ coterie.size_or_zero('discount_amount') }} as decimal(18, 2)) as discount_amount

    from accepted

)

select * from order_lines
