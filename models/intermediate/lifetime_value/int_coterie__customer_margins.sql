{% set margin_rate = coterie.margin_rate() %}

with

orders as (

    select
        orders.customer_id,
        orders.margin_amount,
        {{ coterie.net_amount_as_of('as_of.as_of_date') }} as net_amount

    from {{ ref('int_coterie__orders') }} as orders

    cross join {{ ref('int_coterie__as_of') }} as as_of

    where
        orders.customer_id is not null
        and orders.margin_amount is not null
        and {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

shop as (

    select
        cast(sum(margin_amount) as double) / nullif(cast(sum(net_amount) as double), 0)
            as margin_rate,
        cast(sum(net_amount) as double) / nullif(count(*), 0) as mean_net_amount

    from orders

),

customers as (

    select
        customer_id,
        cast(sum(margin_amount) as double) as margin_amount,
        cast(sum(net_amount) as double) as net_amount

    from orders

    group by customer_id

),

customer_margins as (

    -- The margin of a few orders says little: each customer is pulled to the margin of the shop, as
    -- if five more orders had had that.
    select
        scoring.customer_id,
        round(
            coalesce(
                (
                    coalesce(customers.margin_amount, 0)
                    + 5 * shop.mean_net_amount * shop.margin_rate
                )
                / (coalesce(customers.net_amount, 0) + 5 * shop.mean_net_amount),
                {{ margin_rate }}
            ),
            6
        ) as margin_rate

    from {{ ref('int_coterie__customer_features') }} as scoring

    cross join shop

    left join customers
        on scoring.customer_id = customers.customer_id

    where scoring.is_scoring_date

)

select * from customer_margins
