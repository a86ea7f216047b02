{% set test = 'model_name, model_version, origin, scorer_name, group_name, group_value' %}

with

backtest_rows as (

    select * from {{ ref('int_coterie__backtest_rows') }}

),

ranked as (

    select
        {{ test }},
        customer_id,
        outcome,
        probability,
        count(*) over (partition by {{ test }}) as row_count,
        sum(outcome) over (partition by {{ test }}) as positive_count,
        rank() over (partition by {{ test }} order by probability) as low_rank,
        count(*) over (partition by {{ test }}, probability) as tie_count,
        rank() over (partition by {{ test }}, outcome order by probability) as class_low_rank,
        count(*) over (partition by {{ test }}, outcome, probability) as class_tie_count,
        rank() over (partition by {{ test }} order by probability desc) as high_rank,
        sum(outcome) over (
            partition by {{ test }}
            order by probability desc
            range between unbounded preceding and current row
        ) as positive_count_from_top

    from backtest_rows

),

backtest_ranks as (

    -- Placement: the share of the other class that a row beats, ties counting half.
    select
        {{ test }},
        customer_id,
        outcome,
        probability,
        row_count,
        positive_count,
        high_rank,
        cast(positive_count_from_top as double) / (high_rank + tie_count - 1)
            as precision_from_top,
        (
            (low_rank + (tie_count - 1) / 2.0) - (class_low_rank + (class_tie_count - 1) / 2.0)
        ) / nullif(
            case when outcome = 1 then row_count - positive_count else positive_count end, 0
        ) as placement,
        -- Equal probabilities share a bin, so that no tie is split.
        cast(floor(10.0 * (low_rank - 1) / row_count) as bigint) as calibration_bin

    from ranked

)

select * from backtest_ranks
