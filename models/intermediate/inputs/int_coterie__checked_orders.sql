{% set is_date_given = coterie.given_as_of_date() is not none %}

with

orders as (

    select * from {{ ref('stg_coterie__orders') }}

),

ruled as (

    select
        {%- for column in coterie.input_columns('orders') %}
        {{ column }},
        {%- endfor %}
        case
            when order_id is null then 'missing_order_id'
            when ordered_at is null then 'missing_ordered_at'
            when {{ coterie.is_impossible_time('ordered_at') }} then 'impossible_ordered_at'
            when order_amount is null then 'missing_order_amount'
            when not abs(order_amount) < 1e15 then 'invalid_order_amount'
        end as broken_rule

    from orders

),

order_days as (

    select
        cast(ordered_at as date) as ordered_on,
        count(*) as order_count

    from ruled

    where broken_rule is null

    group by cast(ordered_at as date)

),

day_gaps as (

    select
        ordered_on,
        lag(ordered_on) over (order by ordered_on) as previous_ordered_on,
        sum(order_count) over (
            order by ordered_on desc
            rows between unbounded preceding and current row
        ) as remaining_order_count,
        sum(order_count) over () as all_order_count

    from order_days

),

future as (

    -- A few days far behind all others are typing errors; without this they would set the date.
    select min(ordered_on) as starts_on

    from day_gaps

    where
        {{ coterie.days_between('previous_ordered_on', 'ordered_on') }} > 30
        and remaining_order_count < 0.001 * all_order_count
        and {{ 'false' if is_date_given else 'true' }}

),

dated as (

    select
        {%- for column in coterie.input_columns('orders') %}
        ruled.{{ column }},
        {%- endfor %}
        coalesce(
            ruled.broken_rule,
            case when cast(ruled.ordered_at as date) >= future.starts_on then 'future_dated' end
        ) as broken_rule

    from ruled

    cross join future

),

numbered as (

    -- Broken rows are numbered apart: they must not hide a good row of the same key.
    select
        {%- for column in coterie.input_columns('orders') %}
        {{ column }},
        {%- endfor %}
        broken_rule,
        row_number() over (
            partition by order_id, broken_rule
            order by {{ coterie.newest_first('orders', 'ordered_at') }}
        ) as row_number_of_key

    from dated

),

checked as (

    select
        {%- for column in coterie.input_columns('orders') %}
        {{ column }},
        {%- endfor %}
        coalesce(broken_rule, case when row_number_of_key > 1 then 'duplicate' end)
            as rejection_rule

    from numbered

)

select * from checked
