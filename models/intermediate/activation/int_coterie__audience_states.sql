{{ config(incremental_strategy='changes') }}

with

states as (

    {% if is_incremental() %}
    select * from {{ this }}
    {% else %}
    select
        cast(null as string) as audience_code,
        cast(null as string) as customer_id,
        cast(null as string) as action,
        cast(null as string) as channel,
        cast(null as string) as reason,
        cast(null as date) as entered_on,
        cast(null as date) as as_of_date,
        cast(null as string) as row_hash,
        cast(null as timestamp) as changed_at,
        cast(null as bigint) as change_number

    where false
    {% endif %}

),

decided as (

    select
        *,
        {{ coterie.payload_hash(['audience_code', 'customer_id', 'channel', 'member_reason']) }}
            as member_row_hash

    from {{ coterie.decided_audiences('states') }} as decided_audiences

),

changes as (

    select
        audience_code,
        customer_id,
        case
            when not is_final then 'remove'
            when is_member then 'update'
            else 'add'
        end as action,
        coalesce(channel, held_channel) as channel,
        case
            when is_final then member_reason
            when not is_permitted and denial = 'withdrawn'
                then 'has withdrawn the consent to ' || coalesce(channel, held_channel)
            when not is_permitted and denial = 'unsubscribed'
                then 'has unsubscribed from ' || coalesce(channel, held_channel)
            when not is_permitted then 'has not granted ' || coalesce(channel, held_channel)
            when not is_configured then 'the audience is switched off'
            when is_taken then 'is in an audience that goes first'
            else 'no longer: ' || stay_words
        end as reason,
        case when is_member then entered_on else as_of_date end as entered_on,
        as_of_date,
        member_row_hash

    from decided

    where
        is_final != is_member
        or (is_final and not is_held and member_row_hash != held_row_hash)

),

hashed as (

    select
        audience_code,
        customer_id,
        action,
        channel,
        reason,
        entered_on,
        as_of_date,
        case
            when action = 'remove'
                then
                    {{ coterie.payload_hash(['audience_code', 'customer_id', 'action', 'reason']) }}
            else member_row_hash
        end as row_hash

    from changes

),

last_change as (

    select
        greatest(
            coalesce(max(change_number), 0), cast({{ coterie.change_number_floor() }} as bigint)
        ) as change_number

    from states

),

audience_states as (

    select
        hashed.audience_code,
        hashed.customer_id,
        hashed.action,
        hashed.channel,
        hashed.reason,
        hashed.entered_on,
        hashed.as_of_date,
        hashed.row_hash,
        {{ coterie.changed_at() }} as changed_at,
        last_change.change_number
        + row_number() over (order by hashed.audience_code, hashed.customer_id) as change_number

    from hashed

    cross join last_change

)

select * from audience_states
