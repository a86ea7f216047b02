{#
    The settings of RFM as they are used, refused in words where they make no sense. `cut_points`
    become one list for each score, from the boundary of score 2 to that of score 5.
#}
{% macro checked_rfm_settings(settings) %}
    {% set modes = ["quantile", "frozen", "fixed"] %}
    {% if settings.mode not in modes %}
        {{ coterie.refuse(
            "The var coterie__rfm has the unknown mode '" ~ settings.mode ~ "'. It takes: " ~ (modes | join(", ")) ~ "."
        ) }}
    {% endif %}
    {% for name in ["refreeze_days", "min_customer_count"] if settings[name] | int(-1) < 1 %}
        {{ coterie.refuse(
            "The var coterie__rfm needs " ~ name ~ ", a whole number above 0, but has '" ~ settings[name] ~ "'."
        ) }}
    {% endfor %}
    {% if settings.mode == "fixed" %}
        {% do settings.update({"cut_points": coterie._checked_cut_points(settings.cut_points)}) %}
    {% elif settings.cut_points %}
        {{ coterie.refuse(
            "The var coterie__rfm has cut_points, but its mode is '" ~ settings.mode ~ "', which finds its own. Set "
            ~ "mode: fixed to score by them, or leave them out."
        ) }}
    {% endif %}
    {{ return(settings) }}
{% endmacro %}


{% macro _checked_cut_points(given) %}
    {% set names = {"recency_days": "recency", "order_count": "frequency", "net_amount": "monetary"} %}
    {% set example = "{recency_days: [30, 60, 120, 240], order_count: [2, 3, 5, 10], net_amount: [50, 100, 250, 1000]}" %}
    {% if given is not mapping %}
        {{ coterie.refuse(
            "The var coterie__rfm has mode: fixed and so needs cut_points, a map of three lists such as " ~ example
            ~ ", but has: " ~ given ~ "."
        ) }}
        {% set given = {} %}
    {% endif %}
    {% for key in given if key not in names %}
        {{ coterie.refuse(
            "The var coterie__rfm has the unknown key '" ~ key ~ "' under cut_points. It takes: "
            ~ (names | list | join(", ")) ~ "."
        ) }}
    {% endfor %}
    {% set checked = {} %}
    {% for key, score_name in names.items() %}
        {% set values = given.get(key) %}
        {% set is_whole = key != "net_amount" %}
        {% set state = namespace(is_good=values is sequence and values is not string and values is not mapping) %}
        {% set clean = [] %}
        {% for value in (values if state.is_good else []) %}
            {% if value is boolean or value is not number or not (value > 0 and value < 1000000000000) %}
                {% set state.is_good = false %}
            {% elif is_whole and value != value | int %}
                {% set state.is_good = false %}
            {% else %}
                {% set value = value | int if is_whole else value | float | round(2) %}
                {% if clean and value <= clean | last %}
                    {% set state.is_good = false %}
                {% endif %}
                {% do clean.append(value) %}
            {% endif %}
        {% endfor %}
        {% if not state.is_good or clean | length != 4 %}
            {{ coterie.refuse(
                "The var coterie__rfm needs under cut_points a list " ~ key ~ " of four "
                ~ ("whole numbers" if is_whole else "amounts") ~ " above 0 that rise, "
                ~ (
                    "the most days since the last order with which a customer still scores 5, 4, 3 and 2"
                    if key == "recency_days"
                    else "the least with which a customer scores 2, 3, 4 and 5"
                )
                ~ ", but has: " ~ values ~ ". An example of cut_points: " ~ example ~ "."
            ) }}
            {% set clean = [1, 2, 3, 4] %}
        {% endif %}
        {% do checked.update({score_name: clean | reverse | list if key == "recency_days" else clean}) %}
    {% endfor %}
    {{ return(checked) }}
{% endmacro %}


{# What boundaries of scores mean. Under other settings they are boundaries of something else. #}
{% macro rfm_settings_hash() %}
    {% set meaning = {"definitions_version": 1, "rfm_lookback_days": coterie.rfm_lookback_days()} %}
    {% do meaning.update(coterie.definition_vars()) %}
    {% do meaning.pop("event_types") %}
    {{- "'" ~ local_md5(tojson(meaning, sort_keys=true)) ~ "'" -}}
{% endmacro %}
