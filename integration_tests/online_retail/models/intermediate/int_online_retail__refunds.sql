with

moves as (

    select
        line_id,
        invoice_id,
        customer_id,
        product_id,
        invoiced_at,
        abs(quantity) as unit_count,
        abs(line_amount) as line_amount,
        case when line_kind = 'return' then -1 else 1 end as direction

    from {{ ref('stg_online_retail__lines') }}

    where
        line_kind in ('sale', 'return')
        and customer_id is not null

),

running_counts as (

    select
        *,
        sum(direction) over later_moves as open_count

    from moves

    window later_moves as (
        partition by customer_id, product_id, unit_count
        order by invoiced_at, direction desc, line_id
        rows between unbounded preceding and current row
    )

),

lowest_counts as (

    select
        *,
        least(0, min(open_count) over (
            partition by customer_id, product_id, unit_count
            order by invoiced_at, direction desc, line_id
            rows between unbounded preceding and current row
        )) as lowest_count,
        least(0, coalesce(min(open_count) over (
            partition by customer_id, product_id, unit_count
            order by invoiced_at, direction desc, line_id
            rows between unbounded preceding and 1 preceding
        ), 0)) as lowest_count_before

    from running_counts

),

-- A return of the same quantity closes the newest sale that is still open, as brackets close:
-- a sale opens a depth, and the next return at that depth closes it. A return at depth 0 finds
-- no open sale.
depths as (

    select
        *,
        case
            when direction = 1 then open_count - lowest_count
            else open_count + 1 - lowest_count_before
        end as depth

    from lowest_counts

),

whole_line_pairs as (

    select
        line_id as return_line_id,
        direction,
        lag(line_id) over (
            partition by customer_id, product_id, unit_count, depth
            order by invoiced_at, direction desc, line_id
        ) as sale_line_id

    from depths

    where depth > 0

),

whole_line_refunds as (

    select
        return_line_id,
        sale_line_id,
        'whole_line' as match_kind

    from whole_line_pairs

    where direction = -1

),

-- The others are returns of a part of a line: of the newest earlier sale of more units.
open_returns as (

    select * from moves
    where
        direction = -1
        and line_id not in (select w.return_line_id from whole_line_refunds as w)

),

open_sales as (

    select * from moves
    where
        direction = 1
        and line_id not in (select w.sale_line_id from whole_line_refunds as w)

),

part_candidates as (

    select
        open_returns.line_id as return_line_id,
        open_returns.invoiced_at as returned_at,
        open_returns.unit_count as returned_unit_count,
        open_sales.line_id as sale_line_id,
        open_sales.unit_count as sold_unit_count,
        row_number() over (
            partition by open_returns.line_id
            order by open_sales.invoiced_at desc, open_sales.line_id desc
        ) as candidate_rank

    from open_returns

    inner join open_sales
        on
            open_returns.customer_id = open_sales.customer_id
            and open_returns.product_id = open_sales.product_id
            and open_returns.invoiced_at >= open_sales.invoiced_at
            and open_returns.unit_count < open_sales.unit_count

),

part_line_totals as (

    select
        return_line_id,
        sale_line_id,
        sold_unit_count,
        sum(returned_unit_count) over (
            partition by sale_line_id
            order by returned_at, return_line_id
            rows between unbounded preceding and current row
        ) as total_returned_unit_count

    from part_candidates

    where candidate_rank = 1

),

part_line_refunds as (

    select
        return_line_id,
        sale_line_id,
        'part_line' as match_kind

    from part_line_totals

    where total_returned_unit_count <= sold_unit_count

),

refunds as (

    select * from whole_line_refunds
    union all
    select * from part_line_refunds

),

priced_refunds as (

    select
        returned.line_id as return_line_id,
        returned.invoice_id as return_id,
        sold.line_id as sale_line_id,
        sold.invoice_id as order_id,
        refunds.match_kind,
        returned.invoiced_at as refunded_at,
        returned.line_amount as returned_amount,
        -- Nobody gets back more than was paid for those units.
        cast(least(
            returned.line_amount,
            round(sold.line_amount * returned.unit_count / sold.unit_count, 2)
        ) as decimal(18, 2)) as refund_amount

    from refunds

    inner join moves as returned
        on refunds.return_line_id = returned.line_id

    inner join moves as sold
        on refunds.sale_line_id = sold.line_id

)

select * from priced_refunds
