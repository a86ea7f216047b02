{% set features = coterie.settings('propensity').features %}

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
        prediction_name as model_name

    from {{ ref('int_coterie__customer_outcomes') }}

    where is_scoring_date

),

customer_features as (

    select
        {%- for feature in features %}
        cast({{ adapter.quote(feature) }} as double) as feature_{{ loop.index }},
        {%- endfor %}
        customer_id

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

edges as (

    select
        {%- for feature in features %}
        {{ coterie.edge_list(feature) }} as edges_{{ loop.index }},
        {%- endfor %}
        bin_set_id

    from {{ ref('int_coterie__feature_bins') }}

    where bin_set_id in (select versions.bin_set_id from versions)

    group by bin_set_id

),

weights as (

    select
        model_name,
        model_version,
        bin_set_id,
        {%- for feature in features %}
        {{ coterie.weight_list(feature) }} as weights_{{ loop.index }},
        {%- endfor %}
        max(intercept) as intercept

    from {{ ref('int_coterie__propensity_weights') }}

    where model_version in (select versions.model_version from versions)

    group by model_name, model_version, bin_set_id

),

binned as (

    select
        customer_features.customer_id,
        {%- for feature in features %}
        customer_features.feature_{{ loop.index }},
        {{ coterie.bin_number(
            'customer_features.feature_' ~ loop.index, 'edges.edges_' ~ loop.index
        ) }} as bin_{{ loop.index }},
        {%- endfor %}
        edges.bin_set_id

    from customer_features

    cross join edges

),

looked_up as (

    select
        scored_outcomes.as_of_date,
        scored_outcomes.customer_id,
        weights.model_name,
        weights.model_version,
        {%- for feature in features %}
        binned.feature_{{ loop.index }},
        {{ coterie.list_item(
            'weights.weights_' ~ loop.index, 'binned.bin_' ~ loop.index ~ ' + 1'
        ) }} as weight_{{ loop.index }},
        {%- endfor %}
        weights.intercept

    from scored_outcomes

    inner join weights
        on scored_outcomes.model_name = weights.model_name

    inner join binned
        on
            scored_outcomes.customer_id = binned.customer_id
            and weights.bin_set_id = binned.bin_set_id

),

means as (

    -- Exact sums: the mean must not depend on the order of the rows.
    select
        {%- for feature in features %}
        cast(sum(cast(weight_{{ loop.index }} as decimal(18, 10))) as double) / count(*)
            as mean_{{ loop.index }},
        {%- endfor %}
        model_name,
        model_version

    from looked_up

    group by model_name, model_version

),

contributed as (

    select
        looked_up.customer_id,
        looked_up.model_name,
        looked_up.model_version,
        looked_up.intercept
        {%- for feature in features %}
        + looked_up.weight_{{ loop.index }}
        {%- endfor %} as log_odds,
        looked_up.intercept
        {%- for feature in features %}
        + means.mean_{{ loop.index }}
        {%- endfor %} as base_log_odds,
        {%- for feature in features %}
        looked_up.feature_{{ loop.index }},
        round(looked_up.weight_{{ loop.index }} - means.mean_{{ loop.index }}, 9)
            as contribution_{{ loop.index }},
        {%- endfor %}
        looked_up.as_of_date

    from looked_up

    inner join means
        on
            looked_up.model_name = means.model_name
            and looked_up.model_version = means.model_version

),

ranked as (

    select
        as_of_date,
        customer_id,
        model_name,
        model_version,
        log_odds,
        base_log_odds,
        0
        {%- for feature in features %}
        + contribution_{{ loop.index }}
        {%- endfor %} as total_contribution,
        {{ coterie.ranked_contributions(features) }} as ranking

    from contributed

),

scores as (

    select
        ranked.as_of_date,
        ranked.customer_id,
        ranked.model_name,
        ranked.model_version,
        versions.is_newest,
        versions.is_champion,
        ranked.log_odds,
        ranked.base_log_odds,
        ranked.total_contribution,
        {%- for number in [1, 2, 3] %}
        {{ coterie.reason_part('ranked.ranking', number, 'feature') }}
            as reason_{{ number }}_code,
        {{ coterie.reason_part('ranked.ranking', number, 'contribution') }}
            as reason_{{ number }}_contribution,
        {{ coterie.reason_part('ranked.ranking', number, 'value') }}
            as reason_{{ number }}_value,
        {%- endfor %}
        {{ coterie.reason_part('ranked.ranking', -1, 'feature') }} as counter_reason_code,
        {{ coterie.reason_part('ranked.ranking', -1, 'contribution') }}
            as counter_reason_contribution,
        {{ coterie.reason_part('ranked.ranking', -1, 'value') }} as counter_reason_value,
        1 / (1 + exp(-ranked.log_odds)) as probability

    from ranked

    inner join versions
        on
            ranked.model_name = versions.model_name
            and ranked.model_version = versions.model_version

)

select * from scores
