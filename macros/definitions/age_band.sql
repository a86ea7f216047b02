{# An age in completed years as a band; NULL where it is not known. #}
{% macro age_band(age_sql) %}
    case
        when {{ age_sql }} < 25 then 'under_25'
        when {{ age_sql }} < 35 then '25_to_34'
        when {{ age_sql }} < 45 then '35_to_44'
        when {{ age_sql }} < 55 then '45_to_54'
        when {{ age_sql }} < 65 then '55_to_64'
        when {{ age_sql }} >= 65 then '65_and_over'
    end
{%- endmacro %}
