{#
    Every claim holds in every row: one read of the relation instead of one for each column and claim.

    not_null        columns that are known in every row
    probabilities   columns from 0 to 1, shares too; never NaN
    not_negative    columns of 0 or more
    accepted_values the values that a column takes, by its name
    conditions      anything else about one row, as SQL

    What is NULL breaks no claim but not_null, as in a CHECK constraint. A row of the result names all the claims that
    some rows break together, and counts those rows.
#}
{% test satisfies(model, not_null=[], probabilities=[], not_negative=[], accepted_values={}, conditions=[]) %}

{%- set claims = [] %}
{%- for column in not_null %}{% do claims.append(column ~ " is not null") %}{% endfor %}
{%- for column in probabilities %}{% do claims.append(column ~ " between 0 and 1") %}{% endfor %}
{%- for column in not_negative %}{% do claims.append(column ~ " >= 0") %}{% endfor %}
{%- for column, values in accepted_values.items() %}
    {%- set literals = [] %}
    {%- for value in values %}{% do literals.append(coterie.quoted(value) if value is string else value) %}{% endfor %}
    {%- do claims.append(column ~ " in (" ~ literals | join(", ") ~ ")") %}
{%- endfor %}
{%- do claims.extend(conditions) %}

with

broken_rows as (

    select
        concat_ws(
            '; '
            {%- for claim in claims %},
            case when not ({{ claim }}) then {{ coterie.quoted(claim) }} end
            {%- endfor %}
        ) as broken_claims

    from {{ model }}

    where
        {% for claim in claims -%}
            {{ "or " if not loop.first }}not ({{ claim }})
            {{- "\n        " if not loop.last }}
        {%- endfor %}

),

counted as (

    select
        broken_claims,
        count(*) as row_count

    from broken_rows

    group by broken_claims

)

select * from counted

{% endtest %}
