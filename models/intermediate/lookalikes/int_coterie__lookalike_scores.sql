{% set features = coterie.lookalike_features() %}
{% set lists = coterie.scored_lists(features, coterie.told_lookalike_features()) %}

with

ranks as (

    select * from {{ ref('int_coterie__lookalike_ranks') }}

),

fitted as (

    select fitted.*

    from {{ ref('int_coterie__lookalike_weights') }} as fitted

    where
        fitted.part = 'weight'
        and fitted.audience_code in (select ranks.audience_code from ranks)

),

lookalike_bins as (

    -- Bins are the same for all audiences.
    select
        'lookalikes' as bin_set_id,
        feature,
        bin,
        max(upper_edge) as upper_edge,
        max(lowest_value) as lowest_value,
        max(highest_value) as highest_value

    from fitted

    group by
        feature,
        bin

),

versions as (

    select distinct bin_set_id from lookalike_bins

),

customer_features as (

    select
        {%- for feature in features %}
        cast({{ coterie.lookalike_feature_column(feature) }} as double)
            as feature_{{ loop.index }},
        {%- endfor %}
        customer_features.customer_id

    from {{ ref('int_coterie__customer_features') }} as customer_features

    {{ coterie.lookalike_feature_joins() }}

    where
        customer_features.is_scoring_date
        and customer_features.customer_id in (select ranks.customer_id from ranks)

),

{{ coterie.binned_customers(features, bins='lookalike_bins') }},

weight_rows as (

    -- Whole billionths add up exactly, in whatever order.
    select
        fitted.audience_code,
        fitted.intercept,
        {{ coterie.reason_key('cast(round(fitted.weight * 1e9) as bigint)', 'features.place') }}
            as reason_key,
        row_number() over (
            order by fitted.audience_code, features.place, fitted.bin
        ) as item

    from fitted

    inner join features
        on fitted.feature = features.feature

),

audience_starts as (

    select
        audience_code,
        max(intercept) as base_log_odds,
        min(item) - 1 as audience_start

    from weight_rows

    group by audience_code

),

reason_keys as (

    select {{ coterie.ordered_list('reason_key', 'item') }} as reason_keys from weight_rows

),

looked_up as (

    select
        ranks.audience_code,
        ranks.customer_id,
        {%- for feature in features %}
        binned.feature_{{ loop.index }},
        {{ coterie.list_item(
            'reason_keys.reason_keys',
            'cast(audience_starts.audience_start + binned.item_' ~ loop.index ~ ' as integer)'
        ) }} as key_{{ loop.index }},
        {%- endfor %}
        audience_starts.base_log_odds

    from ranks

    inner join audience_starts
        on ranks.audience_code = audience_starts.audience_code

    inner join binned
        on ranks.customer_id = binned.customer_id

    cross join reason_keys

),

strongest as (

    select
        *,
        {{ coterie.total_contribution(features | length) }} as total,
        {{ coterie.greatest_reason_key(lists.places) }} as reason_key_1

    from looked_up

),

second_strongest as (

    select
        *,
        {{ coterie.greatest_reason_key(lists.places, ['reason_key_1']) }} as reason_key_2

    from strongest

),

third_strongest as (

    select
        audience_code,
        customer_id,
        base_log_odds,
        total,
        reason_key_1,
        reason_key_2,
        {{ coterie.greatest_reason_key(lists.places, ['reason_key_1', 'reason_key_2']) }}
            as reason_key_3,
        {{ coterie.list_of(lists.feature_values) }} as feature_values

    from second_strongest

),

lookalike_scores as (

    select
        ranks.audience_code,
        ranks.customer_id,
        ranks.score,
        ranks.rank,
        ranks.distance_to_members,
        scored.base_log_odds + scored.total / 1e9 as log_odds,
        scored.base_log_odds,
        {%- for number in [1, 2, 3] %}
        {%- set key = 'scored.reason_key_' ~ number %}
        {%- set is_told = coterie.is_reason(key, 'reason') %}
        {%- set place = coterie.reason_place(key) %}
        case
            when {{ is_told }} then {{ coterie.list_item(coterie.list_of(lists.names), place) }}
        end as reason_{{ number }}_code,
        case
            when {{ is_told }} then {{ coterie.reason_contribution(key) }}
        end as reason_{{ number }}_contribution,
        case
            when {{ is_told }} then {{ coterie.list_item('scored.feature_values', place) }}
        end as reason_{{ number }}_value,
        case
            when {{ is_told }}
                then {{ coterie.list_item(
                    'scored.feature_values',
                    coterie.list_item(coterie.list_of(lists.usual_places), place)
                ) }}
        end as reason_{{ number }}_usual_value,
        {%- endfor %}
        scored.total / 1e9 as total_contribution

    from ranks

    left join third_strongest as scored
        on
            ranks.audience_code = scored.audience_code
            and ranks.customer_id = scored.customer_id

)

select * from lookalike_scores
