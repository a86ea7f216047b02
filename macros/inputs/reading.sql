{#
    Reading new days only. An incremental model of the input layer holds what it has read; a build
    reads again from `coterie__late_row_days` before the newest day in it, because rows arrive late
    and are corrected. The order days bound that day: one visit dated 2099 must not move it.
#}

{% macro late_row_days() %}
    {{ return(coterie.whole_number_var("coterie__late_row_days")) }}
{% endmacro %}


{#
    The first day that is read again, as a scalar query over what the model holds: days before the
    newest one in it that the orders have reached by now.
#}
{% macro read_from(time_column) %}
    (
        select
            coalesce(
                {{ coterie.days_after(
                    "max(cast(held." ~ time_column ~ " as date))", -coterie.late_row_days()
                ) }},
                cast('0001-01-01' as date)
            )
        from {{ this }} as held
        cross join (
            select max(ordered_on) as newest_ordered_on
            from {{ ref('coterie', 'int_coterie__order_days') }}
            where not is_far_ahead
        ) as newest
        where cast(held.{{ time_column }} as date) <= newest.newest_ordered_on
    )
{%- endmacro %}


{# What an incremental model of the input layer is built with. A change of these would mix rows. #}
{% macro input_settings_hash() %}
    {% set vars = {"definitions_version": 1} %}
    {% for name in coterie.input_names() %}
        {% do vars.update({
            name ~ "_relation": var("coterie__" ~ name ~ "_relation") | string,
            name ~ "_columns": var("coterie__" ~ name ~ "_columns") or {}
        }) %}
    {% endfor %}
    {% do vars.update({
        "timezone": var("coterie__timezone"),
        "source_timezone": var("coterie__source_timezone"),
        "invalid_order_statuses": var("coterie__invalid_order_statuses") | map("lower") | sort,
        "event_types": coterie.event_types()
    }) %}
    {{- "'" ~ local_md5(tojson(vars, sort_keys=true)) ~ "'" -}}
{% endmacro %}


{#
    The incremental strategy of the input layer: the rows of the days that are read again, and those
    of the keys that were read again (`unique_key`), give way to the new ones. Rows that were read
    under other settings are never mixed with new ones: then the build stops and names the remedy.

    The one item of `incremental_predicates` is the column with the time of a row: a name, because a
    configuration is rendered before relations have theirs. Held rows carry `input_settings_hash`.
#}
{% macro get_incremental_replace_days_sql(arg_dict) %}
    {% set target = arg_dict["target_relation"] %}
    {% set new_rows = arg_dict["temp_relation"] %}
    {% set key = arg_dict["unique_key"] %}
    {% set time_column = arg_dict["incremental_predicates"][0] %}
    {% set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) %}
    {# An empty run must not forget anything. #}
    {% if not flags.EMPTY %}
    select case when count(*) > 0 then {{ coterie.sql_error(coterie.mixed_settings_message(this)) }} end
    from (select input_settings_hash from {{ target }} limit 1) as held
    where input_settings_hash != {{ coterie.input_settings_hash() }};

    delete from {{ target }}
    where
        {{ time_column }} is null
        or {{ time_column }} >= {{ coterie.read_from(time_column) }}
        {%- if key %}
        {% set key_columns = ([key] if key is string else key) | join(", ") %}
        or ({{ key_columns }}) in (select {{ key_columns }} from {{ new_rows }} where {{ key[0] if key is not string else key }} is not null)
        {%- endif %};

    insert into {{ target }} ({{ columns }})
    (select {{ columns }} from {{ new_rows }})
    {% else %}
    select 1 as nothing_to_do
    {% endif %}
{% endmacro %}


{% macro mixed_settings_message(relation) %}
    {{ return(
        "coterie: " ~ relation.identifier ~ " holds rows that were read under other settings (one of the vars "
        ~ "coterie__<input>_relation, coterie__<input>_columns, coterie__timezone, coterie__source_timezone, "
        ~ "coterie__invalid_order_statuses, coterie__event_types, or the version of the package, has changed). Old and "
        ~ "new rows would not mean the same. Read the inputs anew: dbt build --full-refresh -s int_coterie__order_days+ "
        ~ "(fitted tables keep their state)."
    ) }}
{% endmacro %}


{# Stops a query with a message. #}
{% macro sql_error(message) %}
    {{- return(adapter.dispatch("sql_error", "coterie")(message)) -}}
{% endmacro %}


{% macro default__sql_error(message) %}
    {{- "error(" ~ coterie.quoted(message) ~ ")" -}}
{% endmacro %}


{% macro spark__sql_error(message) %}
    {{- "raise_error(" ~ coterie.quoted(message) ~ ")" -}}
{% endmacro %}
