{#
    What a fitted version depends on, as one JSON text with sorted keys: the settings of its topic and every
    var that changes what a feature means. A version fitted under other settings is never used.
#}
{% macro fit_settings(topic) %}
    {% if topic == "segmentation" %}
        {{ return(coterie.all_segmentation_settings()) }}
    {% endif %}
    {% set definitions = coterie.feature_definitions() %}
    {% set chosen = {} %}
    {% do chosen.update(coterie.settings("propensity" if topic in ["feature_bins", "value"] else topic)) %}
    {% if topic == "lifetime_value" %}
        {# Parameters of the purchase and the spend model hold for any horizon. #}
        {% for name in ["horizon_days", "annual_discount_rate"] %}
            {% do chosen.pop(name, none) %}
        {% endfor %}
    {% elif topic in ["feature_bins", "propensity", "value"] %}
        {# What only words or the mart depend on needs no new fit. #}
        {% for name in ["hidden_reasons", "newcomer_days", "min_cohort_count", "use_sensitive_attributes"] %}
            {% do chosen.pop(name, none) %}
        {% endfor %}
        {% do chosen.update({"features": coterie.propensity_features()}) %}
        {% if coterie.is_topic_enabled("lifetime_value") %}
            {% do definitions.update({"lifetime_value": coterie.fit_settings("lifetime_value")}) %}
        {% endif %}
    {% endif %}
    {% if topic == "interests" %}
        {# What scores alone depend on needs no new fit. #}
        {% for name in [
            "min_stability", "min_fit", "lookback_days", "view_days", "half_life_days", "view_weight", "feedback_weight",
            "prior_weight", "min_evidence"
        ] %}
            {% do chosen.pop(name, none) %}
        {% endfor %}
        {% do definitions.pop("rfm_lookback_days", none) %}
    {% endif %}
    {% if topic == "feature_bins" %}
        {% set chosen = {"features": chosen.features, "n_bins": chosen.n_bins} %}
    {% elif topic == "value" %}
        {% set gates = coterie.settings("gates") %}
        {% do chosen.update(coterie.settings("lifetime_value")) %}
        {% do chosen.update({
            "horizon_days": coterie.value_horizons(),
            "newcomer_days": coterie.newcomer_value_days() | int,
            "has_additive": coterie.has_additive_value(),
            "min_positive_count": gates.min_training_positive_count,
            "min_negative_count": gates.min_training_negative_count,
            "max_test_origins": gates.max_test_origin_count,
            "training_row_limit": coterie.training_row_limit()
        }) %}
    {% elif topic == "lookalikes" %}
        {# Samples and ranks are not the fit's. #}
        {% for name in ["sample_customer_limit", "sample_member_limit", "max_rank"] %}
            {% do chosen.pop(name, none) %}
        {% endfor %}
        {# Bins are found by as many steps as those of predictions. #}
        {% do chosen.update({
            "features": coterie.lookalike_features(),
            "closeness_features": coterie.closeness_features(),
            "n_bins": coterie.settings("propensity").n_bins
        }) %}
    {% elif topic == "propensity" %}
        {% set gates = coterie.settings("gates") %}
        {% do chosen.update({
            "predictions": coterie.prediction_settings(),
            "min_positive_count": gates.min_training_positive_count,
            "min_negative_count": gates.min_training_negative_count,
            "max_test_origins": gates.max_test_origin_count,
            "training_row_limit": coterie.training_row_limit()
        }) %}
    {% endif %}
    {% do chosen.update({"code_version": coterie.code_version(), "definitions": definitions}) %}
    {{ return(tojson(chosen, sort_keys=true)) }}
{% endmacro %}


{# Raised by hand when the learning code changes its results, or when a feature changes its meaning. #}
{% macro code_version() %}
    {{ return("5") }}
{% endmacro %}


{# Every var that changes what a feature means. #}
{% macro feature_definitions() %}
    {% set definitions = {"rfm_lookback_days": coterie.rfm_lookback_days()} %}
    {% do definitions.update(coterie.definition_vars()) %}
    {{ return(definitions) }}
{% endmacro %}


{# The vars that say what a row of an input means. #}
{% macro definition_vars() %}
    {{ return({
        "timezone": var("coterie__timezone"),
        "source_timezone": var("coterie__source_timezone"),
        "invalid_order_statuses": var("coterie__invalid_order_statuses") | map("lower") | sort,
        "event_types": coterie.event_types()
    }) }}
{% endmacro %}
