{#
    What learners read by default: columns of int_coterie__customer_features and
    int_coterie__customer_nbd, in the order in which equal contributions are ranked.
    coterie__feature_reasons holds the words of each.
#}
{% macro default_propensity_features() %}
    {{ return([
        "days_since_last_order",
        "days_since_first_order",
        "days_since_signup",
        "order_count",
        "order_count_30d",
        "order_count_90d",
        "order_count_365d",
        "order_count_change_90d",
        "net_amount",
        "net_amount_90d",
        "net_amount_365d",
        "net_amount_change_90d",
        "avg_net_amount",
        "last_net_amount",
        "avg_gap_days",
        "max_gap_days",
        "overdue_ratio",
        "days_until_due",
        "discount_share",
        "coupon_order_share",
        "refund_share",
        "cancelled_order_share",
        "weekend_order_share",
        "morning_order_share",
        "evening_order_share",
        "sales_channel_count",
        "top_sales_channel_share",
        "avg_item_count",
        "product_count",
        "category_count",
        "top_category_share",
        "repeat_product_share",
        "days_since_last_session",
        "days_since_last_view",
        "days_since_last_search",
        "days_since_last_cart",
        "days_since_last_checkout",
        "session_count_7d",
        "session_count_30d",
        "session_count_90d",
        "engaged_session_count_90d",
        "view_count_30d",
        "search_count_30d",
        "cart_count_30d",
        "checkout_count_30d",
        "days_since_last_message",
        "message_count_90d",
        "open_share_90d",
        "click_share_90d",
        "days_since_last_open",
        "days_since_last_click",
        "is_unsubscribed",
        "nbd_probability_alive",
        "nbd_purchase_probability_90d"
    ]) }}
{% endmacro %}


{#
    The features of the learner as the host sets them, less those that it must not see: sensitive
    attributes, and what a topic that is switched off would make.
#}
{% macro propensity_features() %}
    {% set chosen = coterie.settings("propensity") %}
    {% set hidden = [] if coterie.is_topic_enabled("lifetime_value") else coterie.nbd_features() %}
    {% if not chosen.use_sensitive_attributes %}
        {% set hidden = hidden + coterie.sensitive_attributes() %}
    {% endif %}
    {{ return(chosen.features | reject("in", hidden) | list) }}
{% endmacro %}


{# The features that may be told as reasons: not sensitive, and such that somebody can act on them. #}
{% macro reason_features() %}
    {% set hidden = coterie.settings("propensity").hidden_reasons + coterie.sensitive_attributes() %}
    {{ return(coterie.propensity_features() | reject("in", hidden) | list) }}
{% endmacro %}


{# Features made by a purchase model, which stand in int_coterie__customer_nbd. #}
{% macro nbd_features() %}
    {{ return(["nbd_probability_alive", "nbd_purchase_probability_90d"]) }}
{% endmacro %}


{# Where a feature stands, as a column of the relations that hold features. #}
{% macro feature_column(feature) %}
    {%- set relation = "customer_nbd" if feature in coterie.nbd_features() else "customer_features" -%}
    {{- relation ~ "." ~ adapter.quote(feature) -}}
{% endmacro %}


{# A second value of the customer that the sentence of a feature tells beside its own. #}
{% macro usual_values() %}
    {{ return({
        "days_since_last_order": "avg_gap_days",
        "last_net_amount": "avg_net_amount"
    }) }}
{% endmacro %}
