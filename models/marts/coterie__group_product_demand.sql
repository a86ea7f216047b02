{% set figures = [
    'buyer_share', 'other_buyer_share', 'all_buyer_share', 'lift', 'lift_lower', 'lift_upper',
    'p_value', 'adjusted_p_value'
] %}
{% set min_cell_size = coterie.min_cell_size() %}

with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

group_demand as (

    -- Few buyers are a small cell, and so are few who did not buy; nobody at all is not.
    select
        *,
        customer_count < {{ min_cell_size }}
        or buyer_count between 1 and {{ min_cell_size - 1 }}
        or customer_count - buyer_count between 1 and {{ min_cell_size - 1 }} as is_suppressed

    from {{ ref('int_coterie__group_demand') }}

),

shown_demand as (

    select
        as_of.as_of_date,
        group_demand.attribute_name,
        group_demand.group_code,
        group_demand.category,
        case
            when group_demand.customer_count >= {{ min_cell_size }}
                then group_demand.customer_count
        end as customer_count,
        case when not group_demand.is_suppressed then group_demand.buyer_count end as buyer_count,
        {%- for name in figures %}
        case when not group_demand.is_suppressed then group_demand.{{ name }} end as {{ name }},
        {%- endfor %}
        group_demand.is_notable and not group_demand.is_suppressed as is_notable,
        case
            when not group_demand.is_suppressed
                then row_number() over (
                    partition by
                        group_demand.attribute_name,
                        group_demand.group_code,
                        group_demand.is_suppressed
                    order by group_demand.lift desc nulls last, group_demand.category asc
                )
        end as lift_rank,
        group_demand.is_suppressed

    from group_demand

    cross join as_of

)

select
    cast(attribute_name as string) as attribute_name,
    cast(group_code as string) as group_code,
    cast(category as string) as category,
    as_of_date,
    cast(customer_count as bigint) as customer_count,
    cast(buyer_count as bigint) as buyer_count,
    {%- for name in figures %}
    cast({{ name }} as double) as {{ name }},
    {%- endfor %}
    is_notable,
    cast(lift_rank as bigint) as lift_rank,
    is_suppressed

from shown_demand
