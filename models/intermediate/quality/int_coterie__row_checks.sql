{% set inputs = coterie.mapped_input_names() %}
{% set unlinked_remedy = (
    ' They count for nobody until identities links them.' if 'identities' in inputs
    else ' Map the input identities to make them count.'
) %}
{% set reread_note = 'Read all rows by dbt build --full-refresh -s package:coterie' %}

with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

rejections as (

    select
        input_name,
        rule_name,
        sum(row_count) as rejected_count

    from {{ ref('int_coterie__rejected_rows') }}

    group by
        input_name,
        rule_name

),

totals as (

    select
        input_days.input_name,
        {%- for name in coterie.input_day_counts() %}
        sum(input_days.{{ name }}) as {{ name }},
        {%- endfor %}
        sum(
            case
                when input_days.happened_on >= as_of.as_of_date then input_days.row_count
                else 0
            end
        ) as after_as_of_date_row_count

    from {{ ref('int_coterie__input_days') }} as input_days

    cross join as_of

    group by input_days.input_name

),

input_totals as (

    -- An input without an accepted row has no days.
    select
        row_counts.input_name,
        row_counts.row_count,
        row_counts.rejected_row_count,
        row_counts.unread_row_count,
        case row_counts.input_name
            {% for input in coterie.input_names() %}
            when '{{ input }}' then '{{ coterie.input_rows_words(input) }}'
            {% endfor %}
        end as noun,
        {%- for name in coterie.input_day_counts() %}
        coalesce(totals.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        coalesce(totals.after_as_of_date_row_count, 0) as after_as_of_date_row_count

    from {{ ref('int_coterie__input_row_counts') }} as row_counts

    left join totals
        on row_counts.input_name = totals.input_name

    where row_counts.input_name in {{ coterie.quoted_list(inputs) }}

),

rules as (

    {% for rule in coterie.counting_rules() %}
    {{ 'union all' if not loop.first }}
    select
        '{{ rule.input }}' as input_name,
        '{{ rule.name }}' as rule_name,
        {{ coterie.quoted(rule.words) }} as rule_words,
        {{ coterie.quoted(rule.remedy) }} as remedy,
        {{ rule.watch_at }} as watch_at,
        {{ rule.act_at }} as act_at,
        {{ rule.act_above_count }} as act_above_count
    {% endfor %}

),

rule_counts as (

    select
        rules.*,
        input_totals.row_count,
        input_totals.noun,
        coalesce(
            case rules.rule_name
                when 'all_rejected' then input_totals.rejected_row_count
                when 'after_as_of_date' then input_totals.after_as_of_date_row_count
                when 'unknown_customer' then input_totals.unknown_customer_row_count
                when 'unknown_product' then input_totals.unknown_product_row_count
                when 'guest_order' then input_totals.guest_row_count
                else rejections.rejected_count
            end,
            0
        ) as rejected_count

    from rules

    inner join input_totals
        on rules.input_name = input_totals.input_name

    left join rejections
        on
            rules.input_name = rejections.input_name
            and rules.rule_name = rejections.rule_name

),

counted as (

    select
        input_name,
        rule_name,
        row_count,
        rejected_count,
        watch_at,
        act_at,
        act_above_count,
        cast(rejected_count as double) / nullif(row_count, 0) as measured_value,
        {{ coterie.part_words('rejected_count', 'row_count', 'noun') }}
        || ' '
        || rule_words
        || case when rejected_count > 0 then remedy else '.' end as words

    from rule_counts

),

unread as (

    select
        input_name,
        'unread' as rule_name,
        row_count,
        abs(unread_row_count) as rejected_count,
        {{ coterie.quality_threshold('unread_watch') }} as watch_at,
        {{ coterie.quality_threshold('unread_act') }} as act_at,
        0 as act_above_count,
        -- Of rows that have left the input, the share is of those that were read.
        cast(abs(unread_row_count) as double)
        / nullif(greatest(row_count, row_count - unread_row_count), 0) as measured_value,
        case
            when unread_row_count > 0
                then
                    {{ coterie.part_words('unread_row_count', 'row_count', 'noun') }}
                    || ' have not been read. {{ reread_note }}.'
            when unread_row_count < 0
                then
                    cast(-unread_row_count as string)
                    || ' '
                    || noun
                    || ' that were read before are no longer in the input, and still count. '
                    || '{{ reread_note }}.'
            else 'All ' || cast(row_count as string) || ' ' || noun || ' have been read.'
        end as words

    from input_totals

),

order_changes as (

    select
        input_name,
        row_count,
        known_late_row_count as rejected_count,
        untimed_cancelled_row_count + untimed_refunded_row_count as untimed_count,
        cancelled_row_count + refunded_row_count as change_count,
        (cancelled_row_count > 0 and untimed_cancelled_row_count = cancelled_row_count)
        or (refunded_row_count > 0 and untimed_refunded_row_count = refunded_row_count)
            as is_untimed,
        {{ coterie.change_words('cancelled', 'status_changed_at', 'a status that does not count') }}
            as cancelled_words,
        {{ coterie.change_words('refunded', 'refunded_at', 'a refund') }} as refunded_words

    from input_totals

    where input_name = 'orders'

),

known_late as (

    select
        input_name,
        row_count,
        rejected_count,
        is_untimed,
        cast(untimed_count as double) / nullif(change_count, 0) as measured_value,
        cancelled_words || ' ' || refunded_words as words

    from order_changes

    union all

    select
        input_name,
        row_count,
        known_late_row_count as rejected_count,
        attribute_row_count > 0 and known_late_row_count = attribute_row_count as is_untimed,
        cast(known_late_row_count as double) / nullif(attribute_row_count, 0) as measured_value,
        case
            when attribute_row_count = 0
                then 'No customer row has a gender, country_code, region or city.'
            when known_late_row_count = attribute_row_count
                then
                    cast(attribute_row_count as string)
                    || ' customer rows have a gender, country_code, region or city and none a '
                    || 'valid_from: they are those of today, and no feature sees them. '
                    || 'Map valid_from where versions are kept.'
            else
                cast(known_late_row_count as string)
                || ' of '
                || cast(attribute_row_count as string)
                || ' customer rows with a gender, country_code, region or city have no valid_from.'
        end as words

    from input_totals

    where input_name = 'customers'

    union all

    select
        input_name,
        row_count,
        known_late_row_count as rejected_count,
        known_late_row_count > 0 as is_untimed,
        cast(null as double) as measured_value,
        case
            when known_late_row_count = 0 then 'No product has a category.'
            else
                cast(known_late_row_count as string)
                || ' products have a category, and that of today holds for all dates. '
                || 'If categories change often, map one that does not.'
        end as words

    from input_totals

    where input_name = 'products'

),

unlinked as (

    select
        input_name,
        row_count,
        unlinked_row_count as rejected_count,
        cast(unlinked_row_count as double) / nullif(anonymous_row_count, 0) as measured_value,
        {{ coterie.part_words('unlinked_row_count', 'row_count', 'noun') }}
        || ' are of visitors whom no link makes a customer before the date: '
        || {{ coterie.percent_words('unlinked_row_count', 'anonymous_row_count') }}
        || ' of the '
        || cast(anonymous_row_count as string)
        || ' anonymous ones.'
        || case
            when unlinked_row_count > 0
                then {{ coterie.quoted(unlinked_remedy) }}
            else ''
        end as words

    from input_totals

    where input_name = 'events'

),

links as (

    select
        anonymous_id,
        min(customer_id) as first_customer_id,
        max(customer_id) as last_customer_id

    from {{ ref('int_coterie__checked_identities') }}

    where rejection_rule is null

    group by anonymous_id

),

conflicts as (

    select
        count(*) as visitor_count,
        count(case when first_customer_id != last_customer_id then 1 end) as conflict_count

    from links

),

merged_customers as (

    select count(*) as visitor_count

    from {{ ref('int_coterie__identities') }}

    group by customer_id

    having count(*) > 1

),

merge_counts as (

    select
        count(*) as customer_count,
        coalesce(sum(visitor_count), 0) as visitor_count,
        coalesce(max(visitor_count), 0) as largest_count

    from merged_customers

),

measured as (

    select
        input_name,
        rule_name,
        row_count,
        rejected_count,
        measured_value,
        watch_at,
        act_at,
        -- Few rows are never more than worth a look: the build does not fail for them either.
        case
            when rejected_count <= act_above_count and measured_value > act_at then 'watch'
            else {{ coterie.quality_status('measured_value', 'watch_at', 'act_at') }}
        end as status,
        words

    from counted

    union all

    select
        input_name,
        rule_name,
        row_count,
        rejected_count,
        measured_value,
        watch_at,
        act_at,
        {{ coterie.quality_status('measured_value', 'watch_at', 'act_at') }} as status,
        words

    from unread

    union all

    select
        input_name,
        'known_late' as rule_name,
        row_count,
        rejected_count,
        measured_value,
        {{ coterie.quality_threshold('known_late_watch') }} as watch_at,
        {{ coterie.quality_threshold('known_late_act') }} as act_at,
        case
            when is_untimed then 'unknown'
            else {{ coterie.quality_status(
                'measured_value',
                coterie.quality_threshold('known_late_watch'),
                coterie.quality_threshold('known_late_act')
            ) }}
        end as status,
        words

    from known_late

    union all

    select
        input_name,
        'unlinked_event' as rule_name,
        row_count,
        rejected_count,
        measured_value,
        {{ coterie.quality_threshold('unlinked_event_watch') }} as watch_at,
        {{ coterie.quality_threshold('unlinked_event_act') }} as act_at,
        {{ coterie.quality_status(
            'measured_value',
            coterie.quality_threshold('unlinked_event_watch'),
            coterie.quality_threshold('unlinked_event_act')
        ) }} as status,
        words

    from unlinked

    union all

    select
        input_totals.input_name,
        'identity_conflict' as rule_name,
        input_totals.row_count,
        conflicts.conflict_count as rejected_count,
        cast(conflicts.conflict_count as double) / nullif(conflicts.visitor_count, 0)
            as measured_value,
        {{ coterie.quality_threshold('identity_conflict_watch') }} as watch_at,
        {{ coterie.quality_threshold('identity_conflict_act') }} as act_at,
        {{ coterie.quality_status(
            'cast(conflicts.conflict_count as double) / nullif(conflicts.visitor_count, 0)',
            coterie.quality_threshold('identity_conflict_watch'),
            coterie.quality_threshold('identity_conflict_act')
        ) }} as status,
        {{ coterie.part_words(
            'conflicts.conflict_count', 'conflicts.visitor_count', "'visitors'"
        ) }}
        || ' are linked to more than one customer; the first link stands.'
        || case
            when conflicts.conflict_count > 0
                then ' Shared devices do that, and ids that are reused.'
            else ''
        end as words

    from input_totals

    cross join conflicts

    where input_totals.input_name = 'identities'

    union all

    select
        input_totals.input_name,
        'merged_visitor' as rule_name,
        input_totals.row_count,
        merge_counts.visitor_count as rejected_count,
        cast(merge_counts.visitor_count as double) / nullif(conflicts.visitor_count, 0)
            as measured_value,
        {{ coterie.quality_threshold('merged_visitor_watch') }} as watch_at,
        {{ coterie.quality_threshold('merged_visitor_act') }} as act_at,
        {{ coterie.quality_status(
            'cast(merge_counts.visitor_count as double) / nullif(conflicts.visitor_count, 0)',
            coterie.quality_threshold('merged_visitor_watch'),
            coterie.quality_threshold('merged_visitor_act')
        ) }} as status,
        case
            when merge_counts.customer_count = 0 then 'No customer is more than one visitor.'
            else
                cast(merge_counts.customer_count as string)
                || ' customers are several visitors, '
                || cast(merge_counts.visitor_count as string)
                || ' of '
                || cast(conflicts.visitor_count as string)
                || ' together and at most '
                || cast(merge_counts.largest_count as string)
                || ' each. One with very many is a shared device, a robot or an id of tests.'
        end as words

    from input_totals

    cross join conflicts

    cross join merge_counts

    where input_totals.input_name = 'identities'

    union all

    select
        input_name,
        'empty_input' as rule_name,
        row_count,
        cast(null as bigint) as rejected_count,
        cast(row_count as double) as measured_value,
        cast(null as double) as watch_at,
        cast(null as double) as act_at,
        case when row_count = 0 then 'act' else 'ok' end as status,
        case
            -- Without orders there is nothing to build.
            when row_count = 0 and input_name = 'orders'
                then 'The input is mapped and holds no row. Load it.'
            when row_count = 0
                then
                    'The input is mapped and holds no row. Load it, or leave the var coterie__'
                    || input_name
                    || '_relation empty.'
            else 'The input holds ' || cast(row_count as string) || ' ' || noun || '.'
        end as words

    from input_totals

),

row_checks as (

    select
        input_name,
        rule_name,
        row_count,
        rejected_count,
        cast(rejected_count as double)
        / nullif(greatest(row_count, rejected_count), 0) as rejected_share,
        measured_value,
        watch_at,
        act_at,
        status,
        words

    from measured

)

select * from row_checks
