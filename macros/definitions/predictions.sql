{#
    The predictions that are published, one dictionary each. Everything about a prediction is read
    from here: its name is `<outcome>_<horizon>d`.
#}
{% macro predictions() %}
    {{ return([
        {"name": "purchase_30d", "outcome": "purchase", "horizon_days": 30}
    ]) }}
{% endmacro %}


{% macro prediction_horizons() %}
    {% set horizons = {} %}
    {% for prediction in coterie.predictions() %}
        {% do horizons.update({prediction.name: prediction.horizon_days}) %}
    {% endfor %}
    {{ return(horizons) }}
{% endmacro %}
