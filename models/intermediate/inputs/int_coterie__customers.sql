with

first_versions as (

    -- A sign-up, a birth and an acquisition are of one day: what a later version says of them was
    -- not known before.
    select
        customer_id,
        valid_from,
        signed_up_at,
        birth_date,
        acquisition_channel

    from {{ ref('int_coterie__customer_attributes') }}

    where is_first

),

sightings as (

    select
        customer_id,
        min(known_on) as seen_on,
        min(case when placed_order_count > 0 then happened_on end) as first_placed_on

    from {{ ref('int_coterie__customer_order_days') }}

    group by customer_id

    union all

    select
        customer_id,
        min(known_on) as seen_on,
        cast(null as date) as first_placed_on

    from {{ ref('int_coterie__customer_event_days') }}

    group by customer_id

    union all

    select
        customer_id,
        min(known_on) as seen_on,
        cast(null as date) as first_placed_on

    from {{ ref('int_coterie__customer_message_days') }}

    group by customer_id

    union all

    select
        customer_id,
        cast(linked_at as date) as seen_on,
        cast(null as date) as first_placed_on

    from {{ ref('int_coterie__identities') }}

    union all

    select
        customer_id,
        cast(coalesce(signed_up_at, valid_from) as date) as seen_on,
        cast(null as date) as first_placed_on

    from first_versions

),

first_sightings as (

    select
        customer_id,
        min(seen_on) as first_seen_on,
        min(first_placed_on) as first_placed_on

    from sightings

    group by customer_id

),

customers as (

    select
        first_sightings.customer_id,
        first_sightings.first_seen_on,
        first_sightings.first_placed_on,
        {{ coterie.sample_position('first_sightings.customer_id') }} as sample_position,
        first_versions.customer_id is not null as is_in_customers_input,
        first_versions.valid_from as attributes_known_at,
        first_versions.signed_up_at,
        first_versions.birth_date,
        first_versions.acquisition_channel

    from first_sightings

    left join first_versions
        on first_sightings.customer_id = first_versions.customer_id

)

select * from customers
