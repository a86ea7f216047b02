{% set rfm = coterie.settings('rfm') %}

with

written_before as (

    {% if is_incremental() %}
    select * from {{ this }}
    {% else %}
    select
        cast(null as bigint) as cut_points_version,
        cast(null as date) as as_of_date,
        cast(null as string) as rfm_mode,
        cast(null as string) as settings_hash,
        cast(null as string) as score_name,
        cast(null as bigint) as score,
        cast(null as decimal(18, 2)) as boundary_value,
        cast(null as bigint) as customer_count

    where false
    {% endif %}

),

newest as (

    select written_before.*

    from written_before

    where
        written_before.cut_points_version = (
            select max(versions.cut_points_version) from written_before as versions
        )

),

customer_features as (

    select
        as_of_date,
        is_in_sample,
        days_since_last_order,
        order_count_lookback,
        net_amount_lookback

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

quantiles as (

    {{ coterie.rfm_quantiles('customer_features', ['recency', 'frequency', 'monetary']) }}

),

scores as (

    select cast(generated_number + 1 as bigint) as score

    from ({{ dbt.generate_series(4) }}) as numbers

),

cut_points as (

    select
        quantiles.as_of_date,
        quantiles.score_name,
        scores.score,
        cast(
            case
                {%- if rfm.mode == 'fixed' %}
                {%- for score_name, values in rfm.cut_points.items() %}
                {%- for value in values %}
                when
                    quantiles.score_name = '{{ score_name }}'
                    and scores.score = {{ loop.index + 1 }}
                    then {{ value }}
                {%- endfor %}
                {%- endfor %}
                {%- else %}
                {%- for score in [2, 3, 4, 5] %}
                when scores.score = {{ score }} then quantiles.boundary_{{ score }}
                {%- endfor %}
                {%- endif %}
            end as decimal(18, 2)
        ) as boundary_value,
        quantiles.customer_count

    from quantiles

    cross join scores

),

comparison as (

    select
        coalesce(max(newest.cut_points_version), 0) as newest_version,
        max(newest.as_of_date) as newest_as_of_date,
        max(newest.rfm_mode) as newest_rfm_mode,
        max(newest.settings_hash) as newest_settings_hash,
        max(newest.customer_count) as newest_customer_count,
        count(
            case when cut_points.boundary_value is distinct from newest.boundary_value then 1 end
        ) > 0 as has_moved

    from cut_points

    left join newest
        on
            cut_points.score_name = newest.score_name
            and cut_points.score = newest.score

),

new_cut_points as (

    select
        comparison.newest_version + 1 as cut_points_version,
        cut_points.as_of_date,
        '{{ rfm.mode }}' as rfm_mode,
        {{ coterie.rfm_settings_hash() }} as settings_hash,
        cut_points.score_name,
        cut_points.score,
        cut_points.boundary_value,
        cut_points.customer_count

    from cut_points

    cross join comparison

    where
        comparison.newest_as_of_date is null
        -- None after those of a later date, or the past would be told by what came after it.
        or (
            cut_points.as_of_date >= comparison.newest_as_of_date
            and (
                comparison.newest_rfm_mode != '{{ rfm.mode }}'
                or comparison.newest_settings_hash != {{ coterie.rfm_settings_hash() }}
                {%- if rfm.mode == 'frozen' %}
                or cut_points.as_of_date >= {{ coterie.days_after(
                    'comparison.newest_as_of_date', rfm.refreeze_days | int
                ) }}
                or (
                    comparison.has_moved
                    and comparison.newest_customer_count < {{ rfm.min_customer_count | int }}
                )
                {%- else %}
                or comparison.has_moved
                {%- endif %}
            )
        )

)

select * from new_cut_points
