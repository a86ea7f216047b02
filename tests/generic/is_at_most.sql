{# At most another column of the same row: an amount not above it, a time not after it. NULL is allowed. #}
{% test is_at_most(model, column_name, other_column) %}

with

above as (

    select
        {{ column_name }},
        {{ other_column }}

    from {{ model }}

    where {{ column_name }} > {{ other_column }}

)

select * from above

{% endtest %}
