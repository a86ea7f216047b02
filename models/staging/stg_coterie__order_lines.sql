{% set order_lines = coterie.staged_input('order_lines') %}

with

source as (

    select * from {{ order_lines.relation }}

),

renamed as (

    select
        {{ order_lines.order_id }} as order_id,
        {{ order_lines.product_id }} as product_id,
        {{ order_lines.quantity }} as quantity,
        {{ order_lines.line_amount }} as line_amount,
        {{ order_lines.discount_amount }} as discount_amount,
        {{ order_lines.settings_hash }} as input_settings_hash

    from source

)

select * from renamed
{{ coterie.unless_of_erased_order('renamed') }}
