{#
    What can be missing before a version can be judged: conditions on the evidence of
    int_coterie__gate_results, and what is said of each as SQL text.
#}
{% macro missing_evidence(gates) %}
    {{ return(coterie._lacking([
        ("training_positive_count", gates.min_training_positive_count, "outcomes to learn from"),
        ("training_negative_count", gates.min_training_negative_count, "non-outcomes to learn from"),
        ("test_origin_count", gates.min_test_origin_count, "test dates"),
        ("test_positive_count", gates.min_test_positive_count, "outcomes on the test dates"),
        ("test_negative_count", gates.min_test_negative_count, "non-outcomes on the test dates"),
        (
            "coalesce(history_days, 0)",
            gates.min_history_horizons | string ~ " * horizon_days",
            "days of history before the first test date"
        )
    ])) }}
{% endmacro %}


{# The same for the evidence of int_coterie__value_gate_results. #}
{% macro missing_value_evidence(gates) %}
    {{ return(coterie._lacking([
        ("training_buyer_count", gates.min_training_positive_count, "customers who bought to learn from"),
        ("test_origin_count", gates.min_test_origin_count, "test dates"),
        ("test_buyer_count", gates.min_test_positive_count, "customers who bought on the test dates")
    ])) }}
{% endmacro %}


{% macro _lacking(needs) %}
    {%- set evidence = {} -%}
    {%- for column, least, noun in needs -%}
        {%- do evidence.update({
            column ~ " < " ~ least: "cast(cast(" ~ column ~ " as bigint) as string) || ' of ' || cast(" ~ least
                ~ " as string) || ' " ~ noun ~ "'"
        }) -%}
    {%- endfor -%}
    {{ return(evidence) }}
{% endmacro %}
