with

attributes as (

    select
        customer_id,
        valid_from,
        {{ coterie.possible_time('signed_up_at') }} as signed_up_at

    from {{ ref('int_coterie__checked_customers') }}

    where rejection_rule is null

),

newest_attributes as (

    select
        customer_id,
        signed_up_at,
        row_number() over (
            partition by customer_id
            order by valid_from desc nulls last
        ) as row_number_of_customer

    from attributes

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
        min(signed_up_at) as seen_at

    from attributes

    group by customer_id

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
        newest_attributes.customer_id is not null as is_in_customers_input,
        newest_attributes.signed_up_at

    from first_sightings

    left join newest_attributes
        on
            first_sightings.customer_id = newest_attributes.customer_id
            and newest_attributes.row_number_of_customer = 1

)

select * from customers
