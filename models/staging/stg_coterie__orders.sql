{% set orders = coterie.staged_input('orders') %}

with

source as (

    select * from {{ orders.relation }}

),

renamed as (

    select
        {{ orders.order_id }} as order_id,
        {{ orders.customer_id }} as customer_id,
        {{ orders.ordered_at }} as ordered_at,
        {{ orders.order_amount }} as order_amount,
        {{ orders.status }} as status,
        {{ orders.status_changed_at }} as status_changed_at,
        {{ orders.refund_amount }} as refund_amount,
        {{ orders.refunded_at }} as refunded_at,
        {{ orders.discount_amount }} as discount_amount,
        {{ orders.margin_amount }} as margin_amount,
        {{ orders.sales_channel }} as sales_channel,
        {{ orders.coupon_code }} as coupon_code,
        {{ orders.payment_method }} as payment_method,
        {{ orders.billing_country_code }} as billing_country_code,
        {{ orders.shipping_country_code }} as shipping_country_code,
        {{ orders.device_id }} as device_id,
        {{ orders.is_test }} as is_test,
        {{ orders.settings_hash }} as input_settings_hash

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
