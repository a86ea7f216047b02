with

customer_category_shares as (

    select
        customer_categories.customer_id,
        {%- for feature in coterie.category_share_features() %}
        {{ coterie.ratio(
            "sum(case when lookalike_categories.feature = '" ~ feature
            ~ "' then customer_categories.line_amount else 0 end)",
            "sum(customer_categories.line_amount)"
        ) }} as {{ feature }},
        {%- endfor %}
        count(*) as category_count

    from {{ ref('int_coterie__customer_categories') }} as customer_categories

    left join {{ ref('int_coterie__lookalike_categories') }} as lookalike_categories
        on customer_categories.category = lookalike_categories.category

    group by customer_categories.customer_id

)

select * from customer_category_shares
