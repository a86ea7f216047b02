{% set buying_days = coterie.days_between('customers.first_placed_on', 'as_of_dates.as_of_date') %}
{% set is_new_buyer = buying_days ~ ' between 1 and 90' %}

with

customers as (

    select
        customer_id,
        first_seen_on,
        first_placed_on,
        signed_up_at,
        birth_date,
        attributes_known_at,
        sample_position

    from {{ ref('int_coterie__customers') }}

),

as_of_dates as (

    select * from {{ ref('int_coterie__as_of_dates') }}

),

origin_rows as (

    select
        count(*) as row_count,
        count(case when {{ is_new_buyer }} then 1 end) as new_buyer_row_count

    from as_of_dates

    inner join customers
        on as_of_dates.as_of_date > customers.first_seen_on

    where not as_of_dates.is_scoring_date

),

sample as (

    -- Learners read a bounded sample of customers, so their cost does not grow with the shop. Of
    -- those who have just begun to buy there are few, so that a fifth as many rows are theirs.
    select
        1000000.0 * {{ coterie.training_row_limit() }} / greatest(row_count, 1) as position_limit,
        200000.0 * {{ coterie.training_row_limit() }} / greatest(new_buyer_row_count, 1)
            as new_buyer_position_limit

    from origin_rows

),

customer_as_of_dates as (

    select
        as_of_dates.as_of_date,
        customers.customer_id,
        as_of_dates.is_scoring_date,
        as_of_dates.is_scoring_date or sample.position_limit > customers.sample_position
            as is_in_sample,
        as_of_dates.data_through,
        customers.signed_up_at,
        -- A birth has no time of its own at which it became known.
        case
            when
                customers.attributes_known_at is null
                or as_of_dates.as_of_date > customers.attributes_known_at
                then customers.birth_date
        end as birth_date

    from as_of_dates

    cross join sample

    inner join customers
        on
            (
                as_of_dates.as_of_date > customers.first_seen_on
                or (customers.first_seen_on is null and as_of_dates.is_scoring_date)
            )
            and (
                as_of_dates.is_scoring_date
                or sample.position_limit > customers.sample_position
                or (
                    {{ is_new_buyer }}
                    and sample.new_buyer_position_limit > customers.sample_position
                )
            )

)

select * from customer_as_of_dates
