-- Customers are scored by cut points. Here they are ranked against each other: the same cells must
-- come out, and the same scores wherever the ranks of the date decide.
{% set is_ranked = {
    'quantile': 'true', 'frozen': 'not scores.is_scoring_date', 'fixed': 'false'
}[coterie.settings('rfm').mode] %}

with

ranked_customers as (

    select
        as_of_date,
        customer_id,
        is_scoring_date,
        days_since_last_order,
        order_count_lookback,
        net_amount_lookback,
        order_count_lookback > 1 as is_repeater,
        case when is_in_sample then 1 else 0 end as ranked_count

    from {{ ref('coterie', 'int_coterie__customer_features') }}

    where order_count_lookback > 0

),

recency_counts as (

    select
        as_of_date,
        days_since_last_order,
        sum(ranked_count) as equally_recent_count

    from ranked_customers

    group by as_of_date, days_since_last_order

),

recency_ranks as (

    select
        as_of_date,
        days_since_last_order,
        equally_recent_count,
        sum(equally_recent_count) over (partition by as_of_date) as customer_count,
        sum(equally_recent_count) over (
            partition by as_of_date
            order by days_since_last_order desc
        ) as less_or_equally_recent_count

    from recency_counts

),

spending_counts as (

    select
        as_of_date,
        net_amount_lookback,
        sum(ranked_count) as equally_spending_count

    from ranked_customers

    group by as_of_date, net_amount_lookback

),

spending_ranks as (

    select
        as_of_date,
        net_amount_lookback,
        equally_spending_count,
        sum(equally_spending_count) over (
            partition by as_of_date
            order by net_amount_lookback
        ) as lower_or_equally_spending_count

    from spending_counts

),

frequency_counts as (

    select
        as_of_date,
        is_repeater,
        order_count_lookback,
        sum(ranked_count) as equally_frequent_count

    from ranked_customers

    group by as_of_date, is_repeater, order_count_lookback

),

frequency_ranks as (

    select
        as_of_date,
        order_count_lookback,
        equally_frequent_count,
        sum(equally_frequent_count) over (partition by as_of_date, is_repeater) as peer_count,
        sum(equally_frequent_count) over (
            partition by as_of_date, is_repeater
            order by order_count_lookback
        ) as less_or_equally_frequent_count

    from frequency_counts

),

counts as (

    select
        ranked_customers.as_of_date,
        ranked_customers.customer_id,
        ranked_customers.is_scoring_date,
        ranked_customers.is_repeater,
        recency_ranks.customer_count,
        recency_ranks.less_or_equally_recent_count,
        recency_ranks.equally_recent_count,
        spending_ranks.lower_or_equally_spending_count,
        spending_ranks.equally_spending_count,
        frequency_ranks.peer_count,
        frequency_ranks.less_or_equally_frequent_count,
        frequency_ranks.equally_frequent_count

    from ranked_customers

    left join recency_ranks
        on
            ranked_customers.as_of_date = recency_ranks.as_of_date
            and ranked_customers.days_since_last_order = recency_ranks.days_since_last_order

    left join spending_ranks
        on
            ranked_customers.as_of_date = spending_ranks.as_of_date
            and ranked_customers.net_amount_lookback = spending_ranks.net_amount_lookback

    left join frequency_ranks
        on
            ranked_customers.as_of_date = frequency_ranks.as_of_date
            and ranked_customers.order_count_lookback = frequency_ranks.order_count_lookback

),

scores as (

    -- Mid-ranks in whole numbers: equal customers score alike, and one alone scores 3.
    select
        as_of_date,
        customer_id,
        is_scoring_date,
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

customer_rfm as (

    select * from {{ ref('coterie', 'int_coterie__customer_rfm') }}

),

wrong_scores as (

    select
        scores.*,
        customer_rfm.rfm_cell as found_rfm_cell,
        customer_rfm.recency_score as found_recency_score,
        customer_rfm.frequency_score as found_frequency_score,
        customer_rfm.monetary_score as found_monetary_score

    from scores

    inner join customer_rfm
        on
            scores.as_of_date = customer_rfm.as_of_date
            and scores.customer_id = customer_rfm.customer_id

    where
        customer_rfm.rfm_cell
        != 'r' || cast(scores.recency_score as string)
        || 'f' || cast(scores.frequency_score as string)
        or (
            {{ is_ranked }}
            and (
                scores.recency_score is distinct from customer_rfm.recency_score
                or scores.frequency_score is distinct from customer_rfm.frequency_score
                or scores.monetary_score is distinct from customer_rfm.monetary_score
            )
        )

)

select * from wrong_scores
