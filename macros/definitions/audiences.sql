{#
    The audiences, one dictionary each in the order of their priority: the shipped ones with the var
    coterie__audiences merged over them by code.

    - conditions: all must hold for a customer to come in, stay_conditions for a member to stay
    - channel: by what members are written to, and so the purpose that they must have granted
    - priority: who goes first where two audiences exclude each other; 1 before 2
    - excludes: codes of audiences of which nobody is in this one, too
    - min_days: for how long a member stays whatever the conditions
    - max_growth, max_shrink: shares of its members by which a build may change it; null for any
#}
{% macro audiences() %}
    {{ return(coterie.all_audiences() | selectattr("is_enabled") | list) }}
{% endmacro %}


{# Also those that cannot be told, because a topic is off; `is_enabled` says so. #}
{% macro all_audiences() %}
    {% set shipped = coterie.shipped_audiences() %}
    {% set given = var("coterie__audiences") or {} %}
    {% if given is not mapping %}
        {{ coterie.refuse(
            "The var coterie__audiences must be a map from the code of an audience to its settings, such as "
            ~ "{big_spenders: {channel: email, conditions: [{column: net_amount_365d, operator: '>=', value: 500}]}}, "
            ~ "but it is: " ~ given
        ) }}
        {% set given = {} %}
    {% endif %}
    {% set merged = {} %}
    {% do merged.update(shipped) %}
    {% set own = {} %}
    {% for code, spec in given.items() %}
        {% if spec is none or spec is false %}
            {% do merged.pop(code, none) %}
        {% else %}
            {% set whole = {} %}
            {% do whole.update(shipped.get(code, {})) %}
            {% do whole.update(coterie._given_audience(code, spec)) %}
            {% do merged.update({code: whole}) %}
            {% do own.update({code: spec if spec is mapping else {}}) %}
        {% endif %}
    {% endfor %}
    {% set columns = coterie.audience_columns() %}
    {% set found = [] %}
    {% for code, spec in merged.items() %}
        {% do found.append(coterie._whole_audience(code, spec, own.get(code, {}), merged, shipped, columns)) %}
    {% endfor %}
    {{ return(found | sort(attribute="code") | sort(attribute="priority")) }}
{% endmacro %}


{% macro shipped_audiences() %}
    {{ return({
        "high_value_at_risk": {
            "description": "Customers of high value who will probably not buy within 90 days.",
            "channel": "email",
            "conditions": [
                {"column": "monetary_score", "operator": ">=", "value": 4},
                {"column": "churn_90d.probability", "operator": ">=", "value": 0.5}
            ],
            "stay_conditions": [
                {"column": "monetary_score", "operator": ">=", "value": 3},
                {"column": "churn_90d.probability", "operator": ">=", "value": 0.4}
            ],
            "priority": 1
        },
        "protect_champions": {
            "description": "Champions and loyal customers who grow less likely to come back.",
            "channel": "email",
            "conditions": [
                {"column": "rfm_segment_code", "operator": "in", "value": ["champion", "loyal"]},
                {"column": "churn_90d.probability", "operator": ">=", "value": 0.15}
            ],
            "stay_conditions": [
                {"column": "rfm_segment_code", "operator": "in", "value": ["champion", "loyal"]},
                {"column": "churn_90d.probability", "operator": ">=", "value": 0.1}
            ],
            "priority": 2,
            "excludes": ["high_value_at_risk"]
        },
        "win_back": {
            "description": "Customers who used to buy often and have not for a while.",
            "channel": "email",
            "conditions": [
                {"column": "rfm_segment_code", "operator": "in", "value": ["at_risk", "cant_lose"]}
            ],
            "stay_conditions": [
                {"column": "rfm_segment_code", "operator": "in", "value": ["at_risk", "cant_lose", "about_to_sleep", "hibernating"]}
            ],
            "priority": 3,
            "excludes": ["high_value_at_risk"]
        },
        "second_order": {
            "description": "Customers with one order, a while ago.",
            "channel": "email",
            "conditions": [
                {"column": "order_count", "operator": "=", "value": 1},
                {"column": "days_since_last_order", "operator": "between", "value": [14, 60]}
            ],
            "stay_conditions": [
                {"column": "order_count", "operator": "=", "value": 1},
                {"column": "days_since_last_order", "operator": "<=", "value": 90}
            ],
            "priority": 4
        },
        "likely_to_buy": {
            "description": "The tenth of the customers who are most likely to buy within 30 days.",
            "channel": "email",
            "conditions": [{"column": "purchase_30d.percentile", "operator": ">=", "value": 91}],
            "stay_conditions": [{"column": "purchase_30d.percentile", "operator": ">=", "value": 86}],
            "priority": 5,
            "excludes": ["second_order"]
        }
    }) }}
{% endmacro %}


{# Under so many members an audience may grow and shrink as it likes. #}
{% macro guarded_member_count() %}
    {{- 10 -}}
{% endmacro %}


{% macro _given_audience(code, spec) %}
    {% set keys = [
        "description", "channel", "conditions", "stay_conditions", "priority", "excludes", "min_days", "max_growth",
        "max_shrink"
    ] %}
    {% if not modules.re.match("^[a-z][a-z0-9_]{0,59}$", code | string) %}
        {{ coterie.refuse(
            "The var coterie__audiences names an audience '" ~ code ~ "'. A code has small letters, digits and "
            ~ "underscores, such as big_spenders."
        ) }}
    {% endif %}
    {% if spec is not mapping %}
        {{ coterie.refuse(
            "The var coterie__audiences must give a map for '" ~ code ~ "', such as {channel: email, conditions: "
            ~ "[...]}, or null to leave the audience out, but it gives: " ~ spec
        ) }}
        {{ return({}) }}
    {% endif %}
    {% for key in spec if key not in keys %}
        {{ coterie.refuse(
            "The var coterie__audiences has the unknown key '" ~ key ~ "' under '" ~ code ~ "'. It takes: "
            ~ (keys | join(", ")) ~ "."
        ) }}
    {% endfor %}
    {{ return(spec) }}
{% endmacro %}


{% macro _whole_audience(code, spec, own, specs, shipped, columns) %}
    {% set name = "The audience '" ~ code ~ "' of the var coterie__audiences" %}
    {% set channel = spec.get("channel") %}
    {% if channel is not string or not channel | trim %}
        {{ coterie.refuse(
            name ~ " has no channel. Give the purpose that its members must have granted, such as email or sms."
        ) }}
        {% set channel = "email" %}
    {% endif %}
    {% set numbers = {} %}
    {% for key, default, least, most, words in [
        ("priority", 100, 0, 1000000, "a whole number from 0 on"),
        ("min_days", 0, 0, 3650, "a whole number of days from 0 to 3650"),
        ("max_growth", 1.0, 0, 1000000, "a share above 0 such as 0.5, or null for any"),
        ("max_shrink", 0.5, 0, 1, "a share above 0 and up to 1 such as 0.5, or null for any")
    ] %}
        {% set value = spec.get(key, default) %}
        {% set is_share = key in ["max_growth", "max_shrink"] %}
        {% if value is none and is_share %}
        {% elif value is not number or value is boolean or not (least <= value <= most)
            or (is_share and value == 0) or (not is_share and value != value | int) %}
            {{ coterie.refuse(name ~ " needs in " ~ key ~ " " ~ words ~ ", but has '" ~ value ~ "'.") }}
            {% set value = default %}
        {% endif %}
        {% do numbers.update({key: value}) %}
    {% endfor %}
    {% set excludes = spec.get("excludes") or [] %}
    {% set excludes = [excludes] if excludes is string else excludes %}
    {% for other in excludes if other not in specs and other not in shipped %}
        {{ coterie.refuse(
            name ~ " excludes '" ~ other ~ "', which is no audience. "
            ~ coterie.nearest_names_words(other, specs | list)
        ) }}
    {% endfor %}
    {% set conditions = {} %}
    {% set missing = [] %}
    {% for key in ["conditions", "stay_conditions"] %}
        {% set given = spec.get(key) %}
        {# Conditions of the user's own are not joined with shipped ones for staying. #}
        {% if key == "stay_conditions" and (given is none or ("conditions" in own and key not in own)) %}
            {% set given = spec.get("conditions") %}
        {% endif %}
        {% if given is string or given is mapping or not given or given is not iterable %}
            {{ coterie.refuse(
                name ~ " has no list of " ~ key ~ ". Give at least one, such as "
                ~ "[{column: order_count, operator: '>=', value: 2}]."
            ) }}
            {% set given = [] %}
        {% endif %}
        {% set checked = [] %}
        {% for condition in given %}
            {% set whole = coterie._whole_condition(name, condition, columns, key in own or "conditions" in own) %}
            {% do checked.append(whole) %}
            {% if whole.missing_topic and whole.missing_topic not in missing %}
                {% do missing.append(whole.missing_topic) %}
            {% endif %}
        {% endfor %}
        {% do conditions.update({key: checked}) %}
    {% endfor %}
    {{ return({
        "code": code,
        "description": (spec.get("description") or code) | string,
        "channel": channel | lower | trim,
        "conditions": conditions.conditions,
        "stay_conditions": conditions.stay_conditions,
        "entry_words": conditions.conditions | map(attribute="words") | join(" and "),
        "stay_words": conditions.stay_conditions | map(attribute="words") | join(" and "),
        "priority": numbers.priority | int,
        "excludes": excludes | list,
        "min_days": numbers.min_days | int,
        "max_growth": numbers.max_growth,
        "max_shrink": numbers.max_shrink,
        "is_enabled": missing | length == 0,
        "missing": missing | join(", ")
    }) }}
{% endmacro %}


{#
    What conditions may name, by name: the type (text, number, date, timestamp or boolean), the
    relation and its column, and the topic that makes it. Read from the contracts of the marts.
#}
{% macro audience_columns() %}
    {% set columns = {} %}
    {# Predictions of custom outcomes read the var of their input, which dbt must see when it parses. #}
    {% set predictions = coterie.predictions() %}
    {% if not execute %}
        {{ return(columns) }}
    {% endif %}
    {% set topics = {
        "recency_score": "rfm", "frequency_score": "rfm", "monetary_score": "rfm",
        "lifetime_frequency_score": "rfm", "lifetime_monetary_score": "rfm", "monetary_tier": "rfm",
        "rfm_segment_code": "rfm", "rfm_reason": "rfm",
        "segment_code": "segmentation", "segment_name": "segmentation",
        "purchase_probability_30d": "propensity", "churn_probability_90d": "propensity",
        "purchase_score_status_30d": "propensity", "churn_score_status_90d": "propensity",
        "predicted_value_365d": "lifetime_value", "value_status": "lifetime_value"
    } %}
    {% for name, type in coterie._contracted_columns("coterie__customers").items() if name not in ["customer_id", "as_of_date"] %}
        {% do columns.update({name: {
            "kind": type, "relation": "customers", "of": "", "column": name, "topic": topics.get(name, "")
        }}) %}
    {% endfor %}
    {% for name, type in coterie._contracted_columns("coterie__customer_lifetime_values").items() if name not in columns and name not in ["customer_id", "as_of_date"] %}
        {% do columns.update({name: {
            "kind": type, "relation": "lifetime_values", "of": "", "column": name, "topic": "lifetime_value"
        }}) %}
    {% endfor %}
    {% set own = ["customer_id", "as_of_date", "prediction_name"] %}
    {% for prediction in predictions %}
        {% for name, type in coterie._contracted_columns("coterie__customer_predictions").items() if name not in own %}
            {% do columns.update({prediction.name ~ "." ~ name: {
                "kind": type, "relation": "predictions", "of": prediction.name, "column": name, "topic": "propensity"
            }}) %}
        {% endfor %}
    {% endfor %}
    {% set segmentations = {"rfm": "rfm", "interest": "interests", "demographic": "demographics"} %}
    {% if coterie.is_topic_enabled("segmentation") %}
        {% for segmentation in coterie.segmentations() %}
            {% do segmentations.update({segmentation.name: "segmentation"}) %}
        {% endfor %}
    {% else %}
        {% do segmentations.update({"default": "segmentation"}) %}
    {% endif %}
    {% for name, topic in segmentations.items() %}
        {% do columns.update({"segment:" ~ name: {
            "kind": "text", "relation": "memberships", "of": name, "column": "segment_code", "topic": topic
        }}) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}


{# The columns of a mart with their kinds, also where its topic is off. #}
{% macro _contracted_columns(mart) %}
    {% set id = "model.coterie." ~ mart %}
    {% set node = (graph.nodes or {}).get(id) %}
    {% set kinds = {"string": "text", "bigint": "number", "double": "number"} %}
    {% set columns = {} %}
    {% for name, column in (node.columns if node else {}).items() %}
        {% set type = column.data_type | string | lower %}
        {% do columns.update({name: "number" if type.startswith("decimal") else kinds.get(type, type)}) %}
    {% endfor %}
    {{ return(columns) }}
{% endmacro %}


{% macro audience_operators() %}
    {{ return({
        "=": "is",
        "!=": "is not",
        "<": "is below",
        "<=": "is at most",
        ">": "is above",
        ">=": "is at least",
        "in": "is one of",
        "between": "is between",
        "is_null": "is unknown",
        "is_not_null": "is known"
    }) }}
{% endmacro %}


{# A condition with its column, its SQL values and its words; what cannot be is refused. #}
{% macro _whole_condition(name, condition, columns, is_own) %}
    {% set nothing = {"column": "", "operator": "is_null", "values": [], "words": "", "missing_topic": "", "spec": {}} %}
    {% if not execute %}
        {{ return(nothing) }}
    {% endif %}
    {% set operators = coterie.audience_operators() %}
    {% if condition is not mapping or not condition.get("column") %}
        {{ coterie.refuse(
            name ~ " has a condition that is no map with a column: " ~ condition ~ ". Write {column: order_count, "
            ~ "operator: '>=', value: 2}."
        ) }}
    {% endif %}
    {% for key in condition if key not in ["column", "operator", "value"] %}
        {{ coterie.refuse(
            name ~ " has the unknown key '" ~ key ~ "' in a condition. It takes: column, operator, value."
        ) }}
    {% endfor %}
    {% set column = condition.column | string %}
    {% set operator = condition.get("operator") | string %}
    {% if operator not in operators %}
        {{ coterie.refuse(
            name ~ " has the unknown operator '" ~ operator ~ "' for the column '" ~ column ~ "'. It takes, in quotes: "
            ~ (operators | list | join(", ")) ~ "."
        ) }}
    {% endif %}
    {% set whole = columns.get(column) %}
    {% set topic = coterie._topic_of_missing(column, whole, is_own) %}
    {% if topic and is_own %}
        {{ coterie.refuse(
            name ~ " has the column '" ~ column ~ "', which the topic " ~ topic ~ " makes. Set coterie__" ~ topic
            ~ "_enabled to true, or leave the condition out."
        ) }}
    {% elif topic %}
        {% do nothing.update({"missing_topic": topic}) %}
        {{ return(nothing) }}
    {% elif whole is none %}
        {{ coterie.refuse(
            name ~ " has the unknown column '" ~ column ~ "'. "
            ~ coterie.nearest_names_words(column, columns | list)
            ~ " A condition names a column of coterie__customers or coterie__customer_lifetime_values, "
            ~ "prediction_name.column of coterie__customer_predictions, or segment:segmentation_name."
        ) }}
    {% endif %}
    {% set given = condition.get("value") %}
    {% if operator in ["is_null", "is_not_null"] %}
        {% if "value" in condition %}
            {{ coterie.refuse(
                name ~ " gives the operator " ~ operator ~ " of the column '" ~ column ~ "' a value. It takes none."
            ) }}
        {% endif %}
        {% set given = [] %}
    {% elif operator in ["in", "between"] %}
        {% set is_list = given is iterable and given is not string and given is not mapping %}
        {% if not is_list or not given or (operator == "between" and given | length != 2) %}
            {{ coterie.refuse(
                name ~ " needs for the operator " ~ operator ~ " of the column '" ~ column ~ "' a list of "
                ~ ("two values, the lower one first" if operator == "between" else "values") ~ ", but has: " ~ given
            ) }}
        {% endif %}
    {% else %}
        {% set given = [given] %}
    {% endif %}
    {% if operator in ["<", "<=", ">", ">=", "between"] and whole.kind in ["text", "boolean"] %}
        {{ coterie.refuse(
            name ~ " compares the column '" ~ column ~ "' by " ~ operator ~ ", but it holds "
            ~ ("text" if whole.kind == "text" else "true or false") ~ ". Use =, !=, in, is_null or is_not_null."
        ) }}
    {% endif %}
    {% set values = [] %}
    {% set told = [] %}
    {% for value in given %}
        {% do values.append(coterie._condition_literal(name, column, whole.kind, value)) %}
        {% do told.append(value | string) %}
    {% endfor %}
    {% set words = column | replace("segment:", "segment ") | replace(".", " ") | replace("_", " ") ~ " " ~ operators[operator] %}
    {% if told %}
        {% set words = words ~ " " ~ told | join(" and " if operator == "between" else ", ") %}
    {% endif %}
    {{ return({
        "column": column, "operator": operator, "values": values, "words": words, "missing_topic": "", "spec": whole
    }) }}
{% endmacro %}


{#
    The topic that would make a column and is off. What an example that is shipped names may also be
    a prediction that the host has left out; then the example is not told.
#}
{% macro _topic_of_missing(column, whole, is_own) %}
    {% if whole is not none %}
        {{ return(whole.topic if whole.topic and not coterie.is_topic_enabled(whole.topic) else "") }}
    {% endif %}
    {% set is_prediction = "." in column %}
    {% if is_prediction and not coterie.is_topic_enabled("propensity") %}
        {{ return("propensity") }}
    {% endif %}
    {% if not is_own and not coterie.is_topic_enabled("lifetime_value") %}
        {{ return("lifetime_value") }}
    {% endif %}
    {{ return("propensity" if is_prediction and not is_own else "") }}
{% endmacro %}


{# A value as a quoted literal of the column's kind. #}
{% macro _condition_literal(name, column, kind, value) %}
    {% set text = value | string %}
    {% set is_right = {
        "text": value is string,
        "number": value is number and value is not boolean and value == value and value | abs < 1e18,
        "boolean": value is boolean,
        "date": modules.re.match("^\\d{4}-\\d{2}-\\d{2}$", text) is not none,
        "timestamp": modules.re.match("^\\d{4}-\\d{2}-\\d{2}( \\d{2}:\\d{2}:\\d{2})?$", text) is not none
    }.get(kind, false) if value is not none else false %}
    {% if not is_right %}
        {{ coterie.refuse(
            name ~ " compares the column '" ~ column ~ "' with '" ~ text ~ "', but needs "
            ~ {
                "text": "a text; write numbers in quotes",
                "number": "a number",
                "boolean": "true or false",
                "date": "an ISO date such as 2025-10-01",
                "timestamp": "an ISO date or time such as 2025-10-01 00:00:00"
            }.get(kind, kind) ~ "."
        ) }}
    {% endif %}
    {% set types = {
        "text": "string", "number": "double", "boolean": "boolean", "date": "date", "timestamp": "timestamp"
    } %}
    {{ return("cast(" ~ coterie.quoted(text | lower if kind == "boolean" else text) ~ " as " ~ types.get(kind, "string") ~ ")") }}
{% endmacro %}


{# A checked condition as SQL; `aliases` has the relations that are joined. Unknown is no. #}
{% macro condition_sql(condition, aliases) %}
    {%- set column = aliases[condition.spec.relation ~ ":" ~ condition.spec.of] ~ "." ~ condition.spec.column -%}
    {%- set values = condition["values"] -%}
    {%- if condition.operator == "is_null" -%}
        {{- column ~ " is null" -}}
    {%- elif condition.operator == "is_not_null" -%}
        {{- column ~ " is not null" -}}
    {%- elif condition.operator == "in" -%}
        {{- "coalesce(" ~ column ~ " in (" ~ values | join(", ") ~ "), false)" -}}
    {%- elif condition.operator == "between" -%}
        {{- "coalesce(" ~ column ~ " between " ~ values[0] ~ " and " ~ values[1] ~ ", false)" -}}
    {%- else -%}
        {{- "coalesce(" ~ column ~ " " ~ condition.operator ~ " " ~ values[0] ~ ", false)" -}}
    {%- endif -%}
{% endmacro %}


{# Conditions of which all must hold. #}
{% macro conditions_sql(conditions, aliases) %}
    {%- set parts = [] -%}
    {%- for condition in conditions -%}
        {%- do parts.append(coterie.condition_sql(condition, aliases)) -%}
    {%- endfor -%}
    {{- parts | join("\n                and ") or "false" -}}
{% endmacro %}


{# The relations that the conditions of all audiences read, each with an alias: "predictions:purchase_30d". #}
{% macro audience_relations(audiences) %}
    {% set aliases = {"customers:": "customers"} %}
    {% for audience in audiences %}
        {% for condition in audience.conditions + audience.stay_conditions if condition.spec %}
            {% set key = condition.spec.relation ~ ":" ~ condition.spec.of %}
            {% if key not in aliases %}
                {% do aliases.update({key: condition.spec.relation ~ "_" ~ (aliases | length)}) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(aliases) }}
{% endmacro %}


{# 'Did you mean' for a name: those with the most pairs of letters in common. #}
{% macro nearest_names_words(name, names) %}
    {% set scored = [] %}
    {% set pairs = coterie._letter_pairs(name) %}
    {% for other in names %}
        {% set others = coterie._letter_pairs(other) %}
        {% set shared = others | select("in", pairs) | list | length %}
        {% set size = pairs | length + others | length %}
        {% do scored.append({"name": other, "score": 2.0 * shared / size if size else 0}) %}
    {% endfor %}
    {% set nearest = scored | sort(attribute="name") | sort(attribute="score", reverse=true) %}
    {{ return("Nearest: " ~ (nearest[:3] | map(attribute="name") | join(", ")) ~ ".") }}
{% endmacro %}


{% macro _letter_pairs(name) %}
    {% set text = name | string | lower %}
    {% set pairs = [] %}
    {% for i in range(text | length - 1) if text[i:i + 2] not in pairs %}
        {% do pairs.append(text[i:i + 2]) %}
    {% endfor %}
    {{ return(pairs) }}
{% endmacro %}


{# Whether nobody may be written to who has not said so. #}
{% macro is_grant_required() %}
    {{ return(coterie.is_mapped_input("consents") or var("coterie__consent_required") | as_bool) }}
{% endmacro %}


{% macro tombstone_days() %}
    {{ return(coterie.whole_number_var("coterie__tombstone_days")) }}
{% endmacro %}


{# When the changes of this build are made, in UTC: the only clock in the house. #}
{% macro change_time() %}
    {% set given = (var("coterie__run_started_at") or "") | string | trim %}
    {% if given %}
        {% if not modules.re.match("^\\d{4}-\\d{2}-\\d{2}[ T]\\d{2}:\\d{2}:\\d{2}$", given) %}
            {{ coterie.refuse(
                "The var coterie__run_started_at must be a time such as 2025-10-01 06:00:00, but it is '" ~ given
                ~ "'. Leave it empty to use the time at which the build started."
            ) }}
            {% set given = "1970-01-01 00:00:00" %}
        {% endif %}
        {{ return(modules.datetime.datetime.fromisoformat(given)) }}
    {% endif %}
    {{ return(run_started_at.replace(tzinfo=none)) }}
{% endmacro %}


{% macro changed_at() %}
    {{- "cast('" ~ coterie.change_time().strftime("%Y-%m-%d %H:%M:%S.%f") ~ "' as timestamp)" -}}
{% endmacro %}


{#
    The number below which no change of this build may be: microseconds since 1970. The newest rows
    may have been erased, so the numbers that are held do not say how far earlier builds have counted.
#}
{% macro change_number_floor() %}
    {% set since = coterie.change_time() - modules.datetime.datetime(1970, 1, 1) %}
    {{ return((since.days * 86400 + since.seconds) * 1000000 + since.microseconds) }}
{% endmacro %}


{# Hash of texts, of which each may be missing. #}
{% macro payload_hash(columns) %}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(replace(cast(" ~ column ~ " as string), '|', '||'), '|~')") -%}
    {%- endfor -%}
    {{- "md5(" ~ parts | join(" || '|,' || ") ~ ")" -}}
{% endmacro %}


{#
    The incremental strategy of changes: new rows are added, and with a `unique_key` those held of the
    same key give way. An empty run adds and forgets nothing.
#}
{% macro get_incremental_changes_sql(arg_dict) %}
    {% set target = arg_dict["target_relation"] %}
    {% set new_rows = arg_dict["temp_relation"] %}
    {% set key = arg_dict["unique_key"] %}
    {% set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) %}
    {% if not flags.EMPTY %}
    {% if key %}
    delete from {{ target }}
    where {{ key }} in (select {{ key }} from {{ new_rows }});
    {% endif %}

    insert into {{ target }} ({{ columns }})
    (select {{ columns }} from {{ new_rows }})
    {% else %}
    select 1 as nothing_to_do
    {% endif %}
{% endmacro %}


{#
    What becomes of each audience, as a query in parentheses: one row per audience and customer who
    is in it or could be. `states` names the rows of int_coterie__audience_states by which members
    are known. It depends on nothing that it decides: asked again with its own decisions written, it
    decides the same, so that statuses are told from the state as it then stands.

    Audiences are decided in the order of their priority, because who is in one may keep others out.
#}
{% macro decided_audiences(states) %}
    {%- set audiences = coterie.audiences() -%}
    (
        with

        as_of as (

            select max(as_of_date) as as_of_date
            from {{ ref('coterie', 'int_coterie__as_of') }}

        ),

        newest as (

            -- A build as of an older date only takes away.
            select
                as_of.as_of_date,
                coalesce(states.newest_on > as_of.as_of_date, false) as is_older

            from as_of

            cross join (select max(as_of_date) as newest_on from {{ states }}) as states

        ),

        numbered as (

            select
                *,
                row_number() over (
                    partition by audience_code, customer_id
                    order by change_number desc
                ) as newest_rank

            from {{ states }}

        ),

        members as (

            select * from numbered
            where newest_rank = 1 and action != 'remove'

        ),

        candidates as (

            select * from {{ ref('coterie', 'int_coterie__audience_candidates') }}

        ),

        audiences as (

            {% for audience in audiences %}
            {{ 'union all' if not loop.first }}
            select
                {{ coterie.quoted(audience.code) }} as audience_code,
                {{ coterie.quoted(audience.channel) }} as channel,
                {{ coterie.quoted(audience.entry_words) }} as entry_words,
                {{ coterie.quoted(audience.stay_words) }} as stay_words,
                {{ audience.min_days }} as min_days
            {% else %}
            select
                cast(null as string) as audience_code,
                cast(null as string) as channel,
                cast(null as string) as entry_words,
                cast(null as string) as stay_words,
                0 as min_days
            where false
            {% endfor %}

        ),

        known as (

            select
                coalesce(candidates.audience_code, members.audience_code) as audience_code,
                coalesce(candidates.customer_id, members.customer_id) as customer_id,
                members.customer_id is not null as is_member,
                members.entered_on,
                members.channel as held_channel,
                members.reason as held_reason,
                members.row_hash as held_row_hash,
                coalesce(candidates.is_entering, false) as is_entering,
                coalesce(candidates.is_staying, false) as is_staying

            from candidates

            full join members
                on
                    candidates.audience_code = members.audience_code
                    and candidates.customer_id = members.customer_id

        ),

        judged as (

            select
                known.*,
                audiences.audience_code is not null as is_configured,
                audiences.channel,
                audiences.stay_words,
                case when known.is_entering then audiences.entry_words else known.held_reason end
                    as member_reason,
                permissions.denial,
                coalesce(
                    permissions.is_allowed, {{ 'false' if coterie.is_grant_required() else 'true' }}
                ) as is_permitted,
                known.is_entering
                or (
                    known.is_member
                    and (
                        known.is_staying
                        or coalesce(
                            {{ coterie.days_between('known.entered_on', 'newest.as_of_date') }}
                            < audiences.min_days,
                            false
                        )
                    )
                ) as is_eligible,
                newest.as_of_date,
                newest.is_older

            from known

            cross join newest

            left join audiences
                on known.audience_code = audiences.audience_code

            left join {{ ref('coterie', 'int_coterie__permissions') }} as permissions
                on
                    known.customer_id = permissions.customer_id
                    and coalesce(audiences.channel, known.held_channel) = permissions.purpose

        ),

        {% for audience in audiences %}
        {%- set number = loop.index -%}
        {%- set rivals = coterie._rivals(audiences, number) %}
        taken_{{ number }} as (

            {% for rival in rivals %}
            {{ 'union all' if not loop.first }}
            select customer_id from decided_{{ rival }}
            where is_final
            {% else %}
            select cast(null as string) as customer_id
            where false
            {% endfor %}

        ),

        wanted_{{ number }} as (

            select
                judged.*,
                judged.customer_id in (select taken_{{ number }}.customer_id from taken_{{ number }})
                    as is_taken

            from judged

            where judged.audience_code = {{ coterie.quoted(audience.code) }}

        ),

        sizes_{{ number }} as (

            select
                count(case when is_member and is_permitted then 1 end) as held_count,
                count(case when is_eligible and is_permitted and not is_taken then 1 end)
                    as proposed_count

            from wanted_{{ number }}

        ),

        decided_{{ number }} as (

            select
                wanted.*,
                sizes.held_count,
                sizes.proposed_count,
                wanted.is_older or {{ coterie.is_guarded(audience) }} as is_held,
                wanted.is_permitted
                and case
                    when wanted.is_older or {{ coterie.is_guarded(audience) }} then wanted.is_member
                    else wanted.is_eligible and not wanted.is_taken
                end as is_final

            from wanted_{{ number }} as wanted

            cross join sizes_{{ number }} as sizes

        ),

        {% endfor %}
        decided as (

            {% for audience in audiences %}
            select * from decided_{{ loop.index }}

            union all

            {% endfor %}
            -- Audiences that are no more.
            select
                *,
                false as is_taken,
                0 as held_count,
                0 as proposed_count,
                is_older as is_held,
                is_older and is_permitted as is_final

            from judged

            where not is_configured

        )

        select * from decided
    )
{%- endmacro %}


{# The places of the audiences before this one by which it is excluded, or which it excludes. #}
{% macro _rivals(audiences, number) %}
    {% set audience = audiences[number - 1] %}
    {% set rivals = [] %}
    {% for other in audiences[:number - 1] %}
        {% if other.code in audience.excludes or audience.code in other.excludes %}
            {% do rivals.append(loop.index) %}
        {% endif %}
    {% endfor %}
    {{ return(rivals) }}
{% endmacro %}


{# Whether a change is larger than an audience allows; of a few members every change is large. #}
{% macro is_guarded(audience) %}
    {%- set parts = [] -%}
    {%- if audience.max_growth is not none -%}
        {%- do parts.append("sizes.proposed_count > sizes.held_count * (1 + " ~ (audience.max_growth | float) ~ ")") -%}
    {%- endif -%}
    {%- if audience.max_shrink is not none -%}
        {%- do parts.append("sizes.proposed_count < sizes.held_count * (1 - " ~ (audience.max_shrink | float) ~ ")") -%}
    {%- endif -%}
    {%- if parts -%}
        {{- "(sizes.held_count >= " ~ coterie.guarded_member_count() ~ " and (" ~ parts | join(" or ") ~ "))" -}}
    {%- else -%}
        {{- "false" -}}
    {%- endif -%}
{% endmacro %}


{# How far an audience may change in one build, in words. #}
{% macro guard_words(audience) %}
    {%- set parts = [] -%}
    {%- if audience.max_growth is not none -%}
        {%- do parts.append("max_growth allows " ~ (100 * audience.max_growth) | round(1) ~ " % more") -%}
    {%- endif -%}
    {%- if audience.max_shrink is not none -%}
        {%- do parts.append("max_shrink allows " ~ (100 * audience.max_shrink) | round(1) ~ " % fewer") -%}
    {%- endif -%}
    {{- return(parts | join(", ") ~ ".") -}}
{% endmacro %}


{# What a CRM is told of a customer, with the types: no score, no run time, nothing nested. #}
{% macro crm_payload_columns() %}
    {{ return({
        "customer_id": "string",
        "email": "string",
        "segment_code": "string",
        "segment_name": "string",
        "rfm_segment_code": "string",
        "value_band": "string",
        "purchase_band": "string",
        "churn_band": "string",
        "order_count_band": "string",
        "top_interest": "string",
        "last_ordered_on": "date",
        "audiences": "string"
    }) }}
{% endmacro %}


{# Tombstones have done their work when every sync has run since. #}
{% macro delete_old_tombstones() %}
    {% if execute and not flags.EMPTY %}
    delete from {{ this }}
    where
        is_deleted
        and changed_at < {{ coterie.days_before_change(coterie.tombstone_days()) }}
    {% endif %}
{% endmacro %}


{% macro days_before_change(days) %}
    {%- set then = coterie.change_time() - modules.datetime.timedelta(days=days) -%}
    {{- "cast('" ~ then.strftime("%Y-%m-%d %H:%M:%S.%f") ~ "' as timestamp)" -}}
{% endmacro %}
