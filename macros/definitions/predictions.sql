{#
    The predictions that are published, one dictionary each: the shipped ones with the var
    coterie__predictions merged over them by name. Everything about a prediction is read from here.

    - outcome: what is to happen, `purchase` (a valid order) or an outcome of the input custom_outcomes
    - horizon_days: within how many days from the date
    - eligibility: of whom it is predicted, one of `coterie.eligibility_conditions()`
    - complement_of: the prediction of which this one is the opposite; it shares its model
    - left_out_features: features that its model must not see
#}
{% macro predictions() %}
    {% set shipped = {
        "purchase_30d": {"outcome": "purchase", "horizon_days": 30, "eligibility": "active_customers"},
        "purchase_90d": {"outcome": "purchase", "horizon_days": 90, "eligibility": "active_customers"},
        "churn_90d": {"complement_of": "purchase_90d", "eligibility": "buyers"},
        "second_order_90d": {"outcome": "purchase", "horizon_days": 90, "eligibility": "new_buyers"}
    } %}
    {% set merged = {} %}
    {% do merged.update(shipped) %}
    {% set given = var("coterie__predictions") or {} %}
    {% if given is not mapping %}
        {{ coterie.refuse(
            "The var coterie__predictions must be a map from the name of a prediction to what it predicts, such as "
            ~ "{answer_30d: {outcome: answered, horizon_days: 30}}, but it is: " ~ given
        ) }}
        {% set given = {} %}
    {% endif %}
    {% for name, spec in given.items() %}
        {% if spec is none or spec is false %}
            {% do merged.pop(name, none) %}
        {% else %}
            {% set whole = {} %}
            {% do whole.update(shipped.get(name, {})) %}
            {% do whole.update(coterie._checked_prediction(name, spec)) %}
            {% do merged.update({name: whole}) %}
        {% endif %}
    {% endfor %}
    {% set found = [] %}
    {% for name, spec in merged.items() %}
        {% do found.append(coterie._whole_prediction(name, spec, merged)) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{# The predictions that have a model of their own. #}
{% macro modelled_predictions() %}
    {{ return(coterie.predictions() | rejectattr("complement_of") | list) }}
{% endmacro %}


{#
    Of whom something can be predicted, as conditions on the columns of int_coterie__customer_features.
#}
{% macro eligibility_conditions() %}
    {{ return({
        "active_customers": "(order_count_365d > 0 or engaged_session_count_90d > 0)",
        "buyers": "order_count_365d > 0",
        "new_buyers": "(order_count = 1 and days_since_last_order <= 90)",
        "message_receivers": "(message_count_90d > 0 and is_unsubscribed = 0)",
        "all_customers": "true"
    }) }}
{% endmacro %}


{#
    Of whom an outcome is kept, as a condition on int_coterie__customer_features: those of whom it is
    predicted, and newcomers, who have the rate of their cohort. Only predictions about new buyers
    read those who were added to the even sample.
#}
{% macro is_candidate(prediction) %}
    {%- set condition = prediction.condition -%}
    {%- if prediction.complement_of -%}
        {%- set model = coterie.predictions() | selectattr("name", "equalto", prediction.complement_of) | first -%}
        {%- set condition = condition ~ " and " ~ model.condition -%}
    {%- elif prediction.outcome == "purchase" and prediction.eligibility == "active_customers" -%}
        {%- set condition = "(" ~ condition ~ " or " ~ coterie._is_newcomer() ~ ")" -%}
    {%- endif -%}
    {{- condition if prediction.eligibility == "new_buyers" else "is_in_sample and " ~ condition -}}
{% endmacro %}


{% macro _is_newcomer() %}
    {%- set newcomer_days = coterie.settings("propensity").newcomer_days | int -%}
    {{- "(order_count = 0 and days_since_signup <= " ~ newcomer_days ~ ")" -}}
{% endmacro %}


{# What a learner must know of each model. #}
{% macro prediction_settings() %}
    {% set settings = {} %}
    {% for prediction in coterie.modelled_predictions() %}
        {% do settings.update({prediction.name: {
            "horizon_days": prediction.horizon_days,
            "is_purchase": prediction.outcome == "purchase",
            "outcome": prediction.outcome,
            "eligibility": prediction.eligibility,
            "left_out_features": prediction.left_out_features
        }}) %}
    {% endfor %}
    {{ return(settings) }}
{% endmacro %}


{# A prediction as the var gives it, refused in words where it makes no sense. #}
{% macro _checked_prediction(name, spec) %}
    {% set keys = ["outcome", "horizon_days", "eligibility", "complement_of", "left_out_features"] %}
    {% if not modules.re.match("^[a-z][a-z0-9_]{0,59}$", name) %}
        {{ coterie.refuse(
            "The var coterie__predictions names a prediction '" ~ name ~ "'. A name has small letters, digits and "
            ~ "underscores, such as answer_30d."
        ) }}
    {% endif %}
    {% if spec is not mapping %}
        {{ coterie.refuse(
            "The var coterie__predictions must give a map for '" ~ name ~ "', such as {outcome: answered, "
            ~ "horizon_days: 30}, or null to leave the prediction out, but it gives: " ~ spec
        ) }}
        {{ return({}) }}
    {% endif %}
    {% for key in spec if key not in keys %}
        {{ coterie.refuse(
            "The var coterie__predictions has the unknown key '" ~ key ~ "' under '" ~ name ~ "'. It takes: "
            ~ (keys | join(", ")) ~ "."
        ) }}
    {% endfor %}
    {{ return(spec) }}
{% endmacro %}


{% macro _whole_prediction(name, spec, specs) %}
    {% set complement_of = spec.get("complement_of") %}
    {% if complement_of and (complement_of not in specs or specs[complement_of].get("complement_of")) %}
        {{ coterie.refuse(
            "The prediction '" ~ name ~ "' of the var coterie__predictions is the complement of '" ~ complement_of
            ~ "', which is no prediction with a model of its own. There are: " ~ (specs | list | join(", ")) ~ "."
        ) }}
    {% endif %}
    {% set own = specs.get(complement_of, spec) if complement_of else spec %}
    {% set conditions = coterie.eligibility_conditions() %}
    {% set eligibility = spec.get("eligibility", "active_customers") %}
    {% if eligibility not in conditions %}
        {{ coterie.refuse(
            "The prediction '" ~ name ~ "' of the var coterie__predictions has the unknown eligibility '"
            ~ eligibility ~ "'. It takes: " ~ (conditions | list | join(", ")) ~ "."
        ) }}
    {% endif %}
    {% set horizon_days = own.get("horizon_days") | int(-1) %}
    {% if horizon_days < 1 or horizon_days > 730 %}
        {{ coterie.refuse(
            "The prediction '" ~ name ~ "' of the var coterie__predictions needs horizon_days, a whole number from 1 "
            ~ "to 730, but has '" ~ own.get("horizon_days") ~ "'."
        ) }}
    {% endif %}
    {% if not own.get("outcome") %}
        {{ coterie.refuse(
            "The prediction '" ~ name ~ "' of the var coterie__predictions has no outcome: give 'purchase', or an "
            ~ "outcome of the relation of the var coterie__custom_outcomes_relation."
        ) }}
    {% elif own.outcome != "purchase" and not coterie.is_mapped_input("custom_outcomes") %}
        {{ coterie.refuse(
            "The prediction '" ~ name ~ "' of the var coterie__predictions has the outcome '" ~ own.outcome
            ~ "', which only the input custom_outcomes can tell: set the var coterie__custom_outcomes_relation, or "
            ~ "use the outcome 'purchase'."
        ) }}
    {% endif %}
    {% set left_out = own.get("left_out_features") or [] %}
    {% for feature in ([left_out] if left_out is string else left_out) if feature not in coterie.propensity_features() %}
        {{ coterie.refuse(
            "The prediction '" ~ name ~ "' of the var coterie__predictions leaves out '" ~ feature
            ~ "', which is no feature of the learner. Its features: " ~ (coterie.propensity_features() | join(", ")) ~ "."
        ) }}
    {% endfor %}
    {{ return({
        "name": name,
        "model_name": complement_of or name,
        "complement_of": complement_of,
        "outcome": own.get("outcome"),
        "horizon_days": horizon_days,
        "eligibility": eligibility,
        "condition": conditions.get(eligibility, "false"),
        "left_out_features": [left_out] if left_out is string else left_out
    }) }}
{% endmacro %}
