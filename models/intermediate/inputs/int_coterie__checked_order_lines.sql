with

order_lines as (

    select * from {{ ref('stg_coterie__order_lines') }}

),

accepted_orders as (

    select order_id from {{ ref('int_coterie__orders') }}

),

checked as (

    select
        {%- for column in coterie.input_columns('order_lines') %}
        order_lines.{{ column }},
        {%- endfor %}
        case
            when order_lines.order_id is null then 'missing_order_id'
            when order_lines.product_id is null then 'missing_product_id'
            when
                not coalesce(abs(order_lines.quantity) < {{ coterie.amount_limit() }}, false)
                then 'invalid_quantity'
            when
                not coalesce(abs(order_lines.line_amount) < {{ coterie.amount_limit() }}, false)
                then 'invalid_line_amount'
            when accepted_orders.order_id is null then 'unknown_order'
        end as rejection_rule

    from order_lines

    left join accepted_orders
        on order_lines.order_id = accepted_orders.order_id

)

select * from checked
