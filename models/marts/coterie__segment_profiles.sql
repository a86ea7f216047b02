{% set traits = [
    'days_since_last_order', 'order_count_365d', 'net_amount_365d', 'avg_net_amount',
    'avg_gap_days', 'discount_share', 'refund_share', 'category_count', 'session_count_90d',
    'open_share_90d'
] %}
{% set active_medians = ['days_since_last_order', 'order_count_lookback', 'net_amount_lookback'] %}
{% set predictions = {
    'predicted_value_365d': 'decimal(18, 2)',
    'purchase_probability_30d': 'decimal(18, 9)',
    'churn_probability_90d': 'decimal(18, 9)'
} %}
{% set told_traits = ['category', 'sales_channel', 'order_hour', 'order_weekday'] %}
{% set lookback_days = coterie.rfm_lookback_days() %}
{% set min_cell_size = coterie.min_cell_size() %}
{% set enough_buyers = 'case when buyer_count >= ' ~ min_cell_size ~ ' then ' %}
{% set enough_active = 'case when active_customer_count >= ' ~ min_cell_size ~ ' then ' %}
{% set grouped_by = coterie.demographic_attributes('segment_by') %}
{% set told_attributes = coterie.told_attributes() %}
{% set told_traits = told_traits + told_attributes %}

with

customer_features as (

    select
        customer_id,
        {%- for trait in traits %}
        cast({{ trait }} as decimal(18, 6)) as {{ trait }},
        {%- endfor %}
        order_count_lookback,
        net_amount_lookback

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

customers as (

    select
        {%- for name, type in predictions.items() %}
        cast({{ name }} as {{ type }}) as {{ name }},
        {%- endfor %}
        customer_id

    from {{ ref('coterie__customers') }}

),

segment_names as (

    select * from {{ ref('int_coterie__segment_names') }}

),

members as (

    select
        memberships.segmentation_name,
        memberships.segment_code,
        {%- for name in predictions %}
        customers.{{ name }},
        {%- endfor %}
        customer_features.*

    from {{ ref('int_coterie__segment_memberships') }} as memberships

    inner join customer_features
        on memberships.customer_id = customer_features.customer_id

    left join customers
        on memberships.customer_id = customers.customer_id

),

everyone as (

    -- Sums of decimals are exact, in whatever order.
    select
        segmentation_name,
        {%- for trait in traits %}
        cast(sum({{ trait }}) as double) / nullif(count({{ trait }}), 0) as avg_{{ trait }},
        stddev_pop(cast({{ trait }} as double)) as spread_{{ trait }},
        {%- endfor %}
        count(*) as customer_count,
        count(case when order_count_lookback > 0 then 1 end) as active_customer_count,
        sum(net_amount_lookback) as net_amount

    from members

    group by segmentation_name

),

segments as (

    -- A mean of few is as telling of them as a small segment is.
    select
        segmentation_name,
        segment_code,
        {%- for trait in traits %}
        case
            when count({{ trait }}) >= {{ min_cell_size }}
                then cast(sum({{ trait }}) as double) / count({{ trait }})
        end as avg_{{ trait }},
        count({{ trait }}) as known_{{ trait }},
        {%- endfor %}
        {{ coterie.quantile('cast(days_since_last_order as double)', 0.5) }}
            as median_days_since_last_order,
        {%- for name in active_medians %}
        {{ coterie.quantile(
            'case when order_count_lookback > 0 then cast(' ~ name ~ ' as double) end', 0.5
        ) }} as active_median_{{ name }},
        {%- endfor %}
        {%- for name in predictions %}
        case
            when count({{ name }}) >= {{ min_cell_size }}
                then {{ coterie.ratio('sum(' ~ name ~ ')', 'count(' ~ name ~ ')') }}
        end as avg_{{ name }},
        {%- endfor %}
        count(*) as customer_count,
        count(case when order_count_lookback > 0 then 1 end) as active_customer_count,
        sum(net_amount_lookback) as net_amount

    from members

    group by segmentation_name, segment_code

),

segment_profiles as (

    select
        segments.segmentation_name,
        segments.segment_code,
        coalesce(segment_names.segment_name, segments.segment_code) as segment_name,
        coalesce(segment_names.description, '') as description,
        segments.customer_count,
        segments.active_customer_count,
        segments.known_days_since_last_order as buyer_count,
        segments.customer_count < {{ min_cell_size }} as is_suppressed,
        {{ coterie.ratio('segments.customer_count', 'everyone.customer_count') }} as customer_share,
        segments.net_amount,
        {%- for trait in traits %}
        round(segments.avg_{{ trait }}, 6) as avg_{{ trait }},
        -- What is known of less than half of a segment does not set it apart.
        case
            when 2 * segments.known_{{ trait }} >= segments.customer_count
                then
                    round(
                        (segments.avg_{{ trait }} - everyone.avg_{{ trait }})
                        / nullif(everyone.spread_{{ trait }}, 0),
                        6
                    )
        end as z_{{ trait }},
        {%- endfor %}
        round(segments.median_days_since_last_order, 6) as median_days_since_last_order,
        {%- for name in active_medians %}
        round(segments.active_median_{{ name }}, 6) as active_median_{{ name }},
        {%- endfor %}
        {%- for name in predictions %}
        segments.avg_{{ name }},
        {%- endfor %}
        {{ coterie.ratio('segments.net_amount', 'everyone.net_amount') }} as revenue_share,
        -- What an active customer of the segment spent, over what active customers spend.
        {{ coterie.ratio(
            'segments.net_amount * everyone.active_customer_count',
            'everyone.net_amount * segments.active_customer_count'
        ) }} as spend_index

    from segments

    inner join everyone
        on segments.segmentation_name = everyone.segmentation_name

    left join segment_names
        on
            segments.segmentation_name = segment_names.segmentation_name
            and segments.segment_code = segment_names.segment_code

),

standings as (

    -- Slipping: half of them have waited longer than their usual gap.
    select
        *,
        case
            when segmentation_name = 'interest' and segment_code = 'none' then 'no_interest'
            when segmentation_name in ('interest', 'demographic') then segmentation_name
            when segmentation_name = 'rfm' then segment_code
            when segment_code = 'unassigned' then null
            when median_days_since_last_order is null then 'prospect'
            when active_customer_count = 0 then 'lapsed'
            when active_median_order_count_lookback < 2
                then
                    case
                        when median_days_since_last_order <= {{ lookback_days / 4 }}
                            then 'recent_one_time'
                        else 'late_one_time'
                    end
            when coalesce(median_days_since_last_order > avg_avg_gap_days, false)
                then case when spend_index >= 1.25 then 'high_value_slipping' else 'slipping' end
            when spend_index >= 1.25 then 'high_value_active'
            else 'active'
        end as standing

    from segment_profiles

),

segment_words as (

    select * from {{ ref('coterie__segment_words') }}

),

segment_actions as (

    select * from {{ ref('coterie__segment_actions') }}

),

z_scores as (

    {% for trait in traits %}
    {{ 'union all' if not loop.first }}
    select
        segmentation_name,
        segment_code,
        active_customer_count,
        active_median_order_count_lookback,
        '{{ trait }}' as feature,
        z_{{ trait }} as z_score

    from segment_profiles
    {% endfor %}

),

worded_z_scores as (

    -- One of a family, because what they order and what they spend says much the same. Of who has
    -- not ordered in the look-back, the orders say what the first sentences say already; and where
    -- most ordered once, the time between orders is of the few others.
    select
        z_scores.segmentation_name,
        z_scores.segment_code,
        z_scores.feature,
        abs(z_scores.z_score) as distance,
        replace(
            case
                when z_scores.z_score > 0 then segment_words.more_words
                else segment_words.less_words
            end,
            '{far}',
            case when abs(z_scores.z_score) >= 1 then 'far ' else '' end
        ) as words,
        row_number() over (
            partition by
                z_scores.segmentation_name, z_scores.segment_code, segment_words.family
            order by abs(z_scores.z_score) desc, z_scores.feature asc
        ) as place_in_family

    from z_scores

    inner join segment_words
        on z_scores.feature = segment_words.feature

    where
        abs(z_scores.z_score) >= 0.25
        and (z_scores.active_customer_count > 0 or not segment_words.is_of_orders)
        and (
            z_scores.active_median_order_count_lookback >= 2
            or segment_words.family != 'rhythm'
        )

),

ranked_z_scores as (

    select
        *,
        row_number() over (
            partition by segmentation_name, segment_code
            order by distance desc, feature asc
        ) as place

    from worded_z_scores

    where place_in_family = 1

),

differences as (

    select
        segmentation_name,
        segment_code,
        max(case when place = 1 then words end)
        || coalesce(
            case when max(place) >= 3 then ', ' when max(place) = 2 then ' and ' end
            || max(case when place = 2 then words end),
            ''
        )
        || coalesce(' and ' || max(case when place = 3 then words end), '') as words

    from ranked_z_scores

    group by segmentation_name, segment_code

),

known_traits as (

    select
        segmentation_name,
        segment_code,
        trait_name,
        trait_value,
        segment_share,
        lift,
        -- Who buys much buys of everything: favoured is what stands out among it.
        lift * sum(share_of_all) over (partition by segmentation_name, segment_code, trait_name)
        / sum(segment_share) over (partition by segmentation_name, segment_code, trait_name)
            as relative_lift,
        row_number() over (
            partition by segmentation_name, segment_code, trait_name
            order by segment_share desc, trait_value asc
        ) as place,
        row_number() over (
            partition by segmentation_name, segment_code, trait_name
            order by case when segment_share >= 0.1 then lift end desc nulls last, trait_value asc
        ) as lift_place

    from {{ ref('coterie__segment_traits') }}

    where
        not is_suppressed
        and trait_value != 'unknown'

),

segment_traits as (

    select
        segmentation_name,
        segment_code,
        {%- for name in told_traits %}
        max(case when trait_name = '{{ name }}' and place = 1 then trait_value end)
            as top_{{ name }},
        max(case when trait_name = '{{ name }}' and place = 1 then segment_share end)
            as top_{{ name }}_share,
        {%- endfor %}
        max(case when trait_name = 'category' and place = 1 then lift end) as category_lift,
        max(
            case
                when
                    trait_name = 'category'
                    and place > 1
                    and lift_place = 1
                    and lift >= 1.15
                    and relative_lift >= 1.15
                    then trait_value
            end
        ) as favoured_category,
        max(case when trait_name = 'category' and lift_place = 1 then segment_share end)
            as favoured_category_share,
        max(case when trait_name = 'category' and lift_place = 1 then lift end)
            as favoured_category_lift

    from known_traits

    group by segmentation_name, segment_code

),

joined as (

    select
        standings.*,
        coalesce(own_actions.action_code, cluster_actions.action_code) as suggested_action_code,
        coalesce(own_actions.suggested_action, cluster_actions.suggested_action)
            as suggested_action,
        differences.words as difference_words,
        {%- for name in told_traits %}
        segment_traits.top_{{ name }},
        segment_traits.top_{{ name }}_share,
        {%- endfor %}
        segment_traits.category_lift,
        segment_traits.favoured_category,
        segment_traits.favoured_category_share,
        segment_traits.favoured_category_lift

    from standings

    left join segment_actions as own_actions
        on
            standings.segmentation_name = own_actions.segmentation_name
            and standings.standing = own_actions.standing

    left join segment_actions as cluster_actions
        on
            standings.standing = cluster_actions.standing
            and cluster_actions.segmentation_name = 'cluster'

    left join differences
        on
            standings.segmentation_name = differences.segmentation_name
            and standings.segment_code = differences.segment_code

    left join segment_traits
        on
            standings.segmentation_name = segment_traits.segmentation_name
            and standings.segment_code = segment_traits.segment_code

),

sentences as (

    select
        *,
        {{ coterie.counted('customer_count', 'customer', 'customers') }}
        || ' (' || {{ coterie.percent('customer_share') }} || ')'
        || case
            when net_amount > 0
                then
                    case when customer_count = 1 then ' who brings ' else ' who bring ' end
                    || {{ coterie.percent('revenue_share') }} || ' of the revenue.'
            else ' without revenue in the last {{ lookback_days }} days.'
        end as size_sentence,
        case
            when buyer_count = 0 then 'They have not ordered yet.'
            when buyer_count < {{ min_cell_size }} then 'Hardly any of them has ordered.'
            when active_customer_count = 0
                then
                    'Typically their last order was '
                    || {{ coterie.counted('median_days_since_last_order', 'day', 'days') }}
                    || ' ago.'
            when active_customer_count < {{ min_cell_size }}
                then 'Hardly any of them ordered in the last {{ lookback_days }} days.'
            else
                case
                    when active_customer_count = customer_count then 'Typically they placed '
                    else
                        {{ coterie.percent(
                            '(cast(active_customer_count as double) / customer_count)'
                        ) }}
                        || ' of them ordered in the last {{ lookback_days }} days, typically '
                end
                || {{ coterie.counted('active_median_order_count_lookback', 'order', 'orders') }}
                || ' worth ' || {{ coterie.grouped_number('active_median_net_amount_lookback', 2) }}
                || case
                    when active_customer_count = customer_count
                        then ' in the last {{ lookback_days }} days'
                    else ''
                end
                || ', the last one '
                || {{ coterie.counted('active_median_days_since_last_order', 'day', 'days') }}
                || ' ago.'
        end as rhythm_sentence,
        'Compared with all customers they ' || difference_words || '.' as difference_sentence,
        'What they buy most is ' || replace(top_category, '_', ' ')
        || ' (' || {{ coterie.percent('top_category_share') }} || ' of their buyers'
        || case
            when category_lift >= 1.15
                then
                    ', ' || {{ coterie.grouped_number('category_lift', 1) }}
                    || ' times the share among all buyers'
            else ''
        end
        || ')'
        || coalesce(
            '; they favour ' || replace(favoured_category, '_', ' ')
            || ' (' || {{ coterie.percent('favoured_category_share') }} || ', '
            || {{ coterie.grouped_number('favoured_category_lift', 1) }}
            || ' times the share among all buyers)',
            ''
        )
        || '.' as category_sentence,
        'Their main channel is ' || replace(top_sales_channel, '_', ' ')
        || ' (' || {{ coterie.percent('top_sales_channel_share') }} || ' of orders).'
            as channel_sentence,
        -- Orders spread evenly over the week are a seventh a day.
        case
            when top_order_weekday_share >= 0.18
                then
                    'on ' || {{ coterie.capitalised('top_order_weekday') }} || 's ('
                    || {{ coterie.percent('top_order_weekday_share') }} || ' of orders)'
        end as weekday_words,
        'from ' || top_order_hour || ':00 to '
        || lpad(cast(cast(top_order_hour as integer) + 1 as string), 2, '0') || ':00 ('
        || {{ coterie.percent('top_order_hour_share') }} || ' of orders)' as hour_words,
        {% for name in told_attributes -%}
        {{ '|| ' if not loop.first }}coalesce(
            case
                {% if name in grouped_by -%}
                when segmentation_name = 'demographic' then null
                {% endif -%}
                when top_{{ name }}_share is not null
                    then
                        ', ' || {{ coterie.group_words(name, 'top_' ~ name) }}
                        || ' (' || {{ coterie.percent('top_' ~ name ~ '_share') }} || ')'
            end,
            ''
        )
        {% endfor %} as attribute_words,
        'On average they are expected to spend '
        || {{ coterie.grouped_number('avg_predicted_value_365d', 2) }}
        || ' in the next 365 days.' as value_sentence,
        {{ coterie.percent('avg_purchase_probability_30d') }}
        || ' are expected to order within 30 days' as purchase_words,
        {{ coterie.percent('avg_churn_probability_90d') }}
        || ' of those who ordered in the last 365 days are expected to stay away for 90 days'
            as churn_words,
        'What to do: ' || suggested_action as action_sentence

    from joined

),

paragraphs as (

    select
        *,
        case
            when is_suppressed
                then 'Fewer than {{ min_cell_size }} customers: too few to say more.'
            else
                size_sentence
                || ' ' || rhythm_sentence
                || coalesce(' ' || difference_sentence, '')
                || coalesce(' ' || category_sentence, '')
                || coalesce(' ' || channel_sentence, '')
                || coalesce(
                    ' They order most often '
                    || coalesce(weekday_words || ' and ' || hour_words, weekday_words, hour_words)
                    || '.',
                    ''
                )
                || coalesce(' Most common: ' || substr(nullif(attribute_words, ''), 3) || '.', '')
                || coalesce(' ' || value_sentence, '')
                || coalesce(
                    ' ' || {{ coterie.capitalised('purchase_words') }}
                    || coalesce(', while ' || churn_words, '') || '.',
                    ''
                )
                || coalesce(' ' || action_sentence, '')
        end as profile

    from sentences

)

select
    cast(segmentation_name as string) as segmentation_name,
    cast(segment_code as string) as segment_code,
    cast(segment_name as string) as segment_name,
    cast(description as string) as description,
    {{ coterie.unless_suppressed('customer_count', 'bigint') }} as customer_count,
    {{ coterie.unless_suppressed('customer_share', 'double') }} as customer_share,
    {{ coterie.unless_suppressed('net_amount', 'decimal(18, 2)') }} as net_amount,
    {%- for trait in traits %}
    {{ coterie.unless_suppressed('avg_' ~ trait, 'double') }} as avg_{{ trait }},
    {{ coterie.unless_suppressed('z_' ~ trait, 'double') }} as z_{{ trait }},
    {%- endfor %}
    {{ coterie.unless_suppressed('revenue_share', 'double') }} as revenue_share,
    {{ coterie.unless_suppressed(enough_buyers ~ 'median_days_since_last_order end', 'double') }}
        as median_days_since_last_order,
    {{ coterie.unless_suppressed(
        enough_active ~ 'active_median_order_count_lookback end', 'double'
    ) }}
        as median_order_count,
    {{ coterie.unless_suppressed(
        enough_active ~ 'active_median_net_amount_lookback end', 'decimal(18, 2)'
    ) }}
        as median_net_amount,
    {{ coterie.unless_suppressed('avg_predicted_value_365d', 'decimal(18, 2)') }}
        as avg_predicted_value_365d,
    {{ coterie.unless_suppressed('avg_purchase_probability_30d', 'double') }}
        as avg_purchase_probability_30d,
    {{ coterie.unless_suppressed('avg_churn_probability_90d', 'double') }}
        as avg_churn_probability_90d,
    {{ coterie.unless_suppressed('standing', 'string') }} as standing,
    {{ coterie.unless_suppressed('suggested_action_code', 'string') }} as suggested_action_code,
    {{ coterie.unless_suppressed('suggested_action', 'string') }} as suggested_action,
    cast(profile as string) as profile,
    is_suppressed

from paragraphs
