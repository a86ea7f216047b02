{% set horizons = coterie.value_horizons() %}
{% set newcomer_days = coterie.newcomer_value_days() %}
{% set has_additive = coterie.has_additive_value() %}
{% set percents = coterie.interval_percents() %}

with

customers as (

    select
        as_of_date,
        customer_id,
        order_day_count,
        days_since_first_order as age_days,
        {{ coterie.value_cohort() }} as cohort

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

models as (

    {% for horizon in horizons %}
    {{ 'union all' if not loop.first }}
    select
        'value_{{ horizon }}d' as model_name,
        {{ horizon }} as horizon_days
    {% endfor %}

),

versions as (

    select
        model_name,
        model_version,
        learned_horizon_days,
        additive_share,
        nbd_level,
        is_newest,
        is_champion

    from {{ ref('int_coterie__value_versions') }}

    where is_newest or is_champion

),

nbd_values as (

    select * from {{ ref('int_coterie__nbd_values') }}

),

{% if has_additive %}

additive_values as (

    select * from {{ ref('int_coterie__additive_values') }}

),

{% endif %}

cohort_values as (

    select
        as_of_date,
        horizon_days,
        cohort,
        mean_amount,
        lower_amount,
        upper_amount

    from {{ ref('int_coterie__cohort_values') }}

),

parts as (

    select
        customers.as_of_date,
        customers.customer_id,
        customers.cohort,
        models.model_name,
        models.horizon_days,
        versions.model_version,
        coalesce(versions.is_newest, false) as is_newest,
        coalesce(versions.is_champion, false) as is_champion,
        case
            when customers.order_day_count > 1 then 1
            else least(customers.age_days / {{ newcomer_days }}.0, 1)
        end as individual_share,
        versions.additive_share,
        versions.learned_horizon_days < models.horizon_days as is_shared_out,
        models.horizon_days / cast(versions.learned_horizon_days as double) as horizon_ratio,
        nbd_values.no_order_probability as nbd_no_spend,
        nbd_values.is_spend_fixed,
        nbd_values.amount as plain_nbd_amount,
        learned_nbd_values.amount as learned_nbd_amount,
        versions.nbd_level * nbd_values.amount as nbd_amount,
        {%- for percent in percents %}
        versions.nbd_level * nbd_values.quantile_{{ percent }} as nbd_quantile_{{ percent }},
        {%- endfor %}
        {% if has_additive %}
        1 - additive_values.purchase_probability as additive_no_spend,
        additive_values.amount as additive_amount,
        {%- for percent in percents %}
        additive_values.quantile_{{ percent }} as additive_quantile_{{ percent }},
        {%- endfor %}
        {% else %}
        cast(null as double) as additive_no_spend,
        cast(null as double) as additive_amount,
        {%- for percent in percents %}
        cast(null as double) as additive_quantile_{{ percent }},
        {%- endfor %}
        {% endif %}
        cohort_values.mean_amount as cohort_amount,
        cohort_values.lower_amount as cohort_lower_amount,
        cohort_values.upper_amount as cohort_upper_amount

    from customers

    cross join models

    left join versions
        on
            models.model_name = versions.model_name
            and customers.order_day_count > 0

    left join nbd_values
        on
            customers.customer_id = nbd_values.customer_id
            and models.horizon_days = nbd_values.horizon_days

    left join nbd_values as learned_nbd_values
        on
            customers.customer_id = learned_nbd_values.customer_id
            and versions.learned_horizon_days = learned_nbd_values.horizon_days

    {% if has_additive %}
    left join additive_values
        on
            customers.customer_id = additive_values.customer_id
            and versions.model_version = additive_values.model_version
    {% endif %}

    left join cohort_values
        on
            customers.as_of_date = cohort_values.as_of_date
            and models.horizon_days = cohort_values.horizon_days
            and customers.cohort = cohort_values.cohort

),

totals as (

    -- What was learned over fewer days ranks the customers, and the purchase model tells how much
    -- they will spend in all; where it does not know what they spend, how many more orders there
    -- are. Decimals add up alike in any order.
    select
        {%- for name in ['nbd', 'plain_nbd', 'learned_nbd', 'additive'] %}
        cast(sum(cast({{ name }}_amount as decimal(30, 6))) as double) as {{ name }}_amount,
        {%- endfor %}
        model_version

    from parts

    where
        nbd_amount is not null
        and additive_amount is not null

    group by model_version

),

weighed as (

    select
        parts.*,
        case
            when not coalesce(parts.is_shared_out, false) then 1
            when parts.is_spend_fixed
                then coalesce(totals.plain_nbd_amount / nullif(totals.learned_nbd_amount, 0), 1)
            when totals.nbd_amount is not null
                then coalesce(totals.nbd_amount / nullif(totals.additive_amount, 0), 1)
            else parts.horizon_ratio
        end as additive_scale,
        case
            when parts.additive_amount is null then 0
            when parts.nbd_amount is null then 1
            else parts.additive_share
        end as additive_weight

    from parts

    left join totals
        on parts.model_version = totals.model_version

),

individual as (

    select
        *,
        {%- for part in ['amount'] + coterie.interval_quantiles() %}
        additive_weight * additive_scale * coalesce(additive_{{ part }}, 0)
        + (1 - additive_weight) * coalesce(nbd_{{ part }}, 0) as individual_{{ part }},
        {%- endfor %}
        additive_weight * coalesce(additive_no_spend, 0)
        + (1 - additive_weight) * coalesce(nbd_no_spend, 0) as individual_no_spend,
        additive_amount is not null or nbd_amount is not null as has_individual

    from weighed

),

combined as (

    -- Of newcomers their cohort tells more than their one order; the older they are, the less.
    select
        *,
        case
            when not has_individual then cohort_amount
            when individual_share = 1 or cohort_amount is null then individual_amount
            else individual_share * individual_amount + (1 - individual_share) * cohort_amount
        end as combined_amount,
        case
            when not has_individual then cohort_lower_amount
            when {{ coterie.is_surely_above_nothing('individual_no_spend') }}
                then individual_quantile_10
            else 0
        end as combined_lower_amount,
        case
            when not has_individual then cohort_upper_amount
            when {{ coterie.is_surely_above_nothing('individual_no_spend') }}
                then individual_quantile_90
            else individual_quantile_80
        end as combined_upper_amount,
        case
            when not has_individual then 'cohort_mean'
            when additive_weight = 0 then 'nbd'
            when additive_weight = 1 then 'additive'
            else 'blend'
        end as method

    from individual

),

customer_values as (

    select
        as_of_date,
        customer_id,
        cohort,
        model_name,
        horizon_days,
        model_version,
        is_newest,
        is_champion,
        method,
        case when has_individual then individual_share else 0 end as individual_share,
        additive_weight,
        round(nbd_amount, 6) as nbd_amount,
        round(additive_amount, 6) as additive_amount,
        round(additive_scale, 9) as additive_scale,
        cohort_amount,
        least(cohort_lower_amount, cohort_amount) as cohort_lower_amount,
        greatest(cohort_upper_amount, cohort_amount) as cohort_upper_amount,
        round(combined_amount, 6) as predicted_amount,
        round(least(combined_lower_amount, combined_amount), 6) as lower_amount,
        round(greatest(combined_upper_amount, combined_amount), 6) as upper_amount

    from combined

)

select * from customer_values
