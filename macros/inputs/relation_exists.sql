{#
    Whether a relation stands in the database now. dbt's own list is filled when a command starts: it
    misses what a hook has made since, and it takes a name in other case for an error.
#}
{% macro relation_exists(database, schema, identifier) %}
    {{ return(adapter.dispatch("relation_exists", "coterie")(database, schema, identifier)) }}
{% endmacro %}


{% macro default__relation_exists(database, schema, identifier) %}
    {{ return(adapter.get_relation(database=database, schema=schema, identifier=identifier) is not none) }}
{% endmacro %}


{# DuckDB finds a name in any case, quoted or not. #}
{% macro duckdb__relation_exists(database, schema, identifier) %}
    {% set found = run_query(
        "select count(*) as relation_count from system.information_schema.tables"
        ~ " where lower(table_catalog) = lower(" ~ coterie.quoted(database) ~ ")"
        ~ " and lower(table_schema) = lower(" ~ coterie.quoted(schema) ~ ")"
        ~ " and lower(table_name) = lower(" ~ coterie.quoted(identifier) ~ ")"
    ) %}
    {{ return(found.rows[0][0] > 0) }}
{% endmacro %}
