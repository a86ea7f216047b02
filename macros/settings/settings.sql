{#
    The settings of a topic as one dictionary: the defaults below with the topic's map var merged
    over them. An unknown key is refused, so that a misspelt threshold cannot be ignored in silence.
#}
{% macro settings(topic) %}
    {% set defaults = {
        "rfm": {
            "mode": "quantile",
            "refreeze_days": 365,
            "min_customer_count": 100,
            "cut_points": none
        },
        "propensity": {
            "features": coterie.default_propensity_features(),
            "n_bins": 32,
            "learning_rate": 0.05,
            "max_iter_candidates": [80, 150, 300],
            "max_leaf_nodes": 3,
            "min_samples_leaf": 40,
            "l2_regularization": 1.0,
            "use_sensitive_attributes": false,
            "hidden_reasons": [
                "nbd_probability_alive", "nbd_purchase_probability_90d", "days_since_signup", "age_years"
            ],
            "spline_c": 0.2,
            "half_life_days": 200,
            "min_rows_to_boost": 1000,
            "min_positives_to_learn": 300,
            "max_test_row_count": 20000,
            "newcomer_days": 30,
            "min_cohort_count": 200
        },
        "lifetime_value": {
            "family": "mbg_nbd",
            "min_customer_count": 300,
            "min_repeat_customer_count": 100,
            "horizon_days": [90, 365],
            "annual_discount_rate": 0.1
        },
        "lookalikes": {
            "features": coterie.default_propensity_features(),
            "category_count": 8,
            "closeness_features": ["days_since_last_order", "order_count_365d", "net_amount_365d"],
            "max_centers": 3,
            "clip": 3.0,
            "spline_c": 0.2,
            "min_member_count": 50,
            "min_members_to_boost": 300,
            "sample_customer_limit": 5000,
            "sample_member_limit": 2000,
            "max_rank": 10000
        },
        "demographics": {
            "attributes": ["age_band", "gender", "country_code", "region"],
            "segment_by": ["age_band", "gender"],
            "false_discovery_rate": 0.05,
            "min_lift": 1.1
        },
        "interests": {
            "use_categories": true,
            "use_brands": false,
            "stop_words": [],
            "min_topics": 8,
            "max_topics": 12,
            "min_product_count": 20,
            "product_limit": 5000,
            "comment_limit": 200,
            "max_terms": 2000,
            "terms_per_topic": 150,
            "resample_count": 5,
            "min_similarity": 0.5,
            "min_stability": 0.7,
            "min_fit": 0.1,
            "lookback_days": 540,
            "view_days": 90,
            "half_life_days": 180,
            "view_weight": 0.2,
            "feedback_weight": 1,
            "prior_weight": 2,
            "min_evidence": 0.1
        },
        "gates": {
            "min_training_positive_count": 200,
            "min_training_negative_count": 200,
            "min_test_positive_count": 50,
            "min_test_negative_count": 50,
            "min_test_origin_count": 2,
            "max_test_origin_count": 4,
            "min_history_horizons": 3,
            "min_history_days_to_publish": 365,
            "max_excess_calibration_error": 0.05,
            "min_predicted_over_observed": 0.8,
            "max_predicted_over_observed": 1.25,
            "min_bootstrap_ari": 0.85,
            "min_segment_share": 0.02,
            "stale_after_refit_intervals": 2
        },
        "evidence": {
            "min_group_customer_count": 50,
            "max_published_sample_count": 5000,
            "min_drift_row_count": 500,
            "psi_watch": 0.1,
            "psi_act": 0.25
        },
        "data_quality": {
            "fail_on": [],
            "rejected_share_watch": 0.01,
            "after_as_of_date_watch": 0.01,
            "after_as_of_date_act": 0.05,
            "unread_watch": 0,
            "unread_act": 0.01,
            "unknown_customer_watch": 0.01,
            "unknown_customer_act": 0.2,
            "unknown_product_watch": 0.01,
            "unknown_product_act": 0.2,
            "guest_order_watch": 0.9,
            "guest_order_act": none,
            "known_late_watch": 0.5,
            "known_late_act": none,
            "unlinked_event_watch": 0.99,
            "unlinked_event_act": none,
            "identity_conflict_watch": 0.05,
            "identity_conflict_act": 0.2,
            "merged_visitor_watch": none,
            "merged_visitor_act": none,
            "freshness_watch": 3,
            "freshness_act": 8,
            "day_gap_watch": 2,
            "day_gap_act": 7,
            "sudden_drop_watch": 0.7,
            "sudden_drop_act": 0.4,
            "sudden_rise_watch": 2,
            "sudden_rise_act": none,
            "min_weekly_row_count": 50
        }
    } %}
    {% set merged = coterie.merged_map("coterie__" ~ topic, defaults[topic]) %}
    {% if topic == "rfm" %}
        {% set merged = coterie.checked_rfm_settings(merged) %}
    {% endif %}
    {% if topic == "lifetime_value" and merged.family not in ["mbg_nbd", "bg_nbd"] %}
        {{ coterie.refuse(
            "The var coterie__lifetime_value has the unknown family '" ~ merged.family
            ~ "'. It takes mbg_nbd or bg_nbd."
        ) }}
    {% endif %}
    {% if topic == "interests" %}
        {{ coterie.check_interests(merged) }}
    {% endif %}
    {{ return(merged) }}
{% endmacro %}


{% macro merged_map(var_name, defaults) %}
    {{ return(coterie.merged_over(var_name, var(var_name, {}), defaults)) }}
{% endmacro %}


{# The defaults with a user's map over them; `name` says where the map stands. #}
{% macro merged_over(name, given, defaults) %}
    {% set given = given or {} %}
    {% if given is not mapping %}
        {{ coterie.refuse(
            "The var " ~ name ~ " must be a map such as {" ~ (defaults | list | first)
            ~ ": ...}, but it is: " ~ given
        ) }}
        {% set given = {} %}
    {% endif %}
    {% for key in given if key not in defaults %}
        {{ coterie.refuse(
            "The var " ~ name ~ " has the unknown key '" ~ key ~ "'. It takes: "
            ~ (defaults | sort | join(", ")) ~ "."
        ) }}
    {% endfor %}
    {% set merged = {} %}
    {% do merged.update(defaults) %}
    {% do merged.update(given) %}
    {{ return(merged) }}
{% endmacro %}
