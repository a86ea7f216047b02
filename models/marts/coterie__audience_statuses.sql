{% set audiences = coterie.all_audiences() %}
{% set is_known = (
    coterie.is_mapped_input('consents') or not coterie.is_grant_required()
) %}

with

as_of as (

    select max(as_of_date) as as_of_date from {{ ref('int_coterie__as_of') }}

),

decided as (

    select
        audience_code,
        count(case when is_member then 1 end) as member_count,
        max(proposed_count) as proposed_count,
        max(held_count) as held_count,
        max(case when is_held then 1 else 0 end) = 1 as is_held,
        max(case when is_older then 1 else 0 end) = 1 as is_older,
        count(case when is_eligible and not is_permitted then 1 end) as denied_count

    from {{ coterie.decided_audiences(ref('coterie', 'int_coterie__audience_states')) }}
        as decided_audiences

    group by audience_code

),

audiences as (

    {% for audience in audiences %}
    {{ 'union all' if not loop.first }}
    select
        {{ coterie.quoted(audience.code) }} as audience_code,
        {{ coterie.quoted(audience.description) }} as description,
        {{ coterie.quoted(audience.channel) }} as channel,
        {{ coterie.quoted(audience.missing) }} as missing,
        {{ coterie.quoted(coterie.guard_words(audience)) }} as guard_words,
        {{ 'true' if audience.is_enabled else 'false' }} as is_enabled
    {% else %}
    select
        cast(null as string) as audience_code,
        cast(null as string) as description,
        cast(null as string) as channel,
        cast(null as string) as missing,
        cast(null as string) as guard_words,
        false as is_enabled
    where false
    {% endfor %}

),

known_before as (

    -- Audiences that are no more, as long as the state knows them.
    select
        audience_code,
        max(channel) as channel

    from {{ ref('int_coterie__audience_states') }}

    group by audience_code

),

listed as (

    select
        coalesce(audiences.audience_code, known_before.audience_code) as audience_code,
        coalesce(audiences.description, known_before.audience_code) as description,
        coalesce(audiences.channel, known_before.channel) as channel,
        coalesce(audiences.missing, '') as missing,
        audiences.guard_words,
        coalesce(audiences.is_enabled, false) as is_enabled

    from audiences

    full join known_before
        on audiences.audience_code = known_before.audience_code

),

counted as (

    select
        listed.*,
        as_of.as_of_date,
        coalesce(decided.member_count, 0) as member_count,
        coalesce(decided.proposed_count, 0) as proposed_count,
        coalesce(decided.denied_count, 0) as denied_count,
        coalesce(decided.is_held, false) as is_held,
        coalesce(decided.is_older, false) as is_older

    from listed

    cross join as_of

    left join decided
        on listed.audience_code = decided.audience_code

),

statuses as (

    select
        *,
        case
            when not is_enabled then 'disabled'
            when is_held then 'held'
            when member_count = 0 then 'empty'
            else 'synced'
        end as status

    from counted

),

described as (

    select
        *,
        case
            when status = 'disabled' and missing != ''
                then
                    'Cannot be told, because a topic that its conditions need is off or leaves out '
                    || 'the prediction: ' || missing || '.'
            when status = 'disabled'
                then 'Is in the var coterie__audiences no more; its members have been removed.'
            when status = 'held' and is_older
                then
                    'Held as it is: the build looks from a date before the newest one, and then '
                    || 'only takes away who has withdrawn consent.'
            when status = 'held'
                then
                    'Held as it is: it would go from ' || cast(member_count as string) || ' to '
                    || cast(proposed_count as string) || ' members, and ' || guard_words
                    || ' Where that is right, raise the limit in the var coterie__audiences for '
                    || 'one build.'
            when status = 'empty' and denied_count > 0
                then
                    {% if is_known %}
                    cast(denied_count as string)
                    || ' customers meet the conditions, but none permits ' || channel || '.'
                    {% else %}
                    cast(denied_count as string) || ' customers meet the conditions, but nobody is '
                    || 'known to permit ' || channel || ': map the input consents '
                    || '(coterie__consents_relation), or set coterie__consent_required to false to '
                    || 'leave out only who has unsubscribed.'
                    {% endif %}
            when status = 'empty' then 'Nobody meets the conditions.'
            else
                'Members: ' || cast(member_count as string)
                || '. Others who meet the conditions, but do not permit ' || channel || ': '
                || cast(denied_count as string) || '.'
        end as words

    from statuses

)

select
    cast(audience_code as string) as audience_code,
    as_of_date,
    cast(description as string) as description,
    cast(channel as string) as channel,
    cast(member_count as bigint) as member_count,
    cast(proposed_count as bigint) as proposed_count,
    cast(denied_count as bigint) as denied_count,
    cast(status as string) as status,
    cast(words as string) as words

from described
