{# Scalar vars with their checks: each macro returns a value that is safe to write into SQL. #}

{% macro rfm_lookback_days() %}
    {{ return(coterie.positive_integer_var("coterie__rfm_lookback_days")) }}
{% endmacro %}


{% macro refit_interval_days() %}
    {{ return(coterie.positive_integer_var("coterie__refit_interval_days")) }}
{% endmacro %}


{% macro training_row_limit() %}
    {{ return(coterie.positive_integer_var("coterie__training_row_limit")) }}
{% endmacro %}


{# Attributes that no model sees and no reason names, unless the host asks for it. #}
{% macro sensitive_attributes() %}
    {% set given = var("coterie__sensitive_attributes") or [] %}
    {{ return([given] if given is string else given | list) }}
{% endmacro %}


{% macro positive_integer_var(name) %}
    {% set value = var(name) | int(-1) %}
    {% if value < 1 %}
        {{ coterie.refuse(
            "The var " ~ name ~ " must be a whole number above 0, but it is '" ~ var(name) ~ "'."
        ) }}
    {% endif %}
    {{ return(value) }}
{% endmacro %}


{# A whole number from 0 on. #}
{% macro whole_number_var(name) %}
    {% set value = var(name) | int(-1) %}
    {% if value < 0 %}
        {{ coterie.refuse(
            "The var " ~ name ~ " must be a whole number, 0 or more, but it is '" ~ var(name) ~ "'."
        ) }}
    {% endif %}
    {{ return(value) }}
{% endmacro %}


{% macro timezone_var(name) %}
    {% if var(name) not in modules.pytz.all_timezones_set %}
        {{ coterie.refuse(
            "The var " ~ name ~ " must be a time zone of the IANA database such as Europe/London, but it is '"
            ~ var(name) ~ "'."
        ) }}
    {% endif %}
    {{ return(var(name)) }}
{% endmacro %}


{# The day to look from, as an ISO text; none where the data decides. #}
{% macro given_as_of_date() %}
    {% set given = (var("coterie__as_of_date") or "") | string | trim %}
    {% if not given %}
        {{ return(none) }}
    {% endif %}
    {% if not modules.re.match("^\\d{4}-\\d{2}-\\d{2}$", given) %}
        {{ coterie.refuse(
            "The var coterie__as_of_date must be an ISO date such as 2025-10-01, but it is '"
            ~ given ~ "'. Leave it empty to use the day after the newest valid order."
        ) }}
    {% endif %}
    {{ return(given) }}
{% endmacro %}


{# The attributes by whose values the quality of predictions is told apart. #}
{% macro fairness_attributes() %}
    {% set known = ["gender", "country_code", "region", "city", "acquisition_channel", "age_band"] %}
    {% set given = var("coterie__fairness_attributes") or [] %}
    {% if given is string or given is mapping or given is not iterable %}
        {{ coterie.refuse(
            "The var coterie__fairness_attributes must be a list such as [gender, age_band], but it is '"
            ~ given ~ "'."
        ) }}
        {% set given = [] %}
    {% endif %}
    {% for name in given if name not in known %}
        {{ coterie.refuse(
            "The var coterie__fairness_attributes has the unknown attribute '" ~ name ~ "'. It takes: "
            ~ (known | join(", ")) ~ "."
        ) }}
    {% endfor %}
    {{ return(known | select("in", given) | list) }}
{% endmacro %}


{# A user's text as an SQL literal. #}
{% macro quoted(text) %}
    {{ return("'" ~ (text | string | replace("'", "''")) ~ "'") }}
{% endmacro %}


{# A user's list as an SQL list of lower-case text literals for `in (...)`. #}
{% macro quoted_list(texts) %}
    {% set literals = [] %}
    {% for text in texts %}
        {% do literals.append(coterie.quoted(text | string | lower)) %}
    {% endfor %}
    {{ return("(" ~ (literals or ["''"]) | join(", ") ~ ")") }}
{% endmacro %}


{% macro is_topic_enabled(topic) %}
    {{ return(var("coterie__" ~ topic ~ "_enabled") | as_bool) }}
{% endmacro %}


{# Whether a calibrated rate stands in for a model that is worse than it. #}
{% macro is_baseline_published() %}
    {{ return(var("coterie__publish_baseline") | as_bool) }}
{% endmacro %}


{# True in this project itself, false where it is installed as a package. #}
{% macro is_own_project() %}
    {{ return(project_name == "coterie") }}
{% endmacro %}
