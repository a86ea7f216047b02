{#
    The clusterings that are fitted, one dictionary each with its settings: the shipped `default` with
    the var coterie__segmentations merged over it by name. The first is the one of coterie__customers.

    - features: numbers of int_coterie__customer_features, `interest_1` ... (affinities to topics), or
      attributes of int_coterie__customer_groups, which are categories
    - families, family_weights: which features belong together, and how much each family counts
    - algorithm: kmeans, bisecting_kmeans, gaussian_mixture, ward or hdbscan
#}
{% macro segmentations() %}
    {% set merged = {"default": {}} %}
    {% set given = var("coterie__segmentations") or {} %}
    {% if given is not mapping %}
        {{ coterie.refuse(
            "The var coterie__segmentations must be a map from the name of a segmentation to its settings, such as "
            ~ "{default: {n_clusters: 5}}, but it is: " ~ given
        ) }}
        {% set given = {} %}
    {% endif %}
    {% for name, settings in given.items() %}
        {% if settings is none or settings is false %}
            {% do merged.pop(name, none) %}
        {% else %}
            {% do merged.update({name: settings}) %}
        {% endif %}
    {% endfor %}
    {% set segmentations = [] %}
    {% for name, settings in merged.items() %}
        {% do segmentations.append(coterie.checked_segmentation(name, settings)) %}
    {% endfor %}
    {{ return(segmentations) }}
{% endmacro %}


{# The clusterings, and none where the topic is off. #}
{% macro enabled_segmentations() %}
    {{ return(coterie.segmentations() if coterie.is_topic_enabled("segmentation") else []) }}
{% endmacro %}


{# A segmentation's settings over the defaults, with its name; what cannot be is refused. #}
{% macro checked_segmentation(name, given) %}
    {% set var_name = "coterie__segmentations" %}
    {% if name in coterie.reserved_segmentation_names() or not modules.re.match("^[a-z][a-z0-9_]*$", name) %}
        {{ coterie.refuse(
            "The var coterie__segmentations must not call a segmentation '" ~ name ~ "'. Choose a name of small "
            ~ "letters, digits and underscores other than: "
            ~ (coterie.reserved_segmentation_names() | join(", ")) ~ "."
        ) }}
    {% endif %}
    {% set segmentation = coterie.merged_over(
        var_name ~ "." ~ name, given, coterie.segmentation_defaults()
    ) %}
    {% set algorithms = ["kmeans", "bisecting_kmeans", "gaussian_mixture", "ward", "hdbscan"] %}
    {% if segmentation.algorithm not in algorithms %}
        {{ coterie.refuse(
            "The var " ~ var_name ~ " gives " ~ name ~ " the unknown algorithm '" ~ segmentation.algorithm
            ~ "'. It takes: " ~ (algorithms | join(", ")) ~ "."
        ) }}
    {% endif %}
    {% if segmentation.features is string or not segmentation.features %}
        {{ coterie.refuse(
            "The var " ~ var_name ~ " gives " ~ name ~ " no list of features; give at least one, such as "
            ~ "[order_count_365d]."
        ) }}
    {% endif %}
    {% if segmentation.family_weights is none %}
        {# Orders and money say much the same, so recency counts more, where families are not chosen. #}
        {% set is_rfm = not segmentation.families and "days_since_last_order" in segmentation.features %}
        {% do segmentation.update(
            {"family_weights": {"days_since_last_order": 1.5} if is_rfm else {}}
        ) %}
    {% endif %}
    {% set numbers, categories, interests = [], [], [] %}
    {% set attributes = coterie.demographic_attributes() %}
    {% for feature in segmentation.features %}
        {% if modules.re.match("^interest_[0-9]+$", feature) %}
            {% do interests.append(feature) %}
        {% elif feature in attributes %}
            {% do categories.append(feature) %}
        {% else %}
            {% do numbers.append(feature) %}
        {% endif %}
    {% endfor %}
    {% for topic, features in [("interests", interests), ("demographics", categories)] %}
        {% if features and not coterie.is_topic_enabled(topic) %}
            {{ coterie.refuse(
                "The var " ~ var_name ~ " gives " ~ name ~ " the feature " ~ features[0]
                ~ ", which the topic " ~ topic ~ " makes. Set coterie__" ~ topic
                ~ "_enabled to true, or leave the feature out."
            ) }}
        {% endif %}
    {% endfor %}
    {% do segmentation.update({
        "name": name,
        "number_features": numbers,
        "interest_features": interests,
        "category_features": categories
    }) %}
    {{ return(segmentation) }}
{% endmacro %}


{% macro segmentation_defaults() %}
    {{ return({
        "features": ["days_since_last_order", "order_count_365d", "net_amount_365d"],
        "families": {},
        "family_weights": none,
        "algorithm": "kmeans",
        "n_clusters": "auto",
        "min_clusters": 4,
        "max_clusters": 6,
        "scaling": "standard",
        "clip": 3.0,
        "min_customer_count": 50,
        "sample_customer_limit": 20000,
        "border_margin": 0.05
    }) }}
{% endmacro %}


{# Names of segmentations that are no clusterings. #}
{% macro reserved_segmentation_names() %}
    {{ return(["rfm", "interest", "demographic"]) }}
{% endmacro %}


{# The name of the segmentation whose segments stand in coterie__customers. #}
{% macro default_segmentation_name() %}
    {% set segmentations = coterie.segmentations() %}
    {% if not segmentations %}
        {{ coterie.refuse(
            "The var coterie__segmentations leaves no segmentation. Name one, or set "
            ~ "coterie__segmentation_enabled to false."
        ) }}
        {{ return("default") }}
    {% endif %}
    {{ return(segmentations[0].name) }}
{% endmacro %}


{# All features of all segmentations, each once, by kind: number, interest or category. #}
{% macro segmentation_features() %}
    {% set features = {} %}
    {% for segmentation in coterie.segmentations() %}
        {% for kind in ["number", "interest", "category"] %}
            {% for feature in segmentation[kind ~ "_features"] %}
                {% do features.update({feature: kind}) %}
            {% endfor %}
        {% endfor %}
    {% endfor %}
    {{ return(features) }}
{% endmacro %}


{# What a version of one segmentation depends on. #}
{% macro segmentation_fit_settings(segmentation) %}
    {% set chosen = coterie.fitted_settings(segmentation) %}
    {% do chosen.update({
        "name": segmentation.name,
        "code_version": coterie.code_version(),
        "definitions": coterie.feature_definitions()
    }) %}
    {{ return(tojson(chosen, sort_keys=true)) }}
{% endmacro %}


{# Those settings of a segmentation that a fit reads; how firmly borders hold customers needs no new one. #}
{% macro fitted_settings(segmentation) %}
    {% set chosen = {} %}
    {% for key in coterie.segmentation_defaults() if key != "border_margin" %}
        {% do chosen.update({key: segmentation[key]}) %}
    {% endfor %}
    {{ return(chosen) }}
{% endmacro %}


{% macro segmentation_settings_hash(segmentation) %}
    {{- return(local_md5(coterie.segmentation_fit_settings(segmentation))) -}}
{% endmacro %}


{# The settings of all segmentations, for the Python models that fit them. #}
{% macro all_segmentation_settings() %}
    {% set all = {"segmentations": {}, "settings_hashes": {}} %}
    {% for segmentation in coterie.segmentations() %}
        {% do all.segmentations.update({segmentation.name: coterie.fitted_settings(segmentation)}) %}
        {% do all.settings_hashes.update(
            {segmentation.name: coterie.segmentation_settings_hash(segmentation)}
        ) %}
    {% endfor %}
    {% do all.update({"code_version": coterie.code_version()}) %}
    {{ return(tojson(all, sort_keys=true)) }}
{% endmacro %}


{#
    The segmentations that follow rules instead of centers, those whose topic is on: where a customer's
    code stands, and what it would be by the rules of the build before (NULL where these have not moved).
#}
{% macro ruled_segmentations() %}
    {% set ruled = [
        {
            "name": "rfm",
            "topic": "rfm",
            "relation": "int_coterie__customer_rfm",
            "code": "rfm_segment_code",
            "held_code": "held_rfm_segment_code",
            "condition": "is_scoring_date"
        },
        {
            "name": "interest",
            "topic": "interests",
            "relation": "int_coterie__customer_interest_segments",
            "code": "segment_code",
            "held_code": "held_segment_code",
            "condition": ""
        },
        {
            "name": "demographic",
            "topic": "demographics",
            "relation": "int_coterie__customer_demographics",
            "code": "segment_code",
            "held_code": "held_segment_code",
            "condition": ""
        }
    ] %}
    {% set enabled = [] %}
    {% for segmentation in ruled if coterie.is_topic_enabled(segmentation.topic) %}
        {% do enabled.append(segmentation) %}
    {% endfor %}
    {{ return(enabled) }}
{% endmacro %}


{# Whether there is any segmentation at all. #}
{% macro has_segmentations() %}
    {{ return(coterie.is_topic_enabled("segmentation") or coterie.ruled_segmentations() | length > 0) }}
{% endmacro %}


{#
    The incremental strategy of a history: what an earlier build of the same date wrote gives way to
    the new rows. `incremental_predicates` names the column with the date. A build as of a date before
    the newest one deletes nothing, and its model must add nothing.
#}
{% macro get_incremental_replace_date_sql(arg_dict) %}
    {% set target = arg_dict["target_relation"] %}
    {% set new_rows = arg_dict["temp_relation"] %}
    {% set date_column = arg_dict["incremental_predicates"][0] %}
    {% set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) %}
    {# An empty run must not forget anything. #}
    {% if not flags.EMPTY %}
    delete from {{ target }}
    where
        {{ date_column }} = (select max(as_of_date) from {{ ref('coterie', 'int_coterie__as_of') }})
        and {{ date_column }} = (select max({{ date_column }}) from {{ target }});

    insert into {{ target }} ({{ columns }})
    (select {{ columns }} from {{ new_rows }})
    {% else %}
    select 1 as nothing_to_do
    {% endif %}
{% endmacro %}
