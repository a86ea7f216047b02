with

attributes as (

    select
        customer_id,
        valid_from,
        {{ coterie.possible_time('signed_up_at') }} as signed_up_at

    from {{ ref('int_coterie__checked_customers') }}

    where rejection_rule is null

),

numbered_versions as (

    -- A sign-up is of one day: what a later version says of it was not known before.
    select
        customer_id,
        signed_up_at,
        row_number() over (
            partition by customer_id
            order by valid_from asc nulls first
        ) as version_number

    from attributes

),

first_versions as (

    select
        customer_id,
        signed_up_at

    from numbered_versions

    where version_number = 1

),

sightings as (

    select
        customer_id,
        cast(min(ordered_at) as timestamp) as seen_at

    from {{ ref('int_coterie__orders') }}

    where customer_id is not null

    group by customer_id

    union all

    select
        customer_id,
        min(known_at) as seen_at

    from {{ ref('int_coterie__events') }}

    where customer_id is not null

    group by customer_id

    union all

    select
        customer_id,
        min(sent_at) as seen_at

    from {{ ref('int_coterie__messages') }}

    group by customer_id

    union all

    select
        customer_id,
        min(linked_at) as seen_at

    from {{ ref('int_coterie__identities') }}

    group by customer_id

    union all

    select
        customer_id,
        signed_up_at as seen_at

    from first_versions

),

first_sightings as (

    select
        customer_id,
        min(seen_at) as first_seen_at

    from sightings

    group by customer_id

),

customers as (

    select
        first_sightings.customer_id,
        first_sightings.first_seen_at,
        {{ coterie.sample_position('first_sightings.customer_id') }} as sample_position,
        first_versions.customer_id is not null as is_in_customers_input,
        first_versions.signed_up_at

    from first_sightings

    left join first_versions
        on first_sightings.customer_id = first_versions.customer_id

)

select * from customers
