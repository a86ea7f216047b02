with

invoice_lines as (

    -- A line that repeats another in every column was exported twice.
    select distinct
        invoice_no,
        upper(trim(stock_code)) as product_id,
        nullif(trim(description), '') as description,
        quantity,
        unit_price,
        invoice_ts,
        customer_id,
        country

    from {{ source('online_retail_files', 'online_retail_2010_2011') }}

),

typed_lines as (

    select
        row_number() over (
            order by
                invoice_no,
                product_id,
                invoice_ts,
                quantity,
                unit_price,
                description nulls last
        ) as line_id,
        invoice_no as invoice_id,
        cast(customer_id as varchar) as customer_id,
        product_id,
        description,
        country,
        cast(invoice_ts as timestamp) as invoiced_at,
        cast(quantity as bigint) as quantity,
        cast(unit_price as decimal(18, 3)) as unit_price,
        cast(
            round(quantity * cast(unit_price as decimal(18, 3)), 2) as decimal(18, 2)
        ) as line_amount

    from invoice_lines

),

classified_lines as (

    select
        line_id,
        invoice_id,
        customer_id,
        product_id,
        description,
        country,
        invoiced_at,
        quantity,
        unit_price,
        line_amount,
        case
            when invoice_id like 'A%' then 'adjustment'
            when
                product_id in (
                    {%- for code in var('online_retail__charge_codes') %}
                    '{{ code }}'{{ ',' if not loop.last }}
                    {%- endfor %}
                )
                or starts_with(product_id, 'GIFT_')
                then 'charge'
            when line_amount = 0 then 'unpriced'
            when invoice_id like 'C%' then 'return'
            else 'sale'
        end as line_kind

    from typed_lines

)

select * from classified_lines
