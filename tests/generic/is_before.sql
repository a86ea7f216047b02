{# Strictly earlier (or less) than another column of the same row. NULL on either side is allowed. #}
{% test is_before(model, column_name, other_column) %}

with

late as (

    select
        {{ column_name }},
        {{ other_column }}

    from {{ model }}

    where {{ column_name }} >= {{ other_column }}

)

select * from late

{% endtest %}
