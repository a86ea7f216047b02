with

accepted as (

    select * from {{ ref('int_coterie__checked_events') }}
    where rejection_rule is null

),

identities as (

    select * from {{ ref('int_coterie__identities') }}

),

linked as (

    select
        accepted.event_id,
        coalesce(accepted.customer_id, identities.customer_id) as customer_id,
        accepted.occurred_at,
        cast(accepted.occurred_at as date) as occurred_on,
        -- An anonymous event counts for its customer from the moment of linking.
        case
            when accepted.customer_id is not null then accepted.occurred_at
            else greatest(accepted.occurred_at, identities.linked_at)
        end as known_at,
        lower(trim(accepted.event_type)) as event_type,
        accepted.session_id,
        accepted.product_id,
        accepted.channel,
        accepted.device_type

    from accepted

    left join identities
        on
            accepted.anonymous_id = identities.anonymous_id
            and accepted.customer_id is null

),

events as (

    select
        *,
        case
            {% for kind, words in coterie.event_types().items() %}
            when event_type in {{ coterie.quoted_list(words) }} then '{{ kind }}'
            {% endfor %}
            else 'other'
        end as event_kind,
        -- Where the tracker keeps no sessions, a customer's day is one.
        coalesce(session_id, cast(occurred_on as string)) as session_key

    from linked

)

select * from events
