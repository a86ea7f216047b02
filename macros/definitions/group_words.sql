{# A group of customers in words, `age 25 to 34` or `female`: a piece of SQL. #}
{% macro group_words(attribute, code_sql) %}
    {%- set label = coterie.attribute_words(attribute) -%}
    {%- set words = "replace(" ~ code_sql ~ ", '_', ' ')" -%}
    {%- if attribute not in ["region", "city"] -%}
        {%- set words = "'" ~ label ~ " ' || " ~ words -%}
    {%- endif -%}
    {{- "(case when " ~ code_sql ~ " = 'unknown' then '" ~ label ~ " unknown'" -}}
    {%- if attribute == "gender" -%}
        {{- " when " ~ code_sql ~ " in ('female', 'male', 'women', 'men') then " ~ code_sql -}}
    {%- endif -%}
    {{- " else " ~ words ~ " end)" -}}
{% endmacro %}


{# The name of an attribute as people say it. #}
{% macro attribute_words(attribute) %}
    {%- set known = {
        "age_band": "age",
        "country_code": "country",
        "acquisition_channel": "acquired through"
    } -%}
    {{- return(known.get(attribute, attribute | replace("_", " "))) -}}
{% endmacro %}
