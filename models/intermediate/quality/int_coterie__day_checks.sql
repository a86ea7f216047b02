{% set freshness_watch = coterie.quality_threshold('freshness_watch') %}
{% set freshness_act = coterie.quality_threshold('freshness_act') %}
{% set gap_watch = coterie.quality_threshold('day_gap_watch') %}
{% set gap_act = coterie.quality_threshold('day_gap_act') %}
{% set timed_inputs = ['orders', 'customers', 'order_lines', 'events', 'identities', 'messages'] %}
{% set gap_inputs = ['orders', 'events', 'messages'] %}
{% set weekly_inputs = ['orders', 'order_lines', 'events', 'messages'] %}
{% set mapped = coterie.mapped_input_names() %}

with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

inputs as (

    select
        row_counts.input_name,
        row_counts.row_count,
        as_of.as_of_date,
        case row_counts.input_name
            -- Of customers the sign-ups have days.
            when 'customers' then 'sign-ups'
            {% for input in timed_inputs if input != 'customers' %}
            when '{{ input }}' then '{{ coterie.input_rows_words(input) }}'
            {% endfor %}
        end as noun

    from {{ ref('int_coterie__input_row_counts') }} as row_counts

    cross join as_of

    where
        row_counts.input_name in {{ coterie.quoted_list(timed_inputs) }}
        and row_counts.input_name in {{ coterie.quoted_list(mapped) }}

),

input_days as (

    select
        input_days.input_name,
        input_days.happened_on,
        input_days.row_count,
        {{ coterie.days_between('input_days.happened_on', 'as_of.as_of_date') }} as days_ago

    from {{ ref('int_coterie__input_days') }} as input_days

    inner join as_of
        on input_days.happened_on < as_of.as_of_date

),

spans as (

    select
        input_name,
        max(days_ago) as first_days_ago,
        min(days_ago) as newest_days_ago,
        max(happened_on) as newest_on

    from input_days

    group by input_name

),

year_days as (

    -- One year: what was missing longer ago, nobody can mend.
    select
        input_name,
        happened_on,
        lag(days_ago) over (
            partition by input_name
            order by happened_on
        ) - days_ago - 1 as empty_day_count

    from input_days

    where days_ago <= 365

),

gaps as (

    -- From one day with rows to the next; no empty day between them is a gap of 0.
    select
        input_name,
        happened_on,
        empty_day_count,
        row_number() over (
            partition by input_name
            order by empty_day_count desc, happened_on desc
        ) as gap_rank,
        count(*) over (partition by input_name) as gap_count

    from year_days

    where empty_day_count is not null

),

usual_gaps as (

    -- Usual is what nine of ten gaps keep within: closed Sundays and weekly mails are usual.
    select
        input_name,
        max(case when gap_rank = 1 then empty_day_count end) as longest_gap_days,
        max(case when gap_rank = 1 then happened_on end) as longest_gap_ended_on,
        max(
            case
                when gap_rank = 1 + {{ coterie.whole_quotient('gap_count', '10') }}
                    then empty_day_count
            end
        ) as usual_gap_days,
        sum(empty_day_count) as empty_day_count,
        sum(empty_day_count) + count(*) + 1 as day_count,
        max(happened_on) as newest_on

    from gaps

    group by input_name

),

freshness as (

    -- As long as the longest gap of the year is nothing new, unless that one was unusual itself.
    select
        inputs.input_name,
        inputs.row_count,
        inputs.noun,
        inputs.as_of_date,
        spans.newest_on,
        cast(spans.newest_days_ago as double) as measured_value,
        least(3 * coalesce(usual_gaps.usual_gap_days, 0), coalesce(usual_gaps.longest_gap_days, 0))
            as bearable_gap_days

    from inputs

    left join spans
        on inputs.input_name = spans.input_name

    left join usual_gaps
        on inputs.input_name = usual_gaps.input_name

),

fresh_inputs as (

    -- People may stop signing up though the input is loaded: that is worth a look at most.
    select
        input_name,
        'freshness' as rule_name,
        row_count,
        measured_value,
        bearable_gap_days + {{ freshness_watch }} as watch_at,
        case
            when input_name != 'customers'
                then bearable_gap_days + {{ freshness_act }}
        end as act_at,
        measured_value is not null as is_known,
        coalesce(
            'The newest '
            || noun
            || ' before '
            || cast(as_of_date as string)
            || ' are of '
            || cast(newest_on as string)
            || '; gaps of up to '
            || cast(bearable_gap_days as string)
            || ' days are usual.'
            || case
                when measured_value > bearable_gap_days + {{ freshness_watch }}
                    then ' Look whether the input is still loaded.'
                else ''
            end,
            'No ' || noun || ' have a day before the date: how fresh they are, nobody can tell.'
        ) as words

    from freshness

),

day_gaps as (

    select
        inputs.input_name,
        inputs.row_count,
        inputs.noun,
        usual_gaps.empty_day_count,
        usual_gaps.day_count,
        usual_gaps.newest_on,
        usual_gaps.longest_gap_ended_on,
        usual_gaps.usual_gap_days,
        cast(usual_gaps.longest_gap_days as double) as measured_value,
        3 * usual_gaps.usual_gap_days + {{ gap_watch }} as watch_at,
        3 * usual_gaps.usual_gap_days + {{ gap_act }} as act_at

    from inputs

    left join usual_gaps
        on inputs.input_name = usual_gaps.input_name

    where inputs.input_name in {{ coterie.quoted_list(gap_inputs) }}

),

gap_inputs as (

    select
        input_name,
        'day_gap' as rule_name,
        row_count,
        measured_value,
        watch_at,
        act_at,
        measured_value is not null as is_known,
        coalesce(
            cast(empty_day_count as string)
            || ' of the '
            || cast(day_count as string)
            || ' days up to '
            || cast(newest_on as string)
            || ' have no '
            || noun
            || case
                when measured_value > 0
                    then
                        '; the longest gap is '
                        || cast(cast(measured_value as bigint) as string)
                        || ' days, before '
                        || cast(longest_gap_ended_on as string)
                        || ', where up to '
                        || cast(usual_gap_days as string)
                        || ' are usual.'
                else '.'
            end
            || case
                when measured_value > watch_at
                    then ' Unless the shop was closed, load those days again.'
                else ''
            end,
            'Fewer than two days of the year before the date have '
            || noun
            || ': too few to find gaps.'
        ) as words

    from day_gaps

),

week_numbers as (

    select cast(generated_number - 1 as bigint) as week_number

    from ({{ dbt.generate_series(9) }}) as numbers

),

weeks as (

    -- Seven days each, back from the date; 0 is the newest. Each holds every day of the week.
    select
        inputs.input_name,
        week_numbers.week_number,
        coalesce(sum(input_days.row_count), 0) as row_count

    from inputs

    cross join week_numbers

    left join input_days
        on
            inputs.input_name = input_days.input_name
            and week_numbers.week_number
            = {{ coterie.whole_quotient('input_days.days_ago - 1', '7') }}

    where inputs.input_name in {{ coterie.quoted_list(weekly_inputs) }}

    group by
        inputs.input_name,
        week_numbers.week_number

),

week_totals as (

    select
        input_name,
        sum(case when week_number = 0 then row_count end) as newest_row_count,
        sum(case when week_number > 0 then row_count end) / cast(8 as double) as usual_row_count,
        min(case when week_number > 0 then row_count end) as lowest_row_count,
        max(case when week_number > 0 then row_count end) as highest_row_count

    from weeks

    group by input_name

),

week_changes as (

    -- A change is one only beyond what any of the eight weeks showed: mails come in bursts.
    select
        inputs.input_name,
        inputs.row_count,
        week_totals.newest_row_count / nullif(week_totals.usual_row_count, 0) as measured_value,
        week_totals.newest_row_count < week_totals.lowest_row_count as is_lowest,
        week_totals.newest_row_count > week_totals.highest_row_count as is_highest,
        coalesce(spans.first_days_ago >= 63, false)
        and week_totals.usual_row_count
        >= {{ coterie.quality_threshold('min_weekly_row_count') }} as is_known,
        cast(week_totals.newest_row_count as string)
        || ' '
        || inputs.noun
        || ' in the 7 days before the date'
        || case
            -- Weeks before the first row had none because there was nothing yet.
            when coalesce(spans.first_days_ago < 63, true)
                then ', and less than 8 weeks of them before'
            else
                ', where the 8 weeks before had '
                || cast(cast(week_totals.usual_row_count as decimal(18, 1)) as string)
                || ' a week, and '
                || cast(week_totals.lowest_row_count as string)
                || ' to '
                || cast(week_totals.highest_row_count as string)
                || ' each'
        end as words

    from inputs

    inner join week_totals
        on inputs.input_name = week_totals.input_name

    left join spans
        on inputs.input_name = spans.input_name

),

checks as (

    select
        input_name,
        rule_name,
        row_count,
        measured_value,
        watch_at,
        act_at,
        case
            when not is_known then 'unknown'
            else {{ coterie.quality_status('measured_value', 'watch_at', 'act_at') }}
        end as status,
        words

    from fresh_inputs

    union all

    select
        input_name,
        rule_name,
        row_count,
        measured_value,
        watch_at,
        act_at,
        case
            when not is_known then 'unknown'
            else {{ coterie.quality_status('measured_value', 'watch_at', 'act_at') }}
        end as status,
        words

    from gap_inputs

    union all

    select
        input_name,
        'sudden_drop' as rule_name,
        row_count,
        measured_value,
        {{ coterie.quality_threshold('sudden_drop_watch') }} as watch_at,
        {{ coterie.quality_threshold('sudden_drop_act') }} as act_at,
        case
            when not is_known then 'unknown'
            when not is_lowest then 'ok'
            when {{ coterie.quality_threshold('sudden_drop_act') }} > measured_value then 'act'
            when {{ coterie.quality_threshold('sudden_drop_watch') }} > measured_value
                then 'watch'
            else 'ok'
        end as status,
        words
        || case
            when not is_known then ': too few to tell a drop.'
            when is_lowest then '. If that is too few, look whether all of them are still loaded.'
            else '.'
        end as words

    from week_changes

    union all

    select
        input_name,
        'sudden_rise' as rule_name,
        row_count,
        measured_value,
        {{ coterie.quality_threshold('sudden_rise_watch') }} as watch_at,
        {{ coterie.quality_threshold('sudden_rise_act') }} as act_at,
        case
            when not is_known then 'unknown'
            when not is_highest then 'ok'
            else {{ coterie.quality_status(
                'measured_value',
                coterie.quality_threshold('sudden_rise_watch'),
                coterie.quality_threshold('sudden_rise_act')
            ) }}
        end as status,
        words
        || case
            when not is_known then ': too few to tell a rise.'
            when is_highest
                then
                    '. Unless there was a reason, look for rows that were loaded twice under '
                    || 'new ids, and for robots.'
            else '.'
        end as words

    from week_changes

),

day_checks as (

    select
        input_name,
        rule_name,
        row_count,
        cast(null as bigint) as rejected_count,
        cast(null as double) as rejected_share,
        measured_value,
        watch_at,
        act_at,
        status,
        words

    from checks

)

select * from day_checks
