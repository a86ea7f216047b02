{{ config(enabled=coterie.is_topic_enabled('lifetime_value')) }}

-- States are looked up by joins, which would lose a customer of a state that is not there in
-- silence. Whom the purchase model knows has a value of each horizon, once there is a spend model
-- or the mean that stands in for it.
with

customers as (

    select customer_id from {{ ref('coterie', 'int_coterie__customer_nbd') }}
    where is_scoring_date

),

spend_parameter_count as (

    select count(*) as row_count

    from {{ ref('coterie', 'int_coterie__gamma_gamma_parameters') }} as gamma_gamma

    cross join {{ ref('coterie', 'int_coterie__as_of') }} as as_of

    where
        gamma_gamma.settings_hash = {{ coterie.current_settings_hash('lifetime_value') }}
        and gamma_gamma.fitted_as_of <= as_of.as_of_date

),

value_counts as (

    select
        customer_id,
        count(*) as value_count

    from {{ ref('coterie', 'int_coterie__nbd_values') }}

    group by customer_id

),

incomplete as (

    select
        customers.customer_id,
        value_counts.value_count

    from customers

    cross join spend_parameter_count

    left join value_counts
        on customers.customer_id = value_counts.customer_id

    where
        spend_parameter_count.row_count > 0
        and coalesce(value_counts.value_count, 0) != {{ coterie.value_horizons() | length }}

)

select * from incomplete
