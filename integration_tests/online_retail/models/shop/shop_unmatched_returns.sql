with

returns as (

    select * from {{ ref('stg_online_retail__lines') }}
    where line_kind = 'return'

),

refunds as (

    select * from {{ ref('int_online_retail__refunds') }}

),

unmatched_returns as (

    select
        returns.line_id,
        returns.invoice_id as return_id,
        returns.customer_id,
        returns.product_id,
        returns.invoiced_at as returned_at,
        -returns.quantity as quantity,
        -returns.line_amount as returned_amount

    from returns

    left join refunds
        on returns.line_id = refunds.return_line_id

    where refunds.return_line_id is null

)

select * from unmatched_returns
