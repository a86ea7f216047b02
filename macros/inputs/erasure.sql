{#
    A condition that leaves out whoever is to be erased, at the end of a staging model: `rows` is its
    last CTE. Nothing where the input erasure_requests is not mapped.
#}
{% macro unless_erased(rows) %}
    {%- if coterie.is_mapped_input("erasure_requests") -%}
where
    not exists (
        select 1 from {{ ref('coterie', 'int_coterie__erased_customers') }} as erased_customers
        where erased_customers.customer_id = {{ rows }}.customer_id
    )
    {%- endif -%}
{% endmacro %}


{#
    A condition that leaves out the lines of orders of whoever is to be erased. Lines name no
    customer, so the orders are read as they come.
#}
{% macro unless_of_erased_order(rows) %}
    {%- if coterie.is_mapped_input("erasure_requests") -%}
    {%- set orders = coterie.staged_input("orders") -%}
where
    not exists (
        select 1
        from (
            select
                {{ orders.order_id }} as order_id,
                {{ orders.customer_id }} as customer_id
            from {{ orders.relation }}
        ) as orders
        inner join {{ ref('coterie', 'int_coterie__erased_customers') }} as erased_customers
            on orders.customer_id = erased_customers.customer_id
        where orders.order_id = {{ rows }}.order_id
    )
    {%- endif -%}
{% endmacro %}


{#
    Runs when int_coterie__erased_customers is built, before anything that reads the inputs: deletes
    the rows of the erased from every table of this package that holds a customer's id and stands
    from an earlier build, append-only or not. int_coterie__crm_states is left out, because it turns
    what it holds into a tombstone with the id alone.
#}
{% macro delete_erased_customers() %}
    {% if execute and not flags.EMPTY and coterie._is_anybody_erased() %}
        {% set kept = [
            "int_coterie__erased_customers", "int_coterie__checked_erasure_requests",
            "stg_coterie__erasure_requests", "int_coterie__crm_states"
        ] %}
        {% for node in graph.nodes.values() | selectattr("resource_type", "equalto", "model") | sort(attribute="unique_id") %}
            {# By their descriptions, because tables that others are building now cannot be asked. #}
            {% set columns = ["customer_id", "visitor_id"] | select("in", node.columns) | list %}
            {% set is_table = node.config.materialized in ["table", "incremental"] %}
            {% if node.package_name == "coterie" and node.name not in kept and is_table and columns %}
                {% set relation = adapter.get_relation(
                    database=node.database, schema=node.schema, identifier=node.alias
                ) %}
                {% if relation and relation.type == "table"
                    and coterie.relation_exists(node.database, node.schema, node.alias) %}
                    {% for column in columns %}
    delete from {{ relation }}
    where {{ column }} in (select erased_customers.customer_id from {{ this }} as erased_customers);
                    {% endfor %}
                {% endif %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}


{% macro _is_anybody_erased() %}
    {{ return(run_query("select count(*) as erased_count from " ~ this).rows[0][0] > 0) }}
{% endmacro %}
