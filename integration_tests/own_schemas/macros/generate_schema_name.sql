{# Schemas carry no target name in front: warehouse for our own models, dwh_<name> for the others. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%} warehouse
    {%- else -%} dwh_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}
