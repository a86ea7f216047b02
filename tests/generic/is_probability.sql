{# A probability or a share: from 0 to 1, never NaN. NULL is allowed. #}
{% test is_probability(model, column_name) %}

with

outside as (

    select {{ column_name }}

    from {{ model }}

    where not {{ column_name }} between 0 and 1

)

select * from outside

{% endtest %}
