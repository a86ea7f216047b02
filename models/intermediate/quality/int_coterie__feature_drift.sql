{% set features = coterie.propensity_features() %}
{% set has_nbd = coterie.is_topic_enabled('lifetime_value') %}

with

versions as (

    select
        model_name,
        model_version,
        bin_set_id

    from {{ ref('int_coterie__propensity_versions') }}

    where is_newest or is_champion

),

feature_bins as (

    select * from {{ ref('int_coterie__feature_bins') }}
    where bin_set_id in (select versions.bin_set_id from versions)

),

scored_customers as (

    -- The bins were cut on the rows of all models together, so all whom any of them scores count.
    select distinct customer_id

    from {{ ref('int_coterie__customer_outcomes') }}

    where
        is_scoring_date
        and is_eligible

),

customer_features as (

    select
        {%- for feature in features %}
        cast({{ coterie.feature_column(feature) }} as double) as feature_{{ loop.index }},
        {%- endfor %}
        customer_features.customer_id

    from {{ ref('int_coterie__customer_features') }} as customer_features

    inner join scored_customers
        on customer_features.customer_id = scored_customers.customer_id

    {% if has_nbd %}
    left join {{ ref('int_coterie__customer_nbd') }} as customer_nbd
        on
            customer_features.as_of_date = customer_nbd.as_of_date
            and customer_features.customer_id = customer_nbd.customer_id
    {% endif %}

    where customer_features.is_scoring_date

),

edges as (

    select
        {%- for feature in features %}
        {{ coterie.edge_list(feature) }} as edges_{{ loop.index }},
        {%- endfor %}
        bin_set_id

    from feature_bins

    group by bin_set_id

),

counted as (

    select
        {%- for feature in features %}
        {{ coterie.bin_counts(
            'customer_features.feature_' ~ loop.index, 'edges.edges_' ~ loop.index
        ) }} as counts_{{ loop.index }},
        {%- endfor %}
        count(*) as row_count,
        edges.bin_set_id

    from customer_features

    cross join edges

    group by edges.bin_set_id

),

feature_counts as (

    {% for feature in features %}
    {{ 'union all' if not loop.first }}
    select
        bin_set_id,
        {{ coterie.quoted(feature) }} as feature,
        row_count,
        counts_{{ loop.index }} as counts

    from counted
    {% endfor %}

),

binned_features as (

    select
        versions.model_name,
        versions.model_version,
        feature_bins.feature,
        feature_bins.bin,
        feature_bins.upper_edge,
        feature_bins.training_row_count,
        feature_bins.training_share,
        feature_counts.row_count,
        {{ coterie.list_item('feature_counts.counts', 'feature_bins.bin + 1') }} as customer_count

    from versions

    inner join feature_bins
        on versions.bin_set_id = feature_bins.bin_set_id

    left join feature_counts
        on
            feature_bins.bin_set_id = feature_counts.bin_set_id
            and feature_bins.feature = feature_counts.feature

),

tested_scores as (

    select
        ranks.model_name,
        ranks.model_version,
        ranks.calibration_bin,
        max(ranks.probability) as highest_probability,
        max(ranks.row_count) as training_row_count,
        cast(count(*) as double) / max(ranks.row_count) as training_share

    from {{ ref('int_coterie__backtest_ranks') }} as ranks

    inner join versions
        on
            ranks.model_name = versions.model_name
            and ranks.model_version = versions.model_version

    where
        ranks.origin = 'pooled'
        and ranks.scorer_name = 'model'
        and ranks.group_name = 'all'

    group by ranks.model_name, ranks.model_version, ranks.calibration_bin

),

score_bins as (

    -- Bins that no test row reached do not count, and the last one is open.
    select
        model_name,
        model_version,
        '(score)' as feature,
        row_number() over (
            partition by model_name, model_version
            order by calibration_bin
        ) as bin,
        case
            when
                lead(calibration_bin) over (
                    partition by model_name, model_version
                    order by calibration_bin
                ) is null
                then cast('infinity' as double)
            else highest_probability
        end as upper_edge,
        training_row_count,
        training_share

    from tested_scores

),

score_edges as (

    select
        model_name,
        model_version,
        {{ coterie.edge_list('(score)') }} as edges

    from score_bins

    group by model_name, model_version

),

score_counts as (

    select
        scores.model_name,
        scores.model_version,
        count(*) as row_count,
        {{ coterie.bin_counts('scores.probability', 'score_edges.edges') }} as counts

    from {{ ref('int_coterie__propensity_scores') }} as scores

    inner join score_edges
        on
            scores.model_name = score_edges.model_name
            and scores.model_version = score_edges.model_version

    group by scores.model_name, scores.model_version

),

binned_scores as (

    select
        score_bins.model_name,
        score_bins.model_version,
        score_bins.feature,
        score_bins.bin,
        score_bins.upper_edge,
        score_bins.training_row_count,
        score_bins.training_share,
        score_counts.row_count,
        {{ coterie.list_item('score_counts.counts', 'score_bins.bin + 1') }} as customer_count

    from score_bins

    left join score_counts
        on
            score_bins.model_name = score_counts.model_name
            and score_bins.model_version = score_counts.model_version

),

binned as (

    select * from binned_features

    union all

    select * from binned_scores

),

feature_drift as (

    select
        model_name,
        model_version,
        feature,
        cast(bin as bigint) as bin,
        upper_edge,
        cast(training_row_count as bigint) as training_row_count,
        training_share,
        cast(coalesce(row_count, 0) as bigint) as row_count,
        cast(coalesce(customer_count, 0) as bigint) as customer_count,
        coalesce(cast(customer_count as double) / nullif(row_count, 0), 0) as customer_share

    from binned

)

select * from feature_drift
