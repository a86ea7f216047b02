{% set magnitude = "power(10, floor(log10(avg_repeat_net_amount)) - 2)" %}

with

purchase_histories as (

    select
        as_of_date,
        repeat_count,
        avg_repeat_net_amount

    from {{ ref('int_coterie__purchase_histories') }}

    where
        is_in_sample
        and repeat_count > 0
        and avg_repeat_net_amount > 0

),

rounded as (

    -- Three significant digits, so that states are few whatever the currency.
    select
        as_of_date,
        repeat_count,
        round(round(avg_repeat_net_amount / {{ magnitude }}) * {{ magnitude }}, 6) as mean_spend

    from purchase_histories

),

spend_states as (

    select
        as_of_date,
        repeat_count,
        mean_spend,
        count(*) as customer_count

    from rounded

    group by
        as_of_date,
        repeat_count,
        mean_spend

)

select * from spend_states
