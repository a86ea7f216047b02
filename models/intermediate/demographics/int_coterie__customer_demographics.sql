{% set attributes = coterie.demographic_attributes('segment_by') %}
{% set min_cell_size = coterie.min_cell_size() %}

with

customer_groups as (

    select * from {{ ref('int_coterie__customer_groups') }}

),

wide_groups as (

    select
        customer_id,
        {%- for attribute in attributes %}
        max(case when attribute_name = '{{ attribute }}' then group_code end)
            as group_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}

    from customer_groups

    group by customer_id

),

group_sizes as (

    select
        {%- for attribute in attributes %}
        group_{{ loop.index }},
        {%- endfor %}
        {% for attribute in attributes %}
        {{ 'and ' if not loop.first }}group_{{ loop.index }} = 'unknown'
        {%- endfor %} as is_unknown,
        count(*) as customer_count

    from wide_groups

    group by {% for attribute in attributes %}group_{{ loop.index }}{{ ', ' if not loop.last }}{% endfor %}

),

ranked_groups as (

    select
        *,
        sum(case when customer_count < {{ min_cell_size }} then customer_count else 0 end) over ()
            as small_customer_count,
        row_number() over (
            partition by customer_count < {{ min_cell_size }}
            order by
                customer_count,
                {% for attribute in attributes -%}
                group_{{ loop.index }}{{ ', ' if not loop.last }}
                {%- endfor %}
        ) as size_rank

    from group_sizes

),

folded_groups as (

    -- Where the small groups are few together as well, the smallest of the others joins them: else
    -- what is left of the whole would tell of them.
    select
        *,
        customer_count < {{ min_cell_size }}
        or (
            size_rank = 1
            and small_customer_count between 1 and {{ min_cell_size - 1 }}
        ) as is_folded

    from ranked_groups

),

worded_groups as (

    select
        *,
        {% for attribute in attributes -%}
        {{ coterie.group_words(attribute, 'group_' ~ loop.index) }}
        {{- " || ', ' ||" if not loop.last }}
        {% endfor %} as words

    from folded_groups

),

segments as (

    select
        {%- for attribute in attributes %}
        group_{{ loop.index }},
        {%- endfor %}
        case
            when is_folded then 'other'
            when is_unknown then 'unknown'
            else
                {% if attributes | length == 1 -%}
                '{{ attributes[0] }}_' ||
                {% endif -%}
                {% for attribute in attributes -%}
                lower(replace(group_{{ loop.index }}, ' ', '_')){{ " || '__' ||" if not loop.last }}
                {% endfor %}
        end as segment_code,
        case
            when is_folded then 'Small groups'
            when is_unknown then 'Nothing known'
            else {{ coterie.capitalised('words') }}
        end as segment_name,
        case
            when is_folded
                then 'The smallest groups together, so that none tells of single people.'
            when is_unknown
                then 'The customers input does not say: {{ attributes | map("replace", "_", " ") | join(", ") }}.'
            else 'By what the shop knows of them: ' || words || '.'
        end as description

    from worded_groups

),

customer_demographics as (

    select
        wide_groups.customer_id,
        segments.segment_code,
        segments.segment_name,
        segments.description,
        cast(null as string) as held_segment_code

    from wide_groups

    inner join segments
        on
            {% for attribute in attributes -%}
            {{ 'and ' if not loop.first }}wide_groups.group_{{ loop.index }} = segments.group_{{ loop.index }}
            {% endfor %}

)

select * from customer_demographics
