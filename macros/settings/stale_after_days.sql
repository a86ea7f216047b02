{# How old a version may grow before its scores are withheld. #}
{% macro stale_after_days() %}
    {{ return((coterie.settings("gates").stale_after_refit_intervals * coterie.refit_interval_days()) | int) }}
{% endmacro %}
