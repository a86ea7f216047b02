{# The hash that a version fitted now would carry. #}
{% macro current_settings_hash(topic) %}
    {{- "'" ~ local_md5(coterie.fit_settings(topic)) ~ "'" -}}
{% endmacro %}


{# The hash of the thresholds by which versions are judged now. #}
{% macro gate_settings_hash() %}
    {{- "'" ~ local_md5(tojson(coterie.settings("gates"), sort_keys=true)) ~ "'" -}}
{% endmacro %}
