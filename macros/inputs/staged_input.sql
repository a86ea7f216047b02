{#
    How a staging model reads its input: a dictionary with `relation`, what to select from, one SQL
    expression per column, renamed and typed, and `settings_hash`, a number of all this. Structure is
    refused here, when the model compiles: by then a mapped relation exists. An absent optional input
    is empty and typed.
#}
{% macro staged_input(input) %}
    {% set relation_var = "coterie__" ~ input ~ "_relation" %}
    {% set columns_var = "coterie__" ~ input ~ "_columns" %}
    {% set given_columns = var(columns_var) or {} %}
    {% set relation = var(relation_var) %}
    {% if not relation and coterie.is_demo_input(input) %}
        {% set relation = ref("coterie", "coterie__demo_" ~ input) %}
    {% endif %}
    {% set specs = coterie.input_columns(input) %}
    {% set staged = {"relation": relation or "(select 1 as no_column where false)"} %}
    {% set found = {} %}
    {% set state = namespace(is_described=false) %}

    {% if not relation and input == "orders" and execute and flags.WHICH not in ["compile", "docs", "generate", "list", "parse"] %}
        {{ coterie.refuse(coterie.unmapped_orders_message()) }}
    {% endif %}
    {% for name in given_columns if name not in specs %}
        {{ coterie.refuse(
            "The var " ~ columns_var ~ " maps the unknown column '" ~ name ~ "'. The input " ~ input
            ~ " takes: " ~ (specs | list | join(", ")) ~ "."
        ) }}
    {% endfor %}

    {% for name, their_name in given_columns.items() if their_name is boolean %}
        {{ coterie.refuse(
            "The var " ~ columns_var ~ " maps " ~ name ~ " to a word that YAML takes for " ~ their_name
            ~ ". Write the column's name in quotes, for example {" ~ name ~ ": \"on\"}."
        ) }}
    {% endfor %}

    {% if relation and execute and coterie.input_exists(input, relation) %}
        {% set state.is_described = true %}
        {% for column in adapter.get_column_schema_from_query("select * from " ~ relation ~ " limit 0") %}
            {% do found.update({column.name: column.dtype | upper}) %}
        {% endfor %}
    {% endif %}

    {# A column that is mapped to one of our names is not found again under its own. #}
    {% set claimed = given_columns.values() | map("string") | map("lower") | list %}

    {% for name, spec in specs.items() %}
        {% set kind = spec | replace("!", "") %}
        {% set their_name = given_columns.get(name, name) %}
        {% set matches = found | select("equalto", their_name) | list
            or found | map("lower") | select("equalto", their_name | string | lower) | list %}
        {% if name not in given_columns and name in claimed %}
            {% set matches = [] %}
        {% endif %}
        {% if not relation or (state.is_described and not matches) %}
            {% if relation and (spec.endswith("!") or given_columns.get(name)) %}
                {{ coterie.refuse(coterie.missing_column_message(
                    input, relation, name, their_name, columns_var, found
                )) }}
            {% endif %}
            {% do staged.update({name: "cast(null as " ~ coterie.staged_type(kind) ~ ")"}) %}
        {% elif not state.is_described and not spec.endswith("!") and not given_columns.get(name) %}
            {% do staged.update({name: "cast(null as " ~ coterie.staged_type(kind) ~ ")"}) %}
        {% else %}
            {% set source_type = "" %}
            {% for found_name, found_type in found.items() if found_name | lower == their_name | string | lower %}
                {% set source_type = found_type %}
                {% if not coterie.is_type_accepted(kind, found_type) %}
                    {{ coterie.refuse(coterie.wrong_type_message(
                        input, relation, name, found_name, found_type, kind, columns_var
                    )) }}
                {% endif %}
                {% do staged.update({name: coterie.typed_column(adapter.quote(found_name | replace('"', '""')), kind, found_type)}) %}
            {% endfor %}
            {% if name not in staged %}
                {% do staged.update({name: coterie.typed_column(adapter.quote(their_name | string | replace('"', '""')), kind, "")}) %}
            {% endif %}
        {% endif %}
    {% endfor %}
    {% set settings = [coterie.relation_by_nodes(relation) if execute else ""] %}
    {% for name in coterie.held_columns(input) %}
        {% do settings.append(staged[name] | lower) %}
    {% endfor %}
    {% do staged.update({"settings_hash": coterie.settings_number(settings)}) %}
    {{ return(staged) }}
{% endmacro %}


{#
    What is selected from, with sources and models by their ids and not where their rows lie: files
    may have a new name every day.
#}
{% macro relation_by_nodes(relation) %}
    {% set state = namespace(text=relation | string) %}
    {% for unique_id in model.depends_on.nodes %}
        {% set node = graph.sources.get(unique_id) or graph.nodes.get(unique_id) %}
        {# A plugin would load its source once more for being named. #}
        {% if node and not coterie.source_option(node, "plugin") %}
            {% set state.text = state.text | replace(coterie.relation_of_node(node) | string, unique_id) %}
        {% endif %}
    {% endfor %}
    {{ return(state.text) }}
{% endmacro %}


{#
    Whether the mapped relation can be read now. A compile on a fresh database comes before the
    host's models exist; a build does not, so there a missing relation is an error.
#}
{% macro input_exists(input, relation) %}
    {% for unique_id in model.depends_on.nodes %}
        {% set node = graph.sources.get(unique_id) or graph.nodes.get(unique_id) %}
        {% set is_ours = node and node.name == "int_coterie__erased_customers" %}
        {% if node and node.resource_type == "model" and node.config.get("materialized") == "ephemeral" %}
            {{ coterie.refuse(
                "The var coterie__" ~ input ~ "_relation names the ephemeral model " ~ node.name ~ ", which cannot be "
                ~ "asked for its columns. Materialise it as a view or a table."
            ) }}
        {% endif %}
        {% set is_read_at_once = node and (
            coterie.source_option(node, "external_location") or coterie.source_option(node, "plugin")
        ) %}
        {% if node and not is_ours and not is_read_at_once and not coterie.node_exists(node) %}
            {% if flags.WHICH in ["build", "run", "test", "retry"] %}
                {{ coterie.refuse(coterie.missing_relation_message(
                    input, relation, is_source=node.resource_type == "source"
                )) }}
            {% endif %}
            {{ return(false) }}
        {% endif %}
    {% endfor %}
    {{ return(true) }}
{% endmacro %}


{#
    What dbt-duckdb is told of a source: to read files (external_location), or to have a plugin load
    it when it is named. Such a source has no relation before.
#}
{% macro source_option(node, name) %}
    {% if node.resource_type == "source" %}
        {% for options in [node.meta, node.source_meta, node.config, node.config.get("meta")] if options %}
            {% if options.get(name) %}
                {{ return(options.get(name)) }}
            {% endif %}
        {% endfor %}
    {% endif %}
    {{ return(none) }}
{% endmacro %}


{% macro node_exists(node) %}
    {% if node.resource_type == "source" %}
        {{ return(coterie.relation_exists(node.database, node.schema, node.identifier)) }}
    {% endif %}
    {% set found = coterie.relation_of_node(node) %}
    {{ return(coterie.relation_exists(found.database, found.schema, found.identifier)) }}
{% endmacro %}


{# Asked of `ref`, because only it knows which relation a deferred node stands for. #}
{% macro relation_of_node(node) %}
    {% if node.resource_type == "source" %}
        {{ return(source(node.source_name, node.name)) }}
    {% endif %}
    {{ return(ref(node.package_name, node.name, version=node.get("version"))) }}
{% endmacro %}


{% macro staged_type(kind) %}
    {{ return({
        "id": "string", "text": "string", "amount": "double", "timestamp": "timestamp", "date": "date",
        "boolean": "boolean"
    }[kind]) }}
{% endmacro %}


{% macro typed_column(column_sql, kind, source_type) %}
    {% if kind == "timestamp" and source_type != "DATE" %}
        {{ return(coterie.to_wall_time(column_sql, "WITH TIME ZONE" in source_type or source_type == "TIMESTAMPTZ")) }}
    {% endif %}
    {% set typed = "cast(" ~ column_sql ~ " as " ~ coterie.staged_type(kind) ~ ")" %}
    {# An empty text is how many exports write a missing one. #}
    {{ return("nullif(" ~ typed ~ ", '')" if kind in ["id", "text"] else typed) }}
{% endmacro %}


{% macro is_type_accepted(kind, source_type) %}
    {% set type = source_type.split("(")[0] | trim %}
    {% set is_nested = "[" in source_type or type in ["STRUCT", "MAP", "UNION", "LIST", "ARRAY", "BLOB", "BINARY"] %}
    {% set integers = [
        "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT", "LONG", "SHORT", "BYTE", "HUGEINT", "UTINYINT",
        "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "INT64", "INT32", "BIGNUM"
    ] %}
    {% set numbers = integers + ["DECIMAL", "NUMERIC", "DOUBLE", "FLOAT", "REAL"] %}
    {% set is_time = type.startswith("TIMESTAMP") or type == "DATE" or type == "DATETIME" %}
    {% if is_nested %}
        {{ return(false) }}
    {% elif kind == "id" %}
        {{ return(type not in ["DOUBLE", "FLOAT", "REAL", "BOOLEAN", "TIME"] and not is_time) }}
    {% elif kind == "amount" %}
        {{ return(type in numbers) }}
    {% elif kind in ["timestamp", "date"] %}
        {{ return(is_time) }}
    {% elif kind == "boolean" %}
        {{ return(type == "BOOLEAN" or type in integers) }}
    {% endif %}
    {{ return(true) }}
{% endmacro %}
