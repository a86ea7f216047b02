{# The hash that a version fitted now would carry. #}
{% macro current_settings_hash(topic) %}
    {{- "'" ~ local_md5(coterie.fit_settings(topic)) ~ "'" -}}
{% endmacro %}
