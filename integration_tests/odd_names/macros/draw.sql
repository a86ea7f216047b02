{# A number from 0 to 1 that depends on its name and key alone. #}
{% macro draw(name, key) %}
    (cast(concat('0x', substr(md5(concat('{{ name }}', '/', {{ key }})), 1, 7)) as bigint) / 268435456.0)
{% endmacro %}
