{#
    Runs when dbt starts, also for commands that touch none of our models: it warns and never
    blocks. The models that need a bad var refuse it when they compile.
#}
{% macro warn_of_bad_vars() %}
    {% if execute and flags.WHICH in ["build", "run"] %}
        {% set problems = [] %}
        {% set given = (var("coterie__as_of_date") or "") | string | trim %}
        {% if given and not modules.re.match("^\\d{4}-\\d{2}-\\d{2}$", given) %}
            {% do problems.append(
                "The var coterie__as_of_date must be an ISO date such as 2025-10-01, but it is '" ~ given ~ "'."
            ) %}
        {% endif %}
        {% set maps = [
            "rfm", "segmentations", "lifetime_value", "propensity", "predictions", "gates", "evidence",
            "data_quality", "demographics", "interests", "lookalikes", "audiences"
        ] %}
        {% for name in maps if var("coterie__" ~ name) is not mapping %}
            {% do problems.append("The var coterie__" ~ name ~ " must be a map.") %}
        {% endfor %}
        {% for problem in problems %}
            {% do exceptions.warn("coterie: " ~ problem) %}
        {% endfor %}
    {% endif %}
{% endmacro %}
