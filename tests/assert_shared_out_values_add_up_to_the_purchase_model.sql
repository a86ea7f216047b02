{{ config(enabled=coterie.is_topic_enabled('lifetime_value')) }}

-- Where a shorter horizon was learned, the additive parts are the purchase model's total, shared
-- out among the customers who have both. It has a total where it knows what they spend.
with

versions as (

    select
        model_version,
        learned_horizon_days

    from {{ ref('coterie', 'int_coterie__value_versions') }}

),

totals as (

    select
        customer_values.model_version,
        sum(customer_values.additive_amount * customer_values.additive_scale) as additive_amount,
        sum(customer_values.nbd_amount) as nbd_amount

    from {{ ref('coterie', 'int_coterie__customer_values') }} as customer_values

    inner join versions
        on customer_values.model_version = versions.model_version

    inner join {{ ref('coterie', 'int_coterie__nbd_values') }} as nbd_values
        on
            customer_values.customer_id = nbd_values.customer_id
            and customer_values.horizon_days = nbd_values.horizon_days

    where
        versions.learned_horizon_days < customer_values.horizon_days
        and customer_values.additive_amount is not null
        and not nbd_values.is_spend_fixed

    group by customer_values.model_version

)

-- Parts are rounded to six decimals.
select * from totals
where
    additive_amount > 0
    and abs(additive_amount - nbd_amount) > 0.000001 * nbd_amount + 0.01
