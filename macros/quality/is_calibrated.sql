{#
    Whether tested probabilities may be shown, as an SQL condition over the metrics of a scorer.
    Refused on evidence: of the ratio the whole interval has to lie outside the bounds.
#}
{% macro is_calibrated(gates) %}
coalesce(
    excess_calibration_error <= {{ gates.max_excess_calibration_error }}
    and predicted_over_observed_upper >= {{ gates.min_predicted_over_observed }}
    and predicted_over_observed_lower <= {{ gates.max_predicted_over_observed }},
    false
)
{%- endmacro %}
