{#
    The value stands in a column of another relation. An empty relation knows nothing and refuses
    nothing: an input that is not mapped makes no claim. NULL is allowed.
#}
{% test is_known_in(model, column_name, to, field) %}

with

known as (

    select distinct {{ field }} as known_value

    from {{ to }}

    where {{ field }} is not null

),

known_count as (

    select count(*) as value_count from known

),

unknown as (

    select child.{{ column_name }}

    from {{ model }} as child

    cross join known_count

    left join known
        on child.{{ column_name }} = known.known_value

    where
        child.{{ column_name }} is not null
        and known.known_value is null
        and known_count.value_count > 0

)

select * from unknown

{% endtest %}
