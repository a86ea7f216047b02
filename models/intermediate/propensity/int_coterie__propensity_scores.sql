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

edges as (

    select
        {%- for feature in features %}
        {{ coterie.edge_list(feature) }} as edges_{{ loop.index }},
        {{ coterie.known_limit(feature, -1) }} as lower_limit_{{ loop.index }},
        {{ coterie.known_limit(feature, 1) }} as upper_limit_{{ loop.index }},
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
        {% for feature in features %}
        {{- 'or ' if not loop.first -}}
        coalesce(
            customer_features.feature_{{ loop.index }} < edges.lower_limit_{{ loop.index }}
            or customer_features.feature_{{ loop.index }} > edges.upper_limit_{{ loop.index }},
            false
        )
        {% endfor %} as is_extrapolated,
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
        binned.is_extrapolated,
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

    select
        {%- for feature in features %}
        cast(round(cast(sum(weight_{{ loop.index }}) as double) / count(*)) as bigint)
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
        looked_up.is_extrapolated,
        looked_up.intercept + (
            0
            {%- for feature in features %}
            + looked_up.weight_{{ loop.index }}
            {%- endfor %}
        ) / 1e9 as log_odds,
        looked_up.intercept + (
            0
            {%- for feature in features %}
            + means.mean_{{ loop.index }}
            {%- endfor %}
        ) / 1e9 as base_log_odds,
        {%- for feature in features %}
        looked_up.feature_{{ loop.index }},
        looked_up.weight_{{ loop.index }} - means.mean_{{ loop.index }}
            as contribution_{{ loop.index }},
        {%- endfor %}
        looked_up.as_of_date

    from looked_up

    inner join means
        on
            looked_up.model_name = means.model_name
            and looked_up.model_version = means.model_version

),

{% for number in [1, 2, 3] %}

reasons_{{ number }} as (

    select
        *,
        {{ coterie.greatest_reason_key(
            lists.places, 1, 'reason_key_' ~ (number - 1) if number > 1
        ) }} as reason_key_{{ number }},
        {{ coterie.greatest_reason_key(
            lists.places, -1, 'counter_key_' ~ (number - 1) if number > 1
        ) }} as counter_key_{{ number }}

    from {{ 'contributed' if number == 1 else 'reasons_' ~ (number - 1) }}

),

{% endfor %}

listed as (

    select
        as_of_date,
        customer_id,
        model_name,
        model_version,
        is_extrapolated,
        log_odds,
        base_log_odds,
        {% for number in [1, 2, 3] %}
        {% for part in ['reason', 'counter'] %}
        {{ part }}_key_{{ number }},
        {%- endfor %}
        {%- endfor %}
        (
            0
            {%- for feature in features %}
            + contribution_{{ loop.index }}
            {%- endfor %}
        ) / 1e9 as total_contribution,
        {{ coterie.list_of(lists.feature_values) }} as feature_values,
        {{ coterie.list_of(lists.usual_values) }} as usual_values

    from reasons_3

),

scores as (

    select
        listed.as_of_date,
        listed.customer_id,
        listed.model_name,
        listed.model_version,
        versions.is_newest,
        versions.is_champion,
        listed.is_extrapolated,
        listed.log_odds,
        listed.base_log_odds,
        listed.total_contribution,
        {%- for number in [1, 2, 3] %}
        {%- for part, key in [('reason', 'reason_key'), ('counter_reason', 'counter_key')] %}
        {%- set key = 'listed.' ~ key ~ '_' ~ number %}
        {%- set place = coterie.reason_place(key) %}
        case
            when {{ key }} > {{ coterie.least_reason_key() }}
                then {{ coterie.list_item(coterie.list_of(lists.names), place) }}
        end as {{ part }}_{{ number }}_code,
        case
            when {{ key }} > {{ coterie.least_reason_key() }}
                then {{ '-' if part == 'counter_reason' }}{{ coterie.reason_contribution(key) }}
        end as {{ part }}_{{ number }}_contribution,
        case
            when {{ key }} > {{ coterie.least_reason_key() }}
                then {{ coterie.list_item('listed.feature_values', place) }}
        end as {{ part }}_{{ number }}_value,
        case
            when {{ key }} > {{ coterie.least_reason_key() }}
                then {{ coterie.list_item('listed.usual_values', place) }}
        end as {{ part }}_{{ number }}_usual_value,
        {%- endfor %}
        {%- endfor %}
        1 / (1 + exp(-listed.log_odds)) as probability

    from listed

    inner join versions
        on
            listed.model_name = versions.model_name
            and listed.model_version = versions.model_version

)

select * from scores
