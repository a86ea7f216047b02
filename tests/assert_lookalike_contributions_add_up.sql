-- The log-odds of every ranked customer, by joining each value with its bin, are those that were
-- ranked by: base plus contributions.
{{ config(enabled=coterie.is_topic_enabled('lookalikes')) }}
{% set features = coterie.lookalike_features() %}

with

scores as (

    select * from {{ ref('coterie', 'int_coterie__lookalike_scores') }}
    where log_odds is not null

),

fitted as (

    select
        audience_code,
        intercept,
        feature,
        bin,
        upper_edge,
        lag(upper_edge) over (
            partition by audience_code, feature
            order by bin
        ) as lower_edge,
        weight

    from {{ ref('coterie', 'int_coterie__lookalike_weights') }}

    where part = 'weight'

),

ranked_features as {{ coterie.materialized() }} (

    select
        {%- for feature in features %}
        cast({{ coterie.lookalike_feature_column(feature) }} as double)
            as feature_{{ loop.index }},
        {%- endfor %}
        scores.audience_code,
        scores.customer_id

    from scores

    inner join {{ ref('coterie', 'int_coterie__customer_features') }} as customer_features
        on scores.customer_id = customer_features.customer_id

    {{ coterie.lookalike_feature_joins() }}

    where customer_features.is_scoring_date

),

feature_values as (

    {% for feature in features %}
    {{ 'union all' if not loop.first }}
    select
        audience_code,
        customer_id,
        {{ coterie.quoted(feature) }} as feature,
        feature_{{ loop.index }} as feature_value

    from ranked_features
    {% endfor %}

),

sums as (

    select
        feature_values.audience_code,
        feature_values.customer_id,
        max(fitted.intercept) as intercept,
        sum(fitted.weight) as total_weight,
        count(*) as feature_count

    from feature_values

    inner join fitted
        on
            feature_values.audience_code = fitted.audience_code
            and feature_values.feature = fitted.feature
            and (
                (feature_values.feature_value is null and fitted.bin = 0)
                or (
                    fitted.bin > 0
                    and feature_values.feature_value <= fitted.upper_edge
                    and (fitted.bin = 1 or feature_values.feature_value > fitted.lower_edge)
                )
            )

    group by
        feature_values.audience_code,
        feature_values.customer_id

)

select
    scores.audience_code,
    scores.customer_id

from scores

left join sums
    on
        scores.audience_code = sums.audience_code
        and scores.customer_id = sums.customer_id

where
    not coalesce(abs(scores.log_odds - sums.intercept - sums.total_weight) <= 0.000001, false)
    or not coalesce(
        abs(scores.log_odds - scores.base_log_odds - scores.total_contribution) <= 0.000001, false
    )
    or sums.feature_count != {{ features | length }}
