{#
    Stops with a message about a var. Only where a model compiles: an error at parse time would
    block every command of the host, also those that touch none of our models.
#}
{% macro refuse(message) %}
    {% if execute %}
        {{ exceptions.raise_compiler_error(message) }}
    {% endif %}
{% endmacro %}
