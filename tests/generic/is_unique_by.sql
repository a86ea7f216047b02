{#
    No two rows share the values of these columns; NULLs count as equal. Rows alike have the same hash, so that only
    rows of a repeated hash, mostly none, are compared by their values: numbers are compared with less work than texts.
#}
{% test is_unique_by(model, columns) %}

with

hashed as (

    select {{ coterie.row_hash(columns) }} as key_hash from {{ model }}

),

repeated_hashes as (

    {{ coterie.repeated_values('hashed', 'key_hash') | trim }}

),

candidates as (

    select {{ columns | join(", ") }}

    from {{ model }}

    where {{ coterie.row_hash(columns) }} in (select key_hash from repeated_hashes)

),

repeated as (

    select
        {{ columns | join(", ") }},
        count(*) as row_count

    from candidates

    group by {{ columns | join(", ") }}

    having count(*) > 1

)

select * from repeated

{% endtest %}
