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
            when not abs(order_amount) < {{ coterie.amount_limit() }} then 'invalid_order_amount'
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
        sum(order_count) over (
            order by ordered_on
            rows between unbounded preceding and 1 preceding
        ) as earlier_order_count,
        sum(order_count) over () as all_order_count

    from order_days

),

sound_days as (

    -- A few days far from all others are typing errors; without this they would set the date,
    -- or pretend a long history.
    select
        min(case when remaining_order_count < 0.001 * all_order_count then ordered_on end)
            as future_starts_on,
        max(case when earlier_order_count < 0.001 * all_order_count then ordered_on end)
            as past_ends_on

    from day_gaps

    where {{ coterie.days_between('previous_ordered_on', 'ordered_on') }} > 30

),

dated as (

    select
        {%- for column in coterie.input_columns('orders') %}
        ruled.{{ column }},
        {%- endfor %}
        ruled.broken_rule,
        coalesce(cast(ruled.ordered_at as date) >= sound_days.future_starts_on, false)
            as is_far_ahead,
        coalesce(cast(ruled.ordered_at as date) < sound_days.past_ends_on, false)
            as is_far_behind

    from ruled

    cross join sound_days

),

dated_rules as (

    -- Orders far ahead cannot move a given date: there they stay, but are no sign of full data.
    select
        {%- for column in coterie.input_columns('orders') %}
        {{ column }},
        {%- endfor %}
        is_far_ahead,
        is_far_behind,
        {% if is_date_given %}
        broken_rule
        {% else %}
        coalesce(broken_rule, case when is_far_ahead then 'future_dated' end) as broken_rule
        {% endif %}

    from dated

),

numbered as (

    -- Broken rows are numbered apart: they must not hide a good row of the same key.
    select
        {%- for column in coterie.input_columns('orders') %}
        {{ column }},
        {%- endfor %}
        is_far_ahead,
        is_far_behind,
        broken_rule,
        row_number() over (
            partition by order_id, broken_rule
            order by {{ coterie.newest_first('orders', 'ordered_at') }}
        ) as row_number_of_key

    from dated_rules

),

checked as (

    select
        {%- for column in coterie.input_columns('orders') %}
        {{ column }},
        {%- endfor %}
        is_far_ahead,
        is_far_behind,
        coalesce(broken_rule, case when row_number_of_key > 1 then 'duplicate' end)
            as rejection_rule

    from numbered

)

select * from checked
