-- Each of the 25,900 invoices is an order, or a return, or holds nothing that a customer bought.
with

source_invoices as (

    select distinct invoice_no as invoice_id
    from {{ source('online_retail_files', 'online_retail_2010_2011') }}

),

accounted_invoices as (

    select distinct order_id as invoice_id
    from {{ ref('shop_orders') }}
    union all
    select distinct invoice_id
    from {{ ref('stg_online_retail__lines') }}
    group by invoice_id
    having count(*) filter (where line_kind = 'sale') = 0

)

select
    (select count(*) from source_invoices) as source_invoice_count,
    (select count(*) from accounted_invoices) as accounted_invoice_count
where
    (select count(*) from source_invoices) != 25900
    or (select count(*) from accounted_invoices) != 25900
