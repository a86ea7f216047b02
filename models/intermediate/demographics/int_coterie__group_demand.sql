with

customer_categories as (

    select
        customer_id,
        category

    from {{ ref('int_coterie__customer_categories') }}

),

buyers as (

    select distinct customer_id from customer_categories

),

customer_groups as (

    -- Of whom nothing is known is no group, and not among the others.
    select
        customer_groups.customer_id,
        customer_groups.attribute_name,
        customer_groups.group_code

    from {{ ref('int_coterie__customer_groups') }} as customer_groups

    inner join buyers
        on customer_groups.customer_id = buyers.customer_id

    where customer_groups.group_code != 'unknown'

),

group_sizes as (

    select
        attribute_name,
        group_code,
        count(*) as customer_count

    from customer_groups

    group by attribute_name, group_code

),

categories as (

    select distinct category from customer_categories
    where category != 'unknown'

),

buyer_counts as (

    select
        customer_groups.attribute_name,
        customer_groups.group_code,
        customer_categories.category,
        count(*) as buyer_count

    from customer_categories

    inner join customer_groups
        on customer_categories.customer_id = customer_groups.customer_id

    group by
        customer_groups.attribute_name,
        customer_groups.group_code,
        customer_categories.category

),

cells as (

    select
        group_sizes.attribute_name,
        group_sizes.group_code,
        categories.category,
        group_sizes.customer_count,
        coalesce(buyer_counts.buyer_count, 0) as buyer_count,
        sum(group_sizes.customer_count) over (
            partition by group_sizes.attribute_name, categories.category
        ) as all_customer_count,
        sum(coalesce(buyer_counts.buyer_count, 0)) over (
            partition by group_sizes.attribute_name, categories.category
        ) as all_buyer_count

    from group_sizes

    cross join categories

    left join buyer_counts
        on
            group_sizes.attribute_name = buyer_counts.attribute_name
            and group_sizes.group_code = buyer_counts.group_code
            and categories.category = buyer_counts.category

),

compared_cells as (

    select
        *,
        cast(customer_count as double) as n,
        cast(buyer_count as double) as x,
        cast(all_customer_count - customer_count as double) as other_n,
        cast(all_buyer_count - buyer_count as double) as other_x,
        cast(customer_count as double) / all_customer_count as group_weight,
        cast(all_buyer_count as double) / all_customer_count as all_share

    from cells

),

tested_cells as (

    -- The test is the one of two shares with their pooled variance, corrected for continuity
    -- (Yates 1934), where both sides expect five buyers and five who do not buy; the interval is
    -- that of the log ratio of two shares (Katz 1978).
    select
        *,
        case
            when
                least(n, other_n) * least(all_share, 1 - all_share) >= 5
                then
                    greatest(abs(x / n - other_x / other_n) - 0.5 * (1 / n + 1 / other_n), 0)
                    / sqrt(all_share * (1 - all_share) * (1 / n + 1 / other_n))
        end as z_value,
        case
            when x > 0 and other_x > 0
                then ln((x / n) / (other_x / other_n))
        end as log_ratio,
        case
            when x > 0 and other_x > 0
                then 1.959963985 * sqrt(greatest(1 / x - 1 / n + 1 / other_x - 1 / other_n, 0))
        end as log_ratio_margin

    from compared_cells

),

judged_cells as (

    select
        attribute_name,
        group_code,
        category,
        customer_count,
        buyer_count,
        all_customer_count,
        all_buyer_count,
        group_weight,
        {{ coterie.ratio('buyer_count', 'customer_count') }} as buyer_share,
        {{ coterie.ratio('other_x', 'other_n') }} as other_buyer_share,
        {{ coterie.ratio('all_buyer_count', 'all_customer_count') }} as all_buyer_share,
        round((x / n) / nullif(all_share, 0), 6) as lift,
        exp(log_ratio - log_ratio_margin) as ratio_lower,
        exp(log_ratio + log_ratio_margin) as ratio_upper,
        {{ coterie.two_sided_p_value('round(z_value, 9)') }} as p_value

    from tested_cells

),

ranked_cells as (

    select
        *,
        count(p_value) over () as test_count,
        row_number() over (
            order by p_value asc nulls last, attribute_name asc, group_code asc, category asc
        ) as p_rank

    from judged_cells

),

group_demand as (

    select
        attribute_name,
        group_code,
        category,
        customer_count,
        buyer_count,
        all_customer_count,
        all_buyer_count,
        buyer_share,
        other_buyer_share,
        all_buyer_share,
        lift,
        -- The ratio to the others, told as the ratio to all, of whom the group is a part.
        round(ratio_lower / (group_weight * ratio_lower + 1 - group_weight), 6) as lift_lower,
        round(ratio_upper / (group_weight * ratio_upper + 1 - group_weight), 6) as lift_upper,
        p_value,
        case
            when p_value is not null
                then
                    least(
                        1,
                        min(p_value * test_count / p_rank) over (
                            order by p_rank desc
                            rows between unbounded preceding and current row
                        )
                    )
        end as adjusted_p_value

    from ranked_cells

)

select
    attribute_name,
    group_code,
    category,
    cast(customer_count as bigint) as customer_count,
    cast(buyer_count as bigint) as buyer_count,
    cast(all_customer_count as bigint) as all_customer_count,
    cast(all_buyer_count as bigint) as all_buyer_count,
    buyer_share,
    other_buyer_share,
    all_buyer_share,
    lift,
    lift_lower,
    lift_upper,
    p_value,
    round(adjusted_p_value, 9) as adjusted_p_value,
    coalesce(
        adjusted_p_value <= {{ coterie.demographic_threshold('false_discovery_rate') }}
        and (
            lift >= {{ coterie.demographic_threshold('min_lift') }}
            or lift <= 1.0 / {{ coterie.demographic_threshold('min_lift') }}
        ),
        false
    ) as is_notable

from group_demand
