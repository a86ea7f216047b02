{# What a user reads when an input does not fit. Each names the var, the relation, the column and the fix. #}

{% macro unmapped_orders_message() %}
    {{ return(
        "The var coterie__orders_relation is not set, and orders are the one input that Coterie cannot do without. "
        ~ "Set it in your dbt_project.yml, for example:\n"
        ~ "  vars:\n"
        ~ "    coterie__orders_relation: \"{{ ref('your_project', 'fct_orders') }}\"\n"
        ~ "    coterie__orders_columns: {order_id: id, ordered_at: created_at, order_amount: total}"
    ) }}
{% endmacro %}


{% macro missing_relation_message(input, relation, is_source) %}
    {{ return(
        "The relation " ~ relation ~ " that the var coterie__" ~ input ~ "_relation names does not exist. "
        ~ (
            "Load it first (a source in another database must be attached by your profile)"
            if is_source
            else "Build it first (dbt build --select +package:coterie builds what Coterie reads, too)"
        )
        ~ ", or correct the var."
    ) }}
{% endmacro %}


{% macro missing_column_message(input, relation, name, their_name, columns_var, found) %}
    {{ return(
        "The input " ~ input ~ " (var coterie__" ~ input ~ "_relation, relation " ~ relation ~ ") has no column '"
        ~ their_name ~ "' for " ~ name ~ ". Its columns are: " ~ (found | list | join(", "))
        ~ ". Map it in the var " ~ columns_var ~ ", for example {" ~ name ~ ": "
        ~ (found | list | first | default("their_column")) ~ "}."
    ) }}
{% endmacro %}


{% macro wrong_type_message(input, relation, name, their_name, found_type, kind, columns_var) %}
    {% set wanted = {
        "id": "text or a whole number",
        "text": "text or another plain type, nothing nested",
        "amount": "a number",
        "timestamp": "a date or a timestamp",
        "date": "a date or a timestamp",
        "boolean": "a boolean"
    }[kind] %}
    {{ return(
        "The column '" ~ their_name ~ "' of the relation " ~ relation ~ " (var coterie__" ~ input
        ~ "_relation) has the type " ~ found_type ~ ", but " ~ name ~ " must be " ~ wanted
        ~ ". Cast it in your own model, or map another column in the var " ~ columns_var
        ~ " ({" ~ name ~ ": ''} leaves an optional column out)."
    ) }}
{% endmacro %}
