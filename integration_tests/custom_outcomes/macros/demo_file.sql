{# A CSV of the package's demo data, read where it lies: by default two folders up. #}
{% macro demo_file(input) %}
    {%- set folder = env_var('COTERIE_DEMO_SEEDS', '../../seeds/demo') -%}
    read_csv('{{ folder }}/coterie__demo_{{ input }}.csv', header = true, sample_size = -1)
{%- endmacro %}
