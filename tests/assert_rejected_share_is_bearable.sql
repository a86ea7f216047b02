-- A few bad rows are left out and counted; too many mean that an input is mapped wrongly.
with

input_row_counts as (

    select
        input_name,
        row_count,
        rejected_row_count,
        cast(rejected_row_count as double) / row_count as rejected_share

    from {{ ref('coterie', 'int_coterie__input_row_counts') }}

    where row_count > 0

),

rule_row_counts as (

    select
        input_name,
        rule_name,
        sum(row_count) as rule_row_count

    from {{ ref('coterie', 'int_coterie__rejected_rows') }}

    group by input_name, rule_name

),

unbearable as (

    select
        input_row_counts.input_name,
        input_row_counts.row_count,
        input_row_counts.rejected_row_count,
        input_row_counts.rejected_share,
        rule_row_counts.rule_name,
        rule_row_counts.rule_row_count

    from input_row_counts

    inner join rule_row_counts
        on input_row_counts.input_name = rule_row_counts.input_name

    where
        input_row_counts.rejected_row_count > 100
        and input_row_counts.rejected_share > {{ var('coterie__max_rejected_share') | float }}

)

select * from unbearable
