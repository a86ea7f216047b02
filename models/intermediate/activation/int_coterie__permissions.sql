with

consents as (

    -- A withdrawal counts whatever else is wrong with it, and for good if nobody knows its time.
    select
        customer_id,
        lower(trim(purpose)) as purpose,
        case when rejection_rule is null and is_granted then changed_at end as granted_at,
        case
            when not coalesce(is_granted, false)
                then
                    coalesce(
                        {{ coterie.possible_time('changed_at') }}, cast('9999-12-31' as timestamp)
                    )
        end as withdrawn_at

    from {{ ref('int_coterie__checked_consents') }}

    where customer_id is not null and purpose is not null

),

unsubscribes as (

    select
        customer_id,
        lower(trim(channel)) as purpose,
        {{ coterie.possible_time('unsubscribed_at') }} as unsubscribed_at

    from {{ ref('int_coterie__checked_messages') }}

    where customer_id is not null and channel is not null and unsubscribed_at is not null

),

changes as (

    select
        customer_id,
        purpose,
        granted_at,
        withdrawn_at,
        cast(null as timestamp) as unsubscribed_at

    from consents

    union all

    select
        customer_id,
        purpose,
        cast(null as timestamp) as granted_at,
        cast(null as timestamp) as withdrawn_at,
        unsubscribed_at

    from unsubscribes

),

newest as (

    select
        customer_id,
        purpose,
        max(granted_at) as granted_at,
        max(withdrawn_at) as withdrawn_at,
        max(unsubscribed_at) as unsubscribed_at

    from changes

    group by
        customer_id,
        purpose

),

permissions as (

    select
        customer_id,
        purpose,
        granted_at,
        withdrawn_at,
        unsubscribed_at,
        {{ 'granted_at is not null and' if coterie.is_grant_required() }}
        coalesce(granted_at > withdrawn_at, withdrawn_at is null)
        and coalesce(granted_at > unsubscribed_at, unsubscribed_at is null) as is_allowed,
        case
            when coalesce(granted_at <= withdrawn_at, withdrawn_at is not null) then 'withdrawn'
            when coalesce(granted_at <= unsubscribed_at, unsubscribed_at is not null)
                then 'unsubscribed'
        end as denial

    from newest

)

select * from permissions
