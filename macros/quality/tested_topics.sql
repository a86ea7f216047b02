{# The topics whose models are tested on the past, and where their versions and metrics stand. #}
{% macro tested_topics() %}
    {% set topics = [] %}
    {% if coterie.is_topic_enabled("propensity") %}
        {% do topics.append({
            "name": "propensity",
            "versions": "int_coterie__propensity_versions",
            "metrics": "int_coterie__backtest_metrics"
        }) %}
    {% endif %}
    {% if coterie.is_topic_enabled("lifetime_value") %}
        {% do topics.append({
            "name": "lifetime_value",
            "versions": "int_coterie__value_versions",
            "metrics": "int_coterie__value_metrics"
        }) %}
    {% endif %}
    {{ return(topics) }}
{% endmacro %}
