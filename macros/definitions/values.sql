{# The horizons in days for which a value is predicted, the shortest first; 90 and 365 are always among them. #}
{% macro value_horizons() %}
    {% set given = coterie.settings("lifetime_value").horizon_days %}
    {% set horizons = [90, 365] %}
    {% for horizon in ([given] if given is number else given or []) %}
        {% if horizon is not number or horizon is boolean or horizon != horizon | int or horizon < 1 or horizon > 730 %}
            {{ coterie.refuse(
                "The var coterie__lifetime_value must hold whole numbers of days from 1 to 730 under horizon_days, "
                ~ "such as [90, 365], but it holds '" ~ horizon ~ "'."
            ) }}
        {% elif horizon not in horizons %}
            {% do horizons.append(horizon) %}
        {% endif %}
    {% endfor %}
    {{ return(horizons | sort) }}
{% endmacro %}


{# Whether values may be learned from features, beside the purchase model. #}
{% macro has_additive_value() %}
    {{ return(coterie.is_topic_enabled("propensity")) }}
{% endmacro %}


{# Up to how many days after their first order customers with one order day count as newcomers. #}
{% macro newcomer_value_days() %}
    {{- 90 -}}
{% endmacro %}


{#
    The cohort whose mean value stands for customers of whom too little is known: by whether they
    have ordered, again, and for how long they have been customers.
#}
{% macro value_cohort() %}
    case
        when order_day_count = 0 then 'prospect'
        else
            case when order_day_count = 1 then 'once' else 'repeat' end
            || case
                when days_since_first_order <= 30 then '_within_30d'
                when days_since_first_order <= 90 then '_within_90d'
                when days_since_first_order <= 180 then '_within_180d'
                when days_since_first_order <= 365 then '_within_365d'
                else '_after_365d'
            end
    end
{%- endmacro %}


{# Whether a cohort has never ordered, once, or again. #}
{% macro cohort_kind() %}
    case
        when cohort = 'prospect' then 'prospect'
        when cohort like 'once%' then 'once'
        else 'repeat'
    end
{%- endmacro %}


{#
    The percentiles between which intervals of 80 % lie: the first and the last one, or from 0 to the
    middle one where nothing at all is likely enough.
#}
{% macro interval_percents() %}
    {{ return([10, 80, 90]) }}
{% endmacro %}


{# The columns that hold them. #}
{% macro interval_quantiles() %}
    {% set names = [] %}
    {% for percent in coterie.interval_percents() %}
        {% do names.append("quantile_" ~ percent) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}


{# Whether an interval begins above 0, by the probability of no spend at all. #}
{% macro is_surely_above_nothing(no_spend_sql) %}
    {{- no_spend_sql ~ " < 0.1" -}}
{% endmacro %}


{# A level of a mixture with nothing, as the level of its other part; below 0 where it is nothing. #}
{% macro level_given_any(level, nothing_sql) %}
    {{- "(" ~ level ~ " - (" ~ nothing_sql ~ ")) / nullif(1 - (" ~ nothing_sql ~ "), 0)" -}}
{% endmacro %}


{# A value between two neighbours of a list that holds quantiles at 0, 1/n, ... 1. #}
{% macro interpolated(list_sql, level_sql, step_count) %}
    {%- set place = "least(greatest(" ~ level_sql ~ ", 0), 1) * " ~ step_count -%}
    {%- set below = "cast(floor(least(" ~ place ~ ", " ~ step_count ~ " - 1)) as integer)" -%}
    {{- coterie.list_item(list_sql, below ~ " + 1") ~ " + (" ~ place ~ " - " ~ below ~ ") * ("
        ~ coterie.list_item(list_sql, below ~ " + 2") ~ " - " ~ coterie.list_item(list_sql, below ~ " + 1") ~ ")" -}}
{% endmacro %}


{# The margin of the shop as a share of net amounts, where no order tells its own; NULL for unknown. #}
{% macro margin_rate() %}
    {% set given = var("coterie__margin_rate") %}
    {% if given is none or given | string | trim == "" %}
        {{ return("cast(null as double)") }}
    {% endif %}
    {% if given is not number or given is boolean or given < -1 or given > 1 %}
        {{ coterie.refuse(
            "The var coterie__margin_rate must be a number from -1 to 1 such as 0.4, or empty, but it is '"
            ~ given ~ "'."
        ) }}
        {{ return("cast(null as double)") }}
    {% endif %}
    {{ return("cast(" ~ given ~ " as double)") }}
{% endmacro %}


{# The present value of money that comes evenly over a year, as a share of it. #}
{% macro even_discount_share() %}
    {%- set rate = coterie.settings("lifetime_value").annual_discount_rate -%}
    {{- "((1 - exp(-ln(1 + " ~ rate ~ "))) / ln(1 + " ~ rate ~ "))" if rate > 0 else "1" -}}
{% endmacro %}
