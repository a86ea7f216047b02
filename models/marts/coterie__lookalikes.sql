{% set parts = ['reason_1', 'reason_2', 'reason_3'] %}
{# The seed's words are of predictions; here a score is a place among others. #}
{% set their_words = 'associated with a higher probability' %}

with

as_of as (

    select as_of_date from {{ ref('int_coterie__as_of') }}

),

versions as (

    select * from {{ ref('int_coterie__lookalike_versions') }}
    where status = 'ranked'

),

lookalike_categories as (

    select * from {{ ref('int_coterie__lookalike_categories') }}

),

feature_reasons as (

    select * from {{ ref('coterie__feature_reasons') }}
    where direction = 'raises'

),

scores as (

    select
        {%- for part in parts %}
        {{ part }}_code as {{ part }}_code_as_read,
        {{ part }}_value as {{ part }}_value_as_read,
        {{ part }}_usual_value as {{ part }}_usual_value_as_read,
        {{ part }}_contribution,
        {%- endfor %}
        audience_code,
        customer_id,
        score,
        rank,
        1 / (1 + distance_to_members) as closeness

    from {{ ref('int_coterie__lookalike_scores') }}

),

worded as (

    select
        {%- for part in parts %}
        coalesce(
            'category_share: ' || {{ part }}_categories.category, scores.{{ part }}_code_as_read
        ) as {{ part }}_code,
        case
            when {{ part }}_categories.category is null
                then
                    replace(
                        {{ coterie.reason_sentence('scores.' ~ part, part ~ 's') | indent(20) }},
                        '{{ their_words }}',
                        'associated with the audience'
                    )
            when scores.{{ part }}_value_as_read is null
                then
                    'Spend on '
                    || {{ part }}_categories.category
                    || ' unknown, associated with the audience'
            else
                {{ coterie.reason_value(
                    'scores.' ~ part ~ '_value_as_read', "'percent'"
                ) | indent(16) }}
                || ' of spend on '
                || {{ part }}_categories.category
                || ', associated with the audience'
        end as {{ part }}_sentence,
        scores.{{ part }}_contribution,
        {%- endfor %}
        scores.audience_code,
        scores.customer_id,
        scores.score,
        scores.rank,
        scores.closeness,
        'More like the members of the audience than '
        || cast(cast(floor(100 * scores.score) as bigint) as string)
        || ' % of the other customers' as place_sentence

    from scores

    {% for part in parts %}
    left join lookalike_categories as {{ part }}_categories
        on scores.{{ part }}_code_as_read = {{ part }}_categories.feature

    left join feature_reasons as {{ part }}s
        on scores.{{ part }}_code_as_read = {{ part }}s.feature

    {% endfor %}

),

lookalikes as (

    select
        worded.*,
        as_of.as_of_date,
        versions.method,
        versions.model_version,
        coalesce(worded.reason_1_sentence, worded.place_sentence) as reason

    from worded

    inner join versions
        on worded.audience_code = versions.audience_code

    cross join as_of

)

select
    cast(audience_code as string) as audience_code,
    cast(customer_id as string) as customer_id,
    as_of_date,
    cast(method as string) as method,
    cast(score as double) as score,
    cast(rank as bigint) as rank,
    cast(closeness as double) as closeness,
    {%- for part in parts %}
    cast({{ part }}_code as string) as {{ part }}_code,
    cast({{ part }}_sentence as string) as {{ part }}_sentence,
    cast({{ part }}_contribution as double) as {{ part }}_contribution,
    {%- endfor %}
    cast(reason as string) as reason,
    cast(model_version as string) as model_version

from lookalikes
