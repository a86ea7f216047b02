{# The version of this package; the Python library must be of the same one. #}
{% macro package_version() %}
    {{ return("0.1.0") }}
{% endmacro %}
