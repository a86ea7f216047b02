{% set has_demographics = coterie.is_topic_enabled('demographics') %}
{% set order_traits = ['sales_channel', 'order_hour', 'order_weekday'] %}

with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

memberships as (

    select * from {{ ref('int_coterie__segment_memberships') }}

),

member_keys as (

    -- Customers of the same segments are counted together, whatever the number of segmentations.
    select
        customer_id,
        {{ coterie.hash_sum(['segmentation_name', 'segment_code']) }} as segment_set,
        row_number() over (order by customer_id) as customer_number

    from memberships

    group by customer_id

),

segment_sets as (

    select
        segment_set,
        min(customer_id) as customer_id

    from member_keys

    group by segment_set

),

segments_of_sets as (

    select
        segment_sets.segment_set,
        memberships.segmentation_name,
        memberships.segment_code

    from segment_sets

    inner join memberships
        on segment_sets.customer_id = memberships.customer_id

),

valid_orders as (

    -- An order without a time of day stands at midnight. By its time, not its day, older blocks of
    -- orders can be left unread.
    select
        member_keys.customer_number,
        member_keys.segment_set,
        orders.sales_channel,
        case
            when orders.ordered_at > cast(orders.ordered_on as timestamp)
                then extract(hour from orders.ordered_at)
        end as order_hour,
        {{ coterie.weekday_number('orders.ordered_on') }} as order_weekday

    from {{ ref('int_coterie__orders') }} as orders

    inner join member_keys
        on orders.customer_id = member_keys.customer_id

    cross join as_of

    where
        orders.ordered_at
        >= {{ coterie.days_after('as_of.as_of_date', -coterie.rfm_lookback_days()) }}
        and {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

{% for trait in order_traits %}
{{ trait }}_counts as (

    select
        segment_set,
        {{ trait }},
        count(*) as customer_count,
        sum(order_count) as order_count

    from (
        select
            customer_number,
            segment_set,
            {{ trait }},
            count(*) as order_count

        from valid_orders

        group by customer_number, segment_set, {{ trait }}
    ) as customer_traits

    group by segment_set, {{ trait }}

),

{% endfor %}
set_counts as (

    select
        segment_set,
        'sales_channel' as trait_name,
        sales_channel as trait_value,
        customer_count,
        order_count

    from sales_channel_counts

    union all

    select
        segment_set,
        'order_hour' as trait_name,
        lpad(cast(order_hour as string), 2, '0') as trait_value,
        customer_count,
        order_count

    from order_hour_counts

    union all

    select
        segment_set,
        'order_weekday' as trait_name,
        case order_weekday
            when 0 then 'monday'
            when 1 then 'tuesday'
            when 2 then 'wednesday'
            when 3 then 'thursday'
            when 4 then 'friday'
            when 5 then 'saturday'
            when 6 then 'sunday'
        end as trait_value,
        customer_count,
        order_count

    from order_weekday_counts

    union all

    select
        member_keys.segment_set,
        'category' as trait_name,
        customer_categories.category as trait_value,
        count(*) as customer_count,
        cast(null as bigint) as order_count

    from {{ ref('int_coterie__customer_categories') }} as customer_categories

    inner join member_keys
        on customer_categories.customer_id = member_keys.customer_id

    group by member_keys.segment_set, customer_categories.category

    union all

    -- Everybody whose purchases are known: those of whom shares of categories are told.
    select
        member_keys.segment_set,
        'any_category' as trait_name,
        'any' as trait_value,
        count(*) as customer_count,
        cast(null as bigint) as order_count

    from (
        select distinct customer_id from {{ ref('int_coterie__customer_categories') }}
    ) as buyers

    inner join member_keys
        on buyers.customer_id = member_keys.customer_id

    group by member_keys.segment_set

    union all

    select
        member_keys.segment_set,
        'acquisition_channel' as trait_name,
        nullif(trim(customers.acquisition_channel), '') as trait_value,
        count(*) as customer_count,
        cast(null as bigint) as order_count

    from member_keys

    inner join {{ ref('int_coterie__customers') }} as customers
        on member_keys.customer_id = customers.customer_id

    group by member_keys.segment_set, nullif(trim(customers.acquisition_channel), '')

    {% if has_demographics %}
    union all

    select
        member_keys.segment_set,
        customer_groups.attribute_name as trait_name,
        customer_groups.group_code as trait_value,
        count(*) as customer_count,
        cast(null as bigint) as order_count

    from {{ ref('int_coterie__customer_groups') }} as customer_groups

    inner join member_keys
        on customer_groups.customer_id = member_keys.customer_id

    where customer_groups.attribute_name != 'acquisition_channel'

    group by
        member_keys.segment_set,
        customer_groups.attribute_name,
        customer_groups.group_code
    {% endif %}

),

segment_trait_counts as (

    select
        segments_of_sets.segmentation_name,
        segments_of_sets.segment_code,
        set_counts.trait_name,
        coalesce(set_counts.trait_value, 'unknown') as trait_value,
        sum(set_counts.customer_count) as customer_count,
        sum(set_counts.order_count) as order_count

    from set_counts

    inner join segments_of_sets
        on set_counts.segment_set = segments_of_sets.segment_set

    group by
        segments_of_sets.segmentation_name,
        segments_of_sets.segment_code,
        set_counts.trait_name,
        coalesce(set_counts.trait_value, 'unknown')

)

select
    segmentation_name,
    segment_code,
    trait_name,
    trait_value,
    cast(customer_count as bigint) as customer_count,
    cast(order_count as bigint) as order_count

from segment_trait_counts
