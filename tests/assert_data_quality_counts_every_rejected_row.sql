-- Every rejected row stands under a rule of coterie__data_quality: the rules of an input add up.
{% set rule_names = coterie.rejection_rule_names() %}

with

rule_counts as (

    select
        input_name,
        sum(
            case
                when rule_name in {{ coterie.quoted_list(rule_names) }} then rejected_count
                else 0
            end
        ) as rule_row_count,
        max(case when rule_name = 'all_rejected' then rejected_count end) as rejected_row_count

    from {{ ref('coterie', 'coterie__data_quality') }}

    where rule_name != 'not_mapped'

    group by input_name

),

rejected as (

    select
        input_name,
        sum(row_count) as row_count

    from {{ ref('coterie', 'int_coterie__rejected_rows') }}

    group by input_name

),

miscounted as (

    select
        rule_counts.input_name,
        rule_counts.rule_row_count,
        rule_counts.rejected_row_count,
        rejected.row_count

    from rule_counts

    left join rejected
        on rule_counts.input_name = rejected.input_name

    where
        rule_counts.rejected_row_count is distinct from coalesce(rejected.row_count, 0)
        or rule_counts.rule_row_count is distinct from coalesce(rejected.row_count, 0)

)

select * from miscounted
