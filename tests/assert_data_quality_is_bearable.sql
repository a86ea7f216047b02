-- What coterie__data_quality says must be mended. It warns, unless the var coterie__data_quality
-- names under fail_on, as statuses or rules, what fails the build.
{% set failures = coterie.quality_failures() %}
{{ config(severity = 'error' if failures else 'warn') }}

with

unbearable as (

    select
        input_name,
        rule_name,
        status,
        words

    from {{ ref('coterie', 'coterie__data_quality') }}

    where
        {% if failures %}
        (
            status in {{ coterie.quoted_list(failures) }}
            or (
                rule_name in {{ coterie.quoted_list(failures) }}
                and status in ('watch', 'act')
            )
        )
        {% else %}
        status = 'act'
        {% endif %}
        -- A dry run has read nothing.
        and {{ 'false' if flags.EMPTY else 'true' }}

)

select * from unbearable
