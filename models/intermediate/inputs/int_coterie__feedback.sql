{{ config(materialized='view') }}

with

accepted as (

    select * from {{ ref('int_coterie__checked_feedback') }}
    where rejection_rule is null

),

feedback as (

    select
        feedback_id,
        customer_id,
        occurred_at,
        case when abs(rating) < {{ coterie.amount_limit() }} then rating end as rating,
        comment,
        product_id

    from accepted

)

select * from feedback
