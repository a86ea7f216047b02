with

accepted as (

    select * from {{ ref('int_coterie__checked_identities') }}
    where rejection_rule is null

),

numbered as (

    -- The first link of a visitor stands: a later one cannot change what was known before it.
    select
        anonymous_id,
        customer_id,
        linked_at,
        row_number() over (
            partition by anonymous_id
            order by linked_at, customer_id
        ) as link_number

    from accepted

),

identities as (

    select
        anonymous_id,
        customer_id,
        linked_at

    from numbered

    where link_number = 1

)

select * from identities
