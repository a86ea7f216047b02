with

purchase_histories as (

    select
        customer_id,
        as_of_date,
        repeat_count,
        age_weeks,
        avg_repeat_net_amount

    from {{ ref('int_coterie__purchase_histories') }}

    where is_scoring_date

),

customer_nbd as (

    select
        customer_id,
        nbd_probability_alive

    from {{ ref('int_coterie__customer_nbd') }}

    where is_scoring_date

),

spend_parameters as (

    select
        gamma_gamma.p,
        gamma_gamma.q,
        gamma_gamma.gamma,
        gamma_gamma.mean_spend,
        row_number() over (order by gamma_gamma.fitted_as_of desc) as number_from_newest

    from {{ ref('int_coterie__gamma_gamma_parameters') }} as gamma_gamma

    cross join {{ ref('int_coterie__as_of') }} as as_of

    where
        gamma_gamma.settings_hash = {{ coterie.current_settings_hash('lifetime_value') }}
        and gamma_gamma.fitted_as_of <= as_of.as_of_date

),

expectations as (

    select
        repeat_count,
        age_weeks,
        horizon_days,
        max(expected_orders_alive) as expected_orders_alive,
        max(discount_share) as discount_share,
        max(no_order_probability_alive) as no_order_probability_alive,
        max(case when is_spend_fixed then 1 else 0 end) = 1 as is_spend_fixed,
        count(*) - 1 as level_steps,
        {{ coterie.ordered_list('value_quantile', 'level') }} as quantiles

    from {{ ref('int_coterie__state_expectations') }}

    group by
        repeat_count,
        age_weeks,
        horizon_days

),

expected as (

    -- Whoever has not ordered again is expected to spend as others do; those who have are known by
    -- their own mean as well as it is known. Without Gamma-Gamma everybody spends the mean.
    select
        purchase_histories.customer_id,
        purchase_histories.as_of_date,
        expectations.horizon_days,
        customer_nbd.nbd_probability_alive as probability_alive,
        customer_nbd.nbd_probability_alive * expectations.expected_orders_alive as expected_orders,
        expectations.discount_share,
        1 - customer_nbd.nbd_probability_alive * (1 - expectations.no_order_probability_alive)
            as no_order_probability,
        case
            when spend_parameters.p is null or purchase_histories.repeat_count = 0
                then spend_parameters.mean_spend
            else
                spend_parameters.p
                * (
                    spend_parameters.gamma
                    + purchase_histories.repeat_count * purchase_histories.avg_repeat_net_amount
                )
                / (
                    spend_parameters.p * purchase_histories.repeat_count + spend_parameters.q - 1
                )
        end as expected_spend,
        case
            when expectations.is_spend_fixed then spend_parameters.mean_spend
            else
                spend_parameters.gamma
                + purchase_histories.repeat_count
                * coalesce(purchase_histories.avg_repeat_net_amount, 0)
        end as quantile_unit,
        expectations.is_spend_fixed,
        expectations.quantiles,
        expectations.level_steps

    from purchase_histories

    inner join customer_nbd
        on purchase_histories.customer_id = customer_nbd.customer_id

    inner join expectations
        on
            purchase_histories.repeat_count = expectations.repeat_count
            and purchase_histories.age_weeks = expectations.age_weeks

    inner join spend_parameters
        on spend_parameters.number_from_newest = 1

),

nbd_values as (

    -- Of those who may be gone for good a level of the whole is a lower one of those who are alive.
    select
        customer_id,
        as_of_date,
        horizon_days,
        round(probability_alive, 9) as probability_alive,
        round(expected_orders, 6) as expected_orders,
        round(discount_share, 6) as discount_share,
        round(no_order_probability, 9) as no_order_probability,
        round(expected_spend, 6) as expected_spend,
        {%- for percent in coterie.interval_percents() %}
        {%- set level = coterie.level_given_any(percent / 100, '1 - probability_alive') %}
        round(
            case
                when probability_alive > 0 and {{ level }} > 0
                    then
                        quantile_unit
                        * ({{ coterie.interpolated('quantiles', level, 'level_steps') }})
                else 0
            end,
            6
        ) as quantile_{{ percent }},
        {%- endfor %}
        is_spend_fixed,
        round(expected_orders * expected_spend, 6) as amount

    from expected

)

select * from nbd_values
