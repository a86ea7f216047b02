{% set rfm = coterie.settings('rfm') %}
{% set score_names = ['recency', 'frequency', 'monetary'] %}
{% set lifetime_names = ['lifetime_frequency', 'lifetime_monetary'] %}
{% set lookback_words = 'a year' if coterie.rfm_lookback_days() == 365
    else coterie.rfm_lookback_days() ~ ' days' %}

with

customer_features as (

    select
        as_of_date,
        customer_id,
        is_scoring_date,
        is_in_sample,
        days_since_last_order,
        order_count,
        order_count_lookback,
        net_amount,
        net_amount_lookback

    from {{ ref('int_coterie__customer_features') }}

),

scoring_date as (

    select max(as_of_date) as as_of_date

    from customer_features

    where is_scoring_date

),

quantiles as (

    {{ coterie.rfm_quantiles('customer_features', score_names + lifetime_names) }}

),

date_quantiles as (

    select
        as_of_date,
        {{ coterie.rfm_boundary_columns(score_names + lifetime_names) }}

    from quantiles

    group by as_of_date

),

kept_boundaries as (

    select
        {%- for score in [2, 3, 4, 5] %}
        max(case when score = {{ score }} then boundary_value end) as boundary_{{ score }},
        {%- endfor %}
        cut_points_version,
        as_of_date,
        rfm_mode,
        settings_hash,
        score_name

    from {{ ref('int_coterie__rfm_cut_points') }}

    where as_of_date <= (select scoring_date.as_of_date from scoring_date)

    group by cut_points_version, as_of_date, rfm_mode, settings_hash, score_name

),

kept_cut_points as (

    select
        cut_points_version,
        as_of_date,
        rfm_mode,
        settings_hash,
        {{ coterie.rfm_boundary_columns(score_names) }}

    from kept_boundaries

    group by cut_points_version, as_of_date, rfm_mode, settings_hash

),

held_cut_points as (

    -- Those in use at the build before: the newest of an earlier date, if they mean the same.
    select
        kept_cut_points.*,
        scoring_date.as_of_date as scoring_date

    from kept_cut_points

    cross join scoring_date

    where
        kept_cut_points.settings_hash = {{ coterie.rfm_settings_hash() }}
        and kept_cut_points.cut_points_version = (
            select max(earlier.cut_points_version) from kept_cut_points as earlier
            where earlier.as_of_date < (select scoring_date.as_of_date from scoring_date)
        )

),

{% if rfm.mode == 'frozen' %}

frozen_cut_points as (

    select
        kept_cut_points.*,
        scoring_date.as_of_date as scoring_date

    from kept_cut_points

    cross join scoring_date

    where
        kept_cut_points.cut_points_version = (
            select max(frozen.cut_points_version) from kept_cut_points as frozen
            where
                frozen.rfm_mode = 'frozen'
                and frozen.settings_hash = {{ coterie.rfm_settings_hash() }}
        )

),

{% endif %}

cut_points as (

    {% if rfm.mode == 'fixed' %}
    select
        as_of_date,
        {%- for name, values in rfm.cut_points.items() %}
        {%- set is_last_name = loop.last %}
        {%- for value in values %}
        cast({{ value }} as decimal(18, 2)) as {{ name }}_{{ loop.index + 1 }}
        {{- ',' if not (is_last_name and loop.last) }}
        {%- endfor %}
        {%- endfor %}

    from date_quantiles
    {% elif rfm.mode == 'frozen' %}
    -- Past dates are ranked as of themselves: what was frozen later was not known then.
    select
        date_quantiles.as_of_date,
        {%- for name in score_names %}
        {%- set is_last_name = loop.last %}
        {%- for score in [2, 3, 4, 5] %}
        case
            when frozen_cut_points.cut_points_version is null
                then date_quantiles.{{ name }}_{{ score }}
            else frozen_cut_points.{{ name }}_{{ score }}
        end as {{ name }}_{{ score }}{{ ',' if not (is_last_name and loop.last) }}
        {%- endfor %}
        {%- endfor %}

    from date_quantiles

    left join frozen_cut_points
        on date_quantiles.as_of_date = frozen_cut_points.scoring_date
    {% else %}
    select * from date_quantiles
    {% endif %}

),

scored_customers as (

    select
        {%- for name in ['recency', 'frequency'] %}
        case
            when customer_features.order_count_lookback > 0
                then {{ coterie.rfm_score(name, 'customer_features', 'date_quantiles') }}
        end as quantile_{{ name }}_score,
        case
            when customer_features.order_count_lookback > 0
                then {{ coterie.rfm_score(name, 'customer_features', 'held_cut_points') }}
        end as held_{{ name }}_score,
        {%- endfor %}
        {%- for name in score_names %}
        case
            when customer_features.order_count_lookback > 0
                then {{ coterie.rfm_score(name, 'customer_features', 'cut_points') }}
        end as {{ name }}_score,
        {%- endfor %}
        {%- for name in lifetime_names %}
        case
            when customer_features.order_count > 0
                then {{ coterie.rfm_score(name, 'customer_features', 'date_quantiles') }}
        end as {{ name }}_score,
        {%- endfor %}
        held_cut_points.cut_points_version is not null as has_held_cut_points,
        customer_features.*

    from customer_features

    left join date_quantiles
        on customer_features.as_of_date = date_quantiles.as_of_date

    left join cut_points
        on customer_features.as_of_date = cut_points.as_of_date

    left join held_cut_points
        on customer_features.as_of_date = held_cut_points.scoring_date

),

scores as (

    select cast(generated_number as bigint) as score

    from ({{ dbt.generate_series(5) }}) as numbers

),

cells as (

    select
        recency.score as recency_score,
        frequency.score as frequency_score,
        segments.rfm_segment_code

    from scores as recency

    cross join scores as frequency

    inner join {{ ref('int_coterie__rfm_segments') }} as segments
        on
            recency.score between segments.recency_score_from and segments.recency_score_to
            and frequency.score between segments.frequency_score_from
            and segments.frequency_score_to

),

customer_rfm as (

    select
        scored_customers.as_of_date,
        scored_customers.customer_id,
        scored_customers.is_scoring_date,
        cast(scored_customers.recency_score as bigint) as recency_score,
        cast(scored_customers.frequency_score as bigint) as frequency_score,
        cast(scored_customers.monetary_score as bigint) as monetary_score,
        cast(scored_customers.lifetime_frequency_score as bigint) as lifetime_frequency_score,
        cast(scored_customers.lifetime_monetary_score as bigint) as lifetime_monetary_score,
        case
            when scored_customers.monetary_score = 5 then 'high'
            when scored_customers.monetary_score >= 3 then 'medium'
            when scored_customers.monetary_score >= 1 then 'low'
        end as monetary_tier,
        case
            when scored_customers.order_count = 0 then 'prospect'
            when scored_customers.order_count_lookback = 0 then 'lapsed'
            else cells.rfm_segment_code
        end as rfm_segment_code,
        case
            when not scored_customers.has_held_cut_points then null
            when scored_customers.order_count = 0 then 'prospect'
            when scored_customers.order_count_lookback = 0 then 'lapsed'
            else held_cells.rfm_segment_code
        end as held_rfm_segment_code,
        case
            when scored_customers.order_count = 0 then 'prospect'
            when scored_customers.order_count_lookback = 0 then 'lapsed'
            else
                'r' || cast(scored_customers.quantile_recency_score as string)
                || 'f' || cast(scored_customers.quantile_frequency_score as string)
        end as rfm_cell,
        case
            when scored_customers.order_count = 0 then 'no order yet'
            when scored_customers.order_count_lookback = 0
                then
                    'no order in {{ lookback_words }}, the last '
                    || {{ coterie.counted(
                        'scored_customers.days_since_last_order', 'day', 'days'
                    ) }}
                    || ' ago; '
                    || {{ coterie.counted('scored_customers.order_count', 'order', 'orders') }}
                    || ' and '
                    || cast(cast(scored_customers.net_amount as decimal(18, 2)) as string)
                    || ' before'
            else
                'bought '
                || {{ coterie.counted('scored_customers.days_since_last_order', 'day', 'days') }}
                || ' ago, '
                || {{ coterie.counted('scored_customers.order_count_lookback', 'order', 'orders') }}
                || ' and '
                || cast(cast(scored_customers.net_amount_lookback as decimal(18, 2)) as string)
                || ' in {{ lookback_words }}'
        end as rfm_reason

    from scored_customers

    left join cells
        on
            scored_customers.recency_score = cells.recency_score
            and scored_customers.frequency_score = cells.frequency_score

    left join cells as held_cells
        on
            scored_customers.held_recency_score = held_cells.recency_score
            and scored_customers.held_frequency_score = held_cells.frequency_score

)

select * from customer_rfm
