with

category_totals as (

    select
        category,
        sum(line_amount) as line_amount

    from {{ ref('int_coterie__customer_categories') }}

    -- What has no category is nothing to like.
    where category != 'unknown'

    group by category

),

ranked as (

    select
        category,
        line_amount,
        row_number() over (order by line_amount desc, category asc) as place

    from category_totals

),

lookalike_categories as (

    select
        'category_share_' || cast(place as string) as feature,
        category,
        line_amount

    from ranked

    where place <= {{ coterie.settings('lookalikes').category_count | int }}

)

select * from lookalike_categories
