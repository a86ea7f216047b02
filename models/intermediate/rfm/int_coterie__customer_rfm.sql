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
        net_amount_lookback

    from {{ ref('int_coterie__customer_features') }}

),

ranked_customers as (

    -- Whoever was added to the sample of a past date is ranked among it, but moves nobody.
    select
        *,
        case when is_in_sample then 1 else 0 end as ranked_count,
        order_count_lookback > 1 as is_repeater

    from customer_features

    where order_count_lookback > 0

),

counts as (

    select
        as_of_date,
        customer_id,
        is_repeater,
        sum(ranked_count) over (partition by as_of_date) as customer_count,
        sum(ranked_count) over (
            partition by as_of_date
            order by days_since_last_order desc
            range between unbounded preceding and current row
        ) as less_or_equally_recent_count,
        sum(ranked_count) over (partition by as_of_date, days_since_last_order)
            as equally_recent_count,
        sum(ranked_count) over (
            partition by as_of_date
            order by net_amount_lookback
            range between unbounded preceding and current row
        ) as lower_or_equally_spending_count,
        sum(ranked_count) over (partition by as_of_date, net_amount_lookback)
            as equally_spending_count,
        sum(ranked_count) over (partition by as_of_date, is_repeater) as peer_count,
        sum(ranked_count) over (
            partition by as_of_date, is_repeater
            order by order_count_lookback
            range between unbounded preceding and current row
        ) as less_or_equally_frequent_count,
        sum(ranked_count) over (partition by as_of_date, order_count_lookback)
            as equally_frequent_count

    from ranked_customers

),

scores as (

    -- Mid-ranks in whole numbers: equal customers score alike, and one alone scores 3.
    select
        as_of_date,
        customer_id,
        least(5, 1 + {{ coterie.whole_quotient(
            '5 * (2 * less_or_equally_recent_count - equally_recent_count)',
            'greatest(2 * customer_count, 1)'
        ) }}) as recency_score,
        case
            when is_repeater
                then least(5, 2 + {{ coterie.whole_quotient(
                    '4 * (less_or_equally_frequent_count - equally_frequent_count)',
                    'greatest(peer_count, 1)'
                ) }})
            else 1
        end as frequency_score,
        least(5, 1 + {{ coterie.whole_quotient(
            '5 * (2 * lower_or_equally_spending_count - equally_spending_count)',
            'greatest(2 * customer_count, 1)'
        ) }}) as monetary_score

    from counts

),

segments as (

    select * from {{ ref('coterie__rfm_segments') }}

),

customer_rfm as (

    select
        customer_features.as_of_date,
        customer_features.customer_id,
        customer_features.is_scoring_date,
        cast(scores.recency_score as bigint) as recency_score,
        cast(scores.frequency_score as bigint) as frequency_score,
        cast(scores.monetary_score as bigint) as monetary_score,
        case
            when customer_features.order_count = 0 then 'prospect'
            when scores.customer_id is null then 'lapsed'
            else segments.rfm_segment_code
        end as rfm_segment_code,
        case
            when customer_features.order_count = 0 then 'prospect'
            when scores.customer_id is null then 'lapsed'
            else
                'r' || cast(scores.recency_score as string)
                || 'f' || cast(scores.frequency_score as string)
        end as rfm_cell

    from customer_features

    left join scores
        on
            customer_features.as_of_date = scores.as_of_date
            and customer_features.customer_id = scores.customer_id

    left join segments
        on
            scores.recency_score between segments.recency_score_from
            and segments.recency_score_to
            and scores.frequency_score between segments.frequency_score_from
            and segments.frequency_score_to

)

select * from customer_rfm
