{#
    The probability of any order in the next days after Fader, Hardie & Lee (2005) and Batislam et al.
    (2007): whoever is alive orders with a gamma rate, and drop-out comes only after an order.
    rate_shape is r + x and rate_weeks alpha + T, in weeks.
#}
{% macro nbd_purchase_probability(alive_sql, horizon_days, rate_shape="rate_shape", rate_weeks="rate_weeks") %}
    {{- alive_sql ~ " * (1 - exp(" ~ rate_shape ~ " * ln(" ~ rate_weeks ~ " / (" ~ rate_weeks ~ " + "
        ~ horizon_days ~ " / 7.0))))" -}}
{% endmacro %}


{#
    Days until which a customer who is alive has ordered with a probability: a quantile of the Lomax
    distribution, given the weeks of the rate's gamma distribution.
#}
{% macro wait_days(rate_weeks_sql, level) %}
    {{- "7 * (" ~ rate_weeks_sql ~ ") * (power(1 - " ~ level ~ ", -1 / rate_shape) - 1)" -}}
{% endmacro %}
