{#
    Scores of RFM as step functions. A score is a matter of the customer's value alone, once the
    values of all are known: four boundaries, from that of score 2 to that of score 5, say it all. So
    customers are compared with a few numbers in place of each other, and boundaries can be kept.
#}

{#
    What each score goes by: a column of int_coterie__customer_features, of which customers, and the
    least by which two values differ. Fewer days are better; of the others, more.
#}
{% macro rfm_measures() %}
    {{ return({
        "recency": {
            "value": "days_since_last_order", "is_ranked": "order_count_lookback > 0", "step": "1",
            "is_less_better": true
        },
        "frequency": {
            "value": "order_count_lookback", "is_ranked": "order_count_lookback > 0", "step": "1",
            "is_count": true
        },
        "monetary": {
            "value": "net_amount_lookback", "is_ranked": "order_count_lookback > 0", "step": "0.01"
        },
        "lifetime_frequency": {
            "value": "order_count", "is_ranked": "order_count > 0", "step": "1", "is_count": true
        },
        "lifetime_monetary": {
            "value": "net_amount", "is_ranked": "order_count > 0", "step": "0.01"
        }
    }) }}
{% endmacro %}


{#
    The boundaries of the scores by rank among the customers of each date, as a query: as_of_date,
    score_name, customer_count (who was ranked), boundary_2 to boundary_5; NULL where no value
    reaches the score. `customers` names a CTE with the columns of int_coterie__customer_features.

    A score that is first reached by a value that nobody has is reached one step beyond the best
    value below it, as the formula of the ranks has it for customers outside the sample.
#}
{% macro rfm_quantiles(customers, score_names) %}
    {%- set counts = [] -%}
    select
        as_of_date,
        score_name,
        max(ranked_count) as customer_count,
        {%- for score in [2, 3, 4, 5] %}
        sign * {% if score == 2 %}case when is_count then 2 else {% endif %}least(
            min(case when score_at >= {{ score }} then worth end),
            min(case when score_beyond >= {{ score }} then worth + step end)
        ){{ ' end' if score == 2 }} as boundary_{{ score }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            *,
            case
                when not is_count
                    then least(5, 1 + {{ coterie.whole_quotient(
                        '5 * (2 * through_count - equal_count)', 'greatest(2 * ranked_count, 1)'
                    ) }})
                when worth <= 1 then 1
                else least(5, 2 + {{ coterie.whole_quotient(
                    '4 * (through_count - equal_count)', 'greatest(ranked_count, 1)'
                ) }})
            end as score_at,
            case
                when not is_count
                    then least(5, 1 + {{ coterie.whole_quotient(
                        '5 * through_count', 'greatest(ranked_count, 1)'
                    ) }})
                else least(5, 2 + {{ coterie.whole_quotient(
                    '4 * through_count', 'greatest(ranked_count, 1)'
                ) }})
            end as score_beyond
        from (
            select
                as_of_date,
                score_name,
                is_count,
                sign,
                step,
                worth,
                equal_count,
                cast(sum(equal_count) over (partition by as_of_date, score_name) as bigint)
                    as ranked_count,
                cast(sum(equal_count) over (
                    partition by as_of_date, score_name
                    order by worth
                    rows between unbounded preceding and current row
                ) as bigint) as through_count
            from (
                {%- for name in score_names %}
                {%- set measure = coterie.rfm_measures()[name] %}
                {%- set sign = -1 if measure.is_less_better else 1 %}
                {{ 'union all' if not loop.first }}
                select
                    as_of_date,
                    '{{ name }}' as score_name,
                    {{ 'true' if measure.is_count else 'false' }} as is_count,
                    {{ sign }} as sign,
                    cast({{ measure.step }} as decimal(18, 2)) as step,
                    cast({{ sign }} * {{ measure.value }} as decimal(18, 2)) as worth,
                    cast(sum(
                        case
                            when
                                is_in_sample{{ ' and ' ~ measure.value ~ ' > 1' if measure.is_count }}
                                then 1
                            else 0
                        end
                    ) as bigint) as equal_count
                from {{ customers }}
                where {{ measure.is_ranked }}
                group by as_of_date, {{ measure.value }}
                {%- endfor %}
            ) as value_counts
        ) as value_ranks
    ) as value_scores
    group by as_of_date, score_name, is_count, sign
{%- endmacro %}


{# Of rows by score_name with boundary_2 to boundary_5, one row: recency_2, recency_3 ... #}
{% macro rfm_boundary_columns(score_names) %}
    {%- for name in score_names -%}
    {%- set is_last_name = loop.last -%}
    {%- for score in [2, 3, 4, 5] %}
        max(case when score_name = '{{ name }}' then boundary_{{ score }} end)
            as {{ name }}_{{ score }}{{ ',' if not (is_last_name and loop.last) }}
    {%- endfor -%}
    {%- endfor -%}
{% endmacro %}


{# The score of a customer by a row of such boundaries. #}
{% macro rfm_score(name, customers, boundaries) %}
    {%- set measure = coterie.rfm_measures()[name] -%}
    {%- set value = customers ~ '.' ~ measure.value -%}
    {%- set sign = '<=' if measure.is_less_better else '>=' -%}
    1
    {%- for score in [2, 3, 4, 5] %}
            + case when {{ value }} {{ sign }} {{ boundaries }}.{{ name }}_{{ score }} then 1 else 0 end
    {%- endfor -%}
{% endmacro %}


{#
    What to read the rules of the RFM segments from. Only int_coterie__rfm_segments asks; everything
    else reads that.
#}
{% macro rfm_segments_relation() %}
    {% set given = var("coterie__rfm_segments_relation") %}
    {% if not given %}
        {{ return(ref("coterie", "coterie__rfm_segments")) }}
    {% endif %}
    {% if execute and coterie.input_exists("rfm_segments", given) %}
        {% set found = adapter.get_column_schema_from_query("select * from " ~ given ~ " limit 0") | map(attribute="name") | list %}
        {% set wanted = [
            "rfm_segment_code", "rfm_segment_name", "recency_score_from", "recency_score_to",
            "frequency_score_from", "frequency_score_to", "description"
        ] %}
        {% for name in wanted if name not in (found | map("lower") | list) %}
            {{ coterie.refuse(
                "The relation " ~ given ~ " that the var coterie__rfm_segments_relation names has no column '" ~ name
                ~ "'. Its columns are: " ~ (found | join(", ")) ~ ". Rules of RFM segments need: "
                ~ (wanted | join(", ")) ~ "; the seed coterie__rfm_segments is an example."
            ) }}
        {% endfor %}
    {% endif %}
    {{ return(given) }}
{% endmacro %}
