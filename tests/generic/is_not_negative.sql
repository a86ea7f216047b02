{# 0 or more. NULL is allowed. #}
{% test is_not_negative(model, column_name) %}

with

negative as (

    select {{ column_name }}

    from {{ model }}

    where {{ column_name }} < 0

)

select * from negative

{% endtest %}
