{#
    CTEs that find the bins of customers: `edges`, one row per bin set with the edges of each feature
    as a list, and `binned`, one row per customer and bin set with item_1, item_2 ... , the place of the
    customer's bin of each feature in a list of the weights of all features, counted from 1 on. Before
    them must stand `versions` with bin_set_id, and `customer_features` with customer_id and
    feature_1, feature_2 ... . `bins` is the relation or CTE of the bins, int_coterie__feature_bins unless
    given.
#}
{% macro binned_customers(features, bins=none) %}
{% set steps = coterie.bin_search_steps() %}
features as (

    {% for feature in features %}
    {{ 'union all' if not loop.first }}
    select
        {{ coterie.quoted(feature) }} as feature,
        {{ loop.index }} as place
    {% endfor %}

),

edges as (

    -- The weights of a version stand in one list, those of a feature after its start.
    select
        {%- for feature in features %}
        {{ coterie.edge_list(feature, 'feature_bins.feature') }} as edges_{{ loop.index }},
        count(case when features.place < {{ loop.index }} then 1 end) as start_{{ loop.index }},
        {{ coterie.known_limit(feature, -1, 'feature_bins.feature') }}
            as lower_limit_{{ loop.index }},
        {{ coterie.known_limit(feature, 1, 'feature_bins.feature') }}
            as upper_limit_{{ loop.index }},
        {%- endfor %}
        feature_bins.bin_set_id

    from {{ bins or ref('int_coterie__feature_bins') }} as feature_bins

    inner join features
        on feature_bins.feature = features.feature

    where feature_bins.bin_set_id in (select versions.bin_set_id from versions)

    group by feature_bins.bin_set_id

),

searched_0 as (

    select
        customer_features.customer_id,
        {%- for feature in features %}
        customer_features.feature_{{ loop.index }},
        edges.edges_{{ loop.index }},
        edges.start_{{ loop.index }},
        0 as below_{{ loop.index }},
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

{% for step in steps %}

searched_{{ loop.index }} as (

    select
        customer_id,
        {%- for feature in features %}
        feature_{{ loop.index }},
        edges_{{ loop.index }},
        start_{{ loop.index }},
        {{ coterie.edges_below(
            'feature_' ~ loop.index, 'edges_' ~ loop.index, 'below_' ~ loop.index, step
        ) }} as below_{{ loop.index }},
        {%- endfor %}
        is_extrapolated,
        bin_set_id

    from searched_{{ loop.index0 }}

),

{% endfor %}

binned as (

    -- Bin 0 is that of missing values; items of lists are counted from 1 on.
    select
        customer_id,
        {%- for feature in features %}
        feature_{{ loop.index }},
        start_{{ loop.index }}
        + case when feature_{{ loop.index }} is null then 1 else 2 + below_{{ loop.index }} end
            as item_{{ loop.index }},
        {%- endfor %}
        is_extrapolated,
        bin_set_id

    from searched_{{ steps | length }}

)
{%- endmacro %}


{# The sum of the items of a list whose places stand in columns of one name with a number, from 1 on. #}
{% macro summed_weights(list_sql, column_prefix, count) %}
    {%- for number in range(1, count + 1) -%}
    {{ " + " if not loop.first }}{{ coterie.list_item(list_sql, column_prefix ~ number) }}
    {%- endfor -%}
{% endmacro %}
