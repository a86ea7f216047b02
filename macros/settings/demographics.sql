{#
    Columns of the customers input beside ours by which customers may be grouped, as text. Their names
    are written into SQL, so they are plain words; another name of the shop's is mapped to one in
    coterie__customers_columns.
#}
{% macro customer_attributes() %}
    {% set given = var("coterie__customer_attributes") or [] %}
    {% if given is string or given is mapping or given is not iterable %}
        {{ coterie.refuse(
            "The var coterie__customer_attributes must be a list such as [income_band], but it is '"
            ~ given ~ "'."
        ) }}
        {% set given = [] %}
    {% endif %}
    {% set own = [
        "customer_id", "valid_from", "valid_until", "is_current", "is_first", "email", "phone",
        "signed_up_at", "birth_date", "acquisition_campaign_id", "rejection_rule", "age_band",
        "category", "sales_channel", "order_hour", "order_weekday", "relation",
        "settings_hash"
    ] %}
    {% set read = ["gender", "country_code", "region", "city", "acquisition_channel"] %}
    {% set names = [] %}
    {% for name in given %}
        {% if not modules.re.match("^[a-z][a-z0-9_]*$", name | string) %}
            {{ coterie.refuse(
                "The var coterie__customer_attributes has the name '" ~ name ~ "', which is not made of "
                ~ "lower-case letters, digits and _. Choose a plain name, and map it to the column in "
                ~ "coterie__customers_columns."
            ) }}
        {% elif name in own %}
            {{ coterie.refuse(
                "The var coterie__customer_attributes has the name '" ~ name ~ "', which means something "
                ~ "else here. Choose another, and map it to the column in coterie__customers_columns."
            ) }}
        {% elif name not in read and name not in names %}
            {% do names.append(name) %}
        {% endif %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}


{# The attributes by which customers are grouped: `attributes`, or those of `segment_by`. #}
{% macro demographic_attributes(key="attributes") %}
    {% set settings = coterie.settings("demographics") %}
    {% set known = ["age_band", "gender", "country_code", "region", "city", "acquisition_channel"]
        + coterie.customer_attributes() %}
    {% set given = settings[key] %}
    {% if given is string or given is mapping or given is not iterable or not given %}
        {{ coterie.refuse(
            "The var coterie__demographics must have a list of attributes in " ~ key
            ~ ", such as [age_band, gender], but it is '" ~ given ~ "'."
        ) }}
        {% set given = ["age_band"] %}
    {% endif %}
    {% for name in given if name not in known %}
        {{ coterie.refuse(
            "The var coterie__demographics has the unknown attribute '" ~ name ~ "' in " ~ key
            ~ ". It takes: " ~ (known | join(", ")) ~ ". Other columns of the customers input are read "
            ~ "where coterie__customer_attributes names them."
        ) }}
    {% endfor %}
    {% for name in given if key == "segment_by" and name not in settings.attributes %}
        {{ coterie.refuse(
            "The var coterie__demographics groups by '" ~ name ~ "' in segment_by, which is not among its "
            ~ "attributes. Add it there."
        ) }}
    {% endfor %}
    {{ return(given | unique | list) }}
{% endmacro %}


{# The attributes that a profile tells in its sentences: regions and cities are too many. #}
{% macro told_attributes() %}
    {% set told = [] %}
    {% if coterie.is_topic_enabled("demographics") %}
        {% for name in coterie.demographic_attributes() if name not in ["region", "city", "acquisition_channel"] %}
            {% do told.append(name) %}
        {% endfor %}
    {% endif %}
    {{ return(told + ["acquisition_channel"]) }}
{% endmacro %}


{# A threshold of the var coterie__demographics: a number, so that it is safe to write into SQL. #}
{% macro demographic_threshold(name) %}
    {% set value = coterie.settings("demographics")[name] | float(-1) %}
    {% set is_sound = value >= 1 if name == "min_lift" else 0 < value < 1 %}
    {% if not is_sound %}
        {{ coterie.refuse(
            "The var coterie__demographics must have a number "
            ~ ("from 1 on" if name == "min_lift" else "between 0 and 1") ~ " in " ~ name
            ~ ", but it is '" ~ coterie.settings("demographics")[name] ~ "'."
        ) }}
    {% endif %}
    {{ return(value) }}
{% endmacro %}


{# How many customers a figure must be of to be shown. #}
{% macro min_cell_size() %}
    {{ return(coterie.positive_integer_var("coterie__min_cell_size")) }}
{% endmacro %}
