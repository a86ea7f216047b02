{# A group of customers in words, `age 25 to 34` or `female`: a piece of SQL. #}
{% macro group_words(attribute, code_sql) %}
    {%- set label = coterie.attribute_words(attribute) -%}
    {%- set before = "" if attribute in ["gender", "region", "city"] else label ~ " " -%}
    {{- "(case when " ~ code_sql ~ " = 'unknown' then '" ~ label ~ " unknown' else '" ~ before
        ~ "' || replace(" ~ code_sql ~ ", '_', ' ') end)" -}}
{% endmacro %}


{# The name of an attribute as people say it. #}
{% macro attribute_words(attribute) %}
    {%- set known = {
        "age_band": "age",
        "country_code": "country",
        "acquisition_channel": "acquired by"
    } -%}
    {{- return(known.get(attribute, attribute | replace("_", " "))) -}}
{% endmacro %}
