{% set attributes = coterie.demographic_attributes('segment_by') %}
{% set min_cell_size = coterie.min_cell_size() %}
{% set groups = [] %}
{% set phrases = [] %}
{% set equalities = [] %}
{% for attribute in attributes %}
{% do groups.append('group_' ~ loop.index) %}
{% do phrases.append(coterie.group_words(attribute, groups[-1])) %}
{% do equalities.append('wide_groups.' ~ groups[-1] ~ ' = segments.' ~ groups[-1]) %}
{% endfor %}
{% set code = groups | join(" || '__' || ") %}
{# A shop's own word for one attribute could else be one of ours. #}
{% set prefix = attributes[0] ~ '_' if attributes | length == 1 else '' %}

with

customer_groups as (

    select * from {{ ref('int_coterie__customer_groups') }}

),

wide_groups as (

    select
        {%- for attribute in attributes %}
        max(case when attribute_name = '{{ attribute }}' then group_code end)
            as group_{{ loop.index }},
        {%- endfor %}
        customer_id

    from customer_groups

    group by customer_id

),

group_sizes as (

    select
        {{ groups | join(', ') }},
        {{ groups | join(" = 'unknown' and ") }} = 'unknown' as is_unknown,
        count(*) as customer_count

    from wide_groups

    group by {{ groups | join(', ') }}

),

ranked_groups as (

    select
        *,
        sum(case when customer_count < {{ min_cell_size }} then customer_count else 0 end) over ()
            as small_customer_count,
        row_number() over (
            partition by customer_count < {{ min_cell_size }}
            order by customer_count, {{ groups | join(', ') }}
        ) as size_rank

    from group_sizes

),

folded_groups as (

    -- Where the small groups are few together as well, the smallest of the others joins them: else
    -- what is left of the whole would tell of them.
    select
        *,
        {{ phrases | join(" || ', ' || ") }} as words,
        customer_count < {{ min_cell_size }}
        or (
            size_rank = 1
            and small_customer_count between 1 and {{ min_cell_size - 1 }}
        ) as is_folded

    from ranked_groups

),

segments as (

    select
        {{ groups | join(', ') }},
        case
            when is_folded then 'other'
            when is_unknown then 'unknown'
            else lower(replace('{{ prefix }}' || {{ code }}, ' ', '_'))
        end as segment_code,
        case
            when is_folded then 'Small groups'
            when is_unknown then 'Nothing known'
            else {{ coterie.capitalised('words') }}
        end as segment_name,
        case
            when is_folded then 'The smallest groups together, so that none tells of single people.'
            when is_unknown then 'What the shop does not know: ' || words || '.'
            else 'By what the shop knows of them: ' || words || '.'
        end as description

    from folded_groups

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
        on {{ equalities | join(' and ') }}

)

select * from customer_demographics
