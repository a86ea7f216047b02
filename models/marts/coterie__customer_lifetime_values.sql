with

customers as (

    select
        customer_id,
        as_of_date,
        data_through,
        order_day_count

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

customer_values as (

    -- Of the champion; without one the mean of the cohort, which every row carries.
    select
        customer_values.*,
        row_number() over (
            partition by customer_values.customer_id, customer_values.model_name
            order by
                case when customer_values.is_champion then 0 else 1 end,
                customer_values.model_version asc
        ) as place

    from {{ ref('int_coterie__customer_values') }} as customer_values

    where customer_values.horizon_days in (90, 365)

),

published as (

    select
        customer_id,
        horizon_days,
        cohort,
        case when is_champion and method != 'cohort_mean' then model_version end as model_version,
        case
            when coalesce(predicted_amount, cohort_amount) is null then 'withheld'
            when is_champion and method != 'cohort_mean' then 'scored'
            when cohort_amount is null then 'withheld'
            else 'cohort_rate'
        end as value_status,
        case
            when is_champion and method != 'cohort_mean' then method
            when cohort_amount is not null then 'cohort_mean'
        end as method,
        case when is_champion then predicted_amount else cohort_amount end as amount,
        case when is_champion then lower_amount else cohort_lower_amount end as lower_amount,
        case when is_champion then upper_amount else cohort_upper_amount end as upper_amount

    from customer_values

    where place = 1

),

nbd_values as (

    select
        customer_id,
        max(probability_alive) as probability_alive,
        max(case when horizon_days = 90 then expected_orders end) as expected_orders_90d,
        max(case when horizon_days = 365 then expected_orders end) as expected_orders_365d,
        max(case when horizon_days = 365 then discount_share end) as discount_share_365d

    from {{ ref('int_coterie__nbd_values') }}

    group by customer_id

),

next_orders as (

    select * from {{ ref('int_coterie__next_orders') }}

),

customer_margins as (

    select * from {{ ref('int_coterie__customer_margins') }}

),

years as (

    select * from published
    where horizon_days = 365

),

quarters as (

    select * from published
    where horizon_days = 90

),

customer_lifetime_values as (

    select
        customers.customer_id,
        customers.as_of_date,
        nbd_values.probability_alive,
        nbd_values.expected_orders_90d,
        nbd_values.expected_orders_365d,
        quarters.amount as predicted_value_90d,
        quarters.lower_amount as value_lower_90d,
        quarters.upper_amount as value_upper_90d,
        years.amount as predicted_value_365d,
        years.lower_amount as value_lower_365d,
        years.upper_amount as value_upper_365d,
        -- Without a purchase model the orders of a year are taken to come evenly.
        years.amount * coalesce(nbd_values.discount_share_365d, {{ coterie.even_discount_share() }})
            as discounted_value_365d,
        years.amount * customer_margins.margin_rate as predicted_margin_365d,
        next_orders.median_order_on,
        next_orders.earliest_order_on,
        next_orders.latest_order_on,
        case
            when customers.order_day_count = 0 then 'no_order'
            else coalesce(next_orders.next_order_status, 'unknown')
        end as next_order_status,
        next_orders.is_overdue,
        years.cohort,
        years.method,
        years.value_status,
        quarters.method as method_90d,
        quarters.value_status as value_status_90d,
        years.model_version,
        quarters.model_version as model_version_90d,
        customers.data_through

    from customers

    inner join years
        on customers.customer_id = years.customer_id

    inner join quarters
        on customers.customer_id = quarters.customer_id

    left join nbd_values
        on customers.customer_id = nbd_values.customer_id

    left join next_orders
        on customers.customer_id = next_orders.customer_id

    left join customer_margins
        on customers.customer_id = customer_margins.customer_id

)

select
    cast(customer_id as string) as customer_id,
    as_of_date,
    cast(probability_alive as double) as probability_alive,
    cast(expected_orders_90d as double) as expected_orders_90d,
    cast(expected_orders_365d as double) as expected_orders_365d,
    cast(predicted_value_90d as decimal(18, 2)) as predicted_value_90d,
    cast(value_lower_90d as decimal(18, 2)) as value_lower_90d,
    cast(value_upper_90d as decimal(18, 2)) as value_upper_90d,
    cast(predicted_value_365d as decimal(18, 2)) as predicted_value_365d,
    cast(value_lower_365d as decimal(18, 2)) as value_lower_365d,
    cast(value_upper_365d as decimal(18, 2)) as value_upper_365d,
    cast(discounted_value_365d as decimal(18, 2)) as discounted_value_365d,
    cast(predicted_margin_365d as decimal(18, 2)) as predicted_margin_365d,
    median_order_on as expected_next_order_on,
    earliest_order_on as next_order_earliest_on,
    latest_order_on as next_order_latest_on,
    cast(next_order_status as string) as next_order_status,
    cast(is_overdue as boolean) as is_overdue,
    cast(cohort as string) as cohort,
    cast(method as string) as method,
    cast(value_status as string) as value_status,
    cast(method_90d as string) as method_90d,
    cast(value_status_90d as string) as value_status_90d,
    cast(model_version as string) as model_version,
    cast(model_version_90d as string) as model_version_90d,
    data_through

from customer_lifetime_values
