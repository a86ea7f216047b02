{% set settings = coterie.settings('lookalikes') %}
{% set features = coterie.lookalike_features() %}
{% set closeness_features = coterie.closeness_features() %}

with

ranked_audiences as (

    select
        audience_code,
        method

    from {{ ref('int_coterie__lookalike_versions') }}

    where status = 'ranked'

),

fitted as (

    select fitted.*

    from {{ ref('int_coterie__lookalike_weights') }} as fitted

    inner join ranked_audiences
        on fitted.audience_code = ranked_audiences.audience_code

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

    where part = 'weight'

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

    where customer_features.is_scoring_date

),

{{ coterie.binned_customers(features, bins='lookalike_bins') }},

weights as (

    -- Whole billionths add up exactly, in whatever order. One row for each audience, as few have
    -- to be looked through for each customer.
    select
        fitted.audience_code,
        {{ coterie.ordered_list(
            'cast(round(fitted.weight * 1e9) as bigint)', 'features.place, fitted.bin'
        ) }} as weights

    from fitted

    inner join features
        on fitted.feature = features.feature

    where fitted.part = 'weight'

    group by fitted.audience_code

),

model_scores as (

    select
        weights.audience_code,
        binned.customer_id,
        {{ coterie.summed_weights('weights.weights', 'binned.item_', features | length) }}
            as points

    from binned

    cross join weights

),

centers as (

    -- A center that an audience has not is beyond any distance.
    select
        fitted.audience_code,
        {%- for feature in closeness_features %}
        {%- set place = loop.index %}
        {%- set is_feature = 'fitted.feature = ' ~ coterie.quoted(feature) %}
        {%- for number in range(1, settings.max_centers | int + 1) %}
        coalesce(
            max(
                case
                    when {{ is_feature }} and fitted.center_number = {{ number }} then fitted.center
                end
            ),
            1e9
        ) as center_{{ number }}_{{ place }},
        {%- endfor %}
        max(case when {{ is_feature }} then fitted.spread end) as spread_{{ place }},
        max(case when {{ is_feature }} then fitted.location end) as location_{{ place }},
        max(case when {{ is_feature }} then fitted.scale end) as scale_{{ place }},
        {%- endfor %}
        max(fitted.clip) as clip

    from fitted

    where fitted.part = 'center'

    group by fitted.audience_code

),

closeness_features as (

    select
        {%- for feature in closeness_features %}
        cast({{ coterie.feature_column(feature) }} as double)
            as closeness_feature_{{ loop.index }},
        {%- endfor %}
        customer_features.customer_id

    from {{ ref('int_coterie__customer_features') }} as customer_features

    {{ coterie.lookalike_feature_joins() }}

    where customer_features.is_scoring_date

),

closeness_scores as (

    -- The nearer the more points, in billionths as those of weights.
    select
        ranked_audiences.audience_code,
        closeness_features.customer_id,
        cast(round(-1e9 * {{ coterie.distance_to_members(
            settings.max_centers | int, closeness_features | length
        ) }}) as bigint) as points

    from ranked_audiences

    inner join centers
        on ranked_audiences.audience_code = centers.audience_code

    cross join closeness_features

    where ranked_audiences.method = 'closeness'

),

scores as (

    select
        audience_code,
        customer_id,
        points

    from model_scores

    union all

    select
        audience_code,
        customer_id,
        points

    from closeness_scores

    where points is not null

),

others as (

    select
        scores.audience_code,
        scores.customer_id,
        scores.points,
        customers.sample_position

    from scores

    inner join {{ ref('int_coterie__customers') }} as customers
        on scores.customer_id = customers.customer_id

    left join {{ ref('int_coterie__audience_members') }} as audience_members
        on
            scores.audience_code = audience_members.audience_code
            and scores.customer_id = audience_members.customer_id

    where audience_members.customer_id is null

),

ordered as (

    -- Equal points are put in an order that says nothing about the customer.
    select
        audience_code,
        customer_id,
        percent_rank() over (partition by audience_code order by points) as score,
        row_number() over (
            partition by audience_code
            order by points desc, sample_position asc, customer_id asc
        ) as rank

    from others

),

lookalike_ranks as (

    select
        ordered.audience_code,
        ordered.customer_id,
        ordered.score,
        ordered.rank,
        {{ coterie.distance_to_members(settings.max_centers | int, closeness_features | length) }}
            as distance_to_members

    from ordered

    inner join closeness_features
        on ordered.customer_id = closeness_features.customer_id

    left join centers
        on ordered.audience_code = centers.audience_code

    where ordered.rank <= {{ settings.max_rank | int }}

)

select * from lookalike_ranks
