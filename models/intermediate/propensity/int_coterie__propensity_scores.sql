{% set features = coterie.propensity_features() %}
{% set has_nbd = coterie.is_topic_enabled('lifetime_value') %}
{% set lists = coterie.scored_lists(features) %}

with

versions as (

    select
        model_name,
        model_version,
        bin_set_id,
        is_newest,
        is_champion

    from {{ ref('int_coterie__propensity_versions') }}

    where is_newest or is_champion

),

scored_outcomes as (

    select
        as_of_date,
        customer_id,
        model_name

    from {{ ref('int_coterie__customer_outcomes') }}

    where
        is_scoring_date
        and is_eligible
        and prediction_name = model_name

),

customer_features as (

    select
        {%- for feature in features %}
        cast({{ coterie.feature_column(feature) }} as double) as feature_{{ loop.index }},
        {%- endfor %}
        customer_features.customer_id

    from {{ ref('int_coterie__customer_features') }} as customer_features

    {% if has_nbd %}
    left join {{ ref('int_coterie__customer_nbd') }} as customer_nbd
        on
            customer_features.as_of_date = customer_nbd.as_of_date
            and customer_features.customer_id = customer_nbd.customer_id
    {% endif %}

    where
        customer_features.is_scoring_date
        and customer_features.customer_id in (
            select scored_outcomes.customer_id from scored_outcomes
        )

),

{{ coterie.binned_customers(features) }},

weight_rows as (

    -- Whole billionths add up exactly, in whatever order.
    select
        propensity_weights.model_name,
        propensity_weights.model_version,
        propensity_weights.bin_set_id,
        propensity_weights.intercept,
        features.place,
        propensity_weights.bin,
        cast(round(propensity_weights.weight * 1e9) as bigint) as weight,
        row_number() over (
            order by propensity_weights.model_version, features.place, propensity_weights.bin
        ) as item

    from {{ ref('int_coterie__propensity_weights') }} as propensity_weights

    inner join features
        on propensity_weights.feature = features.feature

    where propensity_weights.model_version in (select versions.model_version from versions)

),

scored_versions as (

    select
        model_name,
        model_version,
        bin_set_id,
        max(intercept) as intercept,
        min(item) - 1 as version_start

    from weight_rows

    group by model_name, model_version, bin_set_id

),

weights as (

    -- One row: what is joined to it is not copied for each customer.
    select {{ coterie.ordered_list('weight', 'item') }} as weights from weight_rows

),

scored_bins as {{ coterie.materialized() }} (

    select
        scored_outcomes.as_of_date,
        scored_outcomes.customer_id,
        scored_versions.model_name,
        scored_versions.model_version,
        {%- for feature in features %}
        binned.feature_{{ loop.index }},
        cast(scored_versions.version_start + binned.item_{{ loop.index }} as integer)
            as item_{{ loop.index }},
        {%- endfor %}
        binned.is_extrapolated

    from scored_outcomes

    inner join scored_versions
        on scored_outcomes.model_name = scored_versions.model_name

    inner join binned
        on
            scored_outcomes.customer_id = binned.customer_id
            and scored_versions.bin_set_id = binned.bin_set_id

),

mean_weights as (

    select
        {%- for feature in features %}
        cast(round(cast(sum({{ coterie.list_item(
            'weights.weights', 'scored_bins.item_' ~ loop.index
        ) }}) as double) / count(*)) as bigint) as mean_{{ loop.index }},
        {%- endfor %}
        scored_bins.model_version

    from scored_bins

    cross join weights

    group by scored_bins.model_version

),

mean_rows as (

    {% for feature in features %}
    {{ 'union all' if not loop.first }}
    select
        model_version,
        {{ loop.index }} as place,
        mean_{{ loop.index }} as mean_weight

    from mean_weights
    {% endfor %}

),

reason_keys as (

    -- A version that scores nobody keeps its items, or those of others would move.
    select
        {{ coterie.ordered_list(
            coterie.reason_key(
                'weight_rows.weight - coalesce(mean_rows.mean_weight, 0)', 'weight_rows.place'
            ),
            'weight_rows.item'
        ) }} as reason_keys

    from weight_rows

    left join mean_rows
        on
            weight_rows.model_version = mean_rows.model_version
            and weight_rows.place = mean_rows.place

),

looked_up as (

    select
        scored_bins.as_of_date,
        scored_bins.customer_id,
        scored_bins.model_name,
        scored_bins.model_version,
        {%- for feature in features %}
        scored_bins.feature_{{ loop.index }},
        {{ coterie.list_item('reason_keys.reason_keys', 'scored_bins.item_' ~ loop.index) }}
            as key_{{ loop.index }},
        {%- endfor %}
        scored_bins.is_extrapolated

    from scored_bins

    cross join reason_keys

),

strongest as (

    select
        *,
        {{ coterie.total_contribution(features | length) }} as total,
        {{ coterie.greatest_reason_key(lists.places) }} as reason_key_1,
        {{ coterie.least_reason_key(lists.places) }} as counter_reason_key_1

    from looked_up

),

second_strongest as (

    select
        *,
        {{ coterie.greatest_reason_key(lists.places, ['reason_key_1']) }} as reason_key_2,
        {{ coterie.least_reason_key(lists.places, ['counter_reason_key_1']) }}
            as counter_reason_key_2

    from strongest

),

third_strongest as (

    select
        as_of_date,
        customer_id,
        model_name,
        model_version,
        is_extrapolated,
        total,
        {%- for number in [1, 2] %}
        reason_key_{{ number }},
        counter_reason_key_{{ number }},
        {%- endfor %}
        {{ coterie.greatest_reason_key(lists.places, ['reason_key_1', 'reason_key_2']) }}
            as reason_key_3,
        {{ coterie.least_reason_key(
            lists.places, ['counter_reason_key_1', 'counter_reason_key_2']
        ) }} as counter_reason_key_3,
        {{ coterie.list_of(lists.feature_values) }} as feature_values

    from second_strongest

),

base_log_odds as (

    select
        scored_versions.model_version,
        scored_versions.intercept,
        cast(sum(mean_rows.mean_weight) as bigint) as total_mean

    from scored_versions

    inner join mean_rows
        on scored_versions.model_version = mean_rows.model_version

    group by
        scored_versions.model_version,
        scored_versions.intercept

),

scores as (

    select
        scored.as_of_date,
        scored.customer_id,
        scored.model_name,
        scored.model_version,
        versions.is_newest,
        versions.is_champion,
        scored.is_extrapolated,
        base_log_odds.intercept + (base_log_odds.total_mean + scored.total) / 1e9 as log_odds,
        base_log_odds.intercept + base_log_odds.total_mean / 1e9 as base_log_odds,
        scored.total / 1e9 as total_contribution,
        {%- for number in [1, 2, 3] %}
        {%- for part in ['reason', 'counter_reason'] %}
        {%- set key = 'scored.' ~ part ~ '_key_' ~ number %}
        {%- set is_told = coterie.is_reason(key, part) %}
        {%- set place = coterie.reason_place(key) %}
        case
            when {{ is_told }} then {{ coterie.list_item(coterie.list_of(lists.names), place) }}
        end as {{ part }}_{{ number }}_code,
        case
            when {{ is_told }} then {{ coterie.reason_contribution(key) }}
        end as {{ part }}_{{ number }}_contribution,
        case
            when {{ is_told }} then {{ coterie.list_item('scored.feature_values', place) }}
        end as {{ part }}_{{ number }}_value,
        case
            when {{ is_told }}
                then {{ coterie.list_item(
                    'scored.feature_values',
                    coterie.list_item(coterie.list_of(lists.usual_places), place)
                ) }}
        end as {{ part }}_{{ number }}_usual_value,
        {%- endfor %}
        {%- endfor %}
        1 / (
            1 + exp(-(base_log_odds.intercept + (base_log_odds.total_mean + scored.total) / 1e9))
        ) as probability

    from third_strongest as scored

    inner join base_log_odds
        on scored.model_version = base_log_odds.model_version

    inner join versions
        on scored.model_version = versions.model_version

)

select * from scores
