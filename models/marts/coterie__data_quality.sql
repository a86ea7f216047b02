{% set mapped = coterie.mapped_input_names() %}

with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

checks as (

    select * from {{ ref('int_coterie__row_checks') }}

    union all

    select * from {{ ref('int_coterie__day_checks') }}

    {% for input in coterie.input_names() if input not in mapped %}
    union all

    select
        '{{ input }}' as input_name,
        'not_mapped' as rule_name,
        0 as row_count,
        cast(null as bigint) as rejected_count,
        cast(null as double) as rejected_share,
        cast(null as double) as measured_value,
        cast(null as double) as watch_at,
        cast(null as double) as act_at,
        'not_mapped' as status,
        'The input is not mapped: {{ coterie.input_absence_words(input) }}. To add it, set the var '
        || 'coterie__{{ input }}_relation.' as words
    {% endfor %}

)

select
    cast(checks.input_name as string) as input_name,
    cast(checks.rule_name as string) as rule_name,
    as_of.as_of_date,
    cast(checks.row_count as bigint) as row_count,
    cast(checks.rejected_count as bigint) as rejected_count,
    cast(checks.rejected_share as double) as share, -- noqa: RF04
    cast(checks.measured_value as double) as measured_value,
    cast(checks.watch_at as double) as watch_at,
    cast(checks.act_at as double) as act_at,
    cast(checks.status as string) as status,
    cast(checks.words as string) as words

from checks

cross join as_of
