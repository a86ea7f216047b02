with

feedback as (

    select * from {{ demo_file('feedback') }}

),

shop_reviews as (

    select * rename (
        feedback_id as review_number,
        customer_id as client_code,
        occurred_at as written_at,
        comment as text,
        product_id as article
    )

    from feedback

)

select * from shop_reviews
