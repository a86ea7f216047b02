with

purchase_histories as (

    select * from {{ ref('int_coterie__purchase_histories') }}
    where is_in_sample

),

nbd_states as (

    select
        as_of_date,
        repeat_count,
        recency_weeks,
        age_weeks,
        count(*) as customer_count

    from purchase_histories

    group by
        as_of_date,
        repeat_count,
        recency_weeks,
        age_weeks

)

select * from nbd_states
