{% set features = coterie.propensity_features() %}

with

versions as (

    select
        model_name,
        model_version,
        learned_horizon_days,
        bin_set_id

    from {{ ref('int_coterie__value_versions') }}

    where
        (is_newest or is_champion)
        and additive_share > 0

),

customer_features as (

    select
        {%- for feature in features %}
        cast({{ coterie.feature_column(feature) }} as double) as feature_{{ loop.index }},
        {%- endfor %}
        customer_features.customer_id

    from {{ ref('int_coterie__customer_features') }} as customer_features

    left join {{ ref('int_coterie__customer_nbd') }} as customer_nbd
        on
            customer_features.as_of_date = customer_nbd.as_of_date
            and customer_features.customer_id = customer_nbd.customer_id

    where
        customer_features.is_scoring_date
        and customer_features.order_day_count > 0

),

{{ coterie.binned_customers(features) }},

weight_rows as (

    -- Whole billionths add up exactly, in whatever order.
    select
        value_weights.model_name,
        value_weights.model_version,
        value_weights.bin_set_id,
        value_weights.component,
        cast(round(value_weights.weight * 1e9) as bigint) as weight,
        row_number() over (
            order by
                value_weights.component,
                value_weights.model_version,
                features.place,
                value_weights.bin
        ) as item

    from {{ ref('int_coterie__value_weights') }} as value_weights

    inner join features
        on value_weights.feature = features.feature

    where
        value_weights.model_version in (select versions.model_version from versions)
        and value_weights.component in ('purchase', 'spend')

),

starts as (

    select
        model_name,
        model_version,
        bin_set_id,
        min(case when component = 'purchase' then item end) - 1 as purchase_start,
        min(case when component = 'spend' then item end) - 1 as spend_start

    from weight_rows

    group by model_name, model_version, bin_set_id

),

weights as (

    -- One row: what is joined to it is not copied for each customer.
    select {{ coterie.ordered_list('weight', 'item') }} as weights from weight_rows

),

constants as (

    select
        model_version,
        max(learned_horizon_days) as learned_horizon_days,
        max(purchase_intercept) as purchase_intercept,
        max(spend_intercept) as spend_intercept,
        max(spend_slope) as spend_slope,
        max(smearing) as smearing,
        {{ coterie.ordered_list(
            'case when component = \'residual\' then weight end', 'bin'
        ) }} filter (where component = 'residual') as residual_quantiles,
        count(case when component = 'residual' then 1 end) - 1 as level_steps

    from {{ ref('int_coterie__value_weights') }}

    where model_version in (select versions.model_version from versions)

    group by model_version

),

scored_bins as {{ coterie.materialized() }} (

    -- The bins are found once, however many weights are looked up by them.
    select
        {%- for component in ['purchase', 'spend'] %}
        {%- for feature in features %}
        cast(starts.{{ component }}_start + binned.item_{{ loop.index }} as integer)
            as {{ component }}_item_{{ loop.index }},
        {%- endfor %}
        {%- endfor %}
        binned.customer_id,
        starts.model_name,
        starts.model_version

    from binned

    inner join starts
        on binned.bin_set_id = starts.bin_set_id

),

looked_up as (

    select
        {%- for component in ['purchase', 'spend'] %}
        cast({{ coterie.summed_weights(
            'weights.weights', 'scored_bins.' ~ component ~ '_item_', features | length
        ) }} as double) / 1e9 as {{ component }}_weight,
        {%- endfor %}
        scored_bins.customer_id,
        scored_bins.model_name,
        scored_bins.model_version

    from scored_bins

    cross join weights

),

nbd_values as (

    select
        customer_id,
        horizon_days,
        amount

    from {{ ref('int_coterie__nbd_values') }}

),

expected as (

    -- What the purchase model expects tells apart whom the highest bins hold alike.
    select
        looked_up.customer_id,
        looked_up.model_name,
        looked_up.model_version,
        1 / (1 + exp(-(constants.purchase_intercept + looked_up.purchase_weight)))
            as purchase_probability,
        constants.spend_intercept
        + looked_up.spend_weight
        + case
            when nbd_values.amount is not null
                then constants.spend_slope * ln(greatest(nbd_values.amount, 1e-6))
            else 0
        end as log_amount,
        constants.smearing,
        constants.residual_quantiles,
        constants.level_steps

    from looked_up

    inner join constants
        on looked_up.model_version = constants.model_version

    left join nbd_values
        on
            looked_up.customer_id = nbd_values.customer_id
            and constants.learned_horizon_days = nbd_values.horizon_days

),

additive_values as (

    select
        customer_id,
        model_name,
        model_version,
        {%- for percent in coterie.interval_percents() %}
        {%- set level = coterie.level_given_any(percent / 100, '1 - purchase_probability') %}
        round(
            case
                when {{ level }} > 0
                    then
                        exp(
                            log_amount
                            + {{ coterie.interpolated('residual_quantiles', level, 'level_steps') }}
                        )
                else 0
            end,
            6
        ) as quantile_{{ percent }},
        {%- endfor %}
        round(purchase_probability, 9) as purchase_probability,
        round(purchase_probability * exp(log_amount) * smearing, 6) as amount

    from expected

)

select * from additive_values
