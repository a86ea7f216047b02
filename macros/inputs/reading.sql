{#
    Reading new days only. An incremental model of the input layer holds what it has read. A build
    reads again every day of which the input now tells other rows than are held, by their number and
    the hashes of their keys and times, whether they came late, vanished or lie ahead, and the newest
    `coterie__late_row_days` days, because their rows may have been corrected. No newest day of what
    is held is ever trusted: one row that is dated ahead would hide all that comes before it.
#}

{% macro late_row_days() %}
    {{ return(coterie.whole_number_var("coterie__late_row_days")) }}
{% endmacro %}


{# The first of the days that are always read again, as a scalar query. #}
{% macro newest_days_from() %}
    (
        select {{ coterie.days_after("max(ordered_on)", -coterie.late_row_days()) }}
        from {{ ref('coterie', 'int_coterie__order_days') }}
        where not is_far_ahead
    )
{%- endmacro %}


{#
    The days of an input that are read again, by each of its times: a query of time_name, day_on. The
    model holds the same keys and times as the input; events are held by day, so they are only
    counted. Orders that lay far ahead of all others are judged again, because by now they may not.
#}
{% macro days_to_read(input) %}
    {%- set key = coterie.input_key(input) -%}
    {%- set times = coterie.input_columns(input).items() | selectattr(1, "in", ["timestamp", "timestamp!"]) | map("first") | list -%}
    select
        coalesce(given.time_name, held.time_name) as time_name,
        coalesce(given.day_on, held.day_on) as day_on
    from (
        {% for time in times %}
        select
            '{{ time }}' as time_name,
            cast({{ time }} as date) as day_on,
            count(*) as row_count,
            {{ 0 if input == 'events' else coterie.hash_sum(key + [time]) }} as times_hash
        from {{ ref('coterie', 'stg_coterie__' ~ input) }}
        where {{ time }} is not null
        group by cast({{ time }} as date)
        {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as given
    full join (
        {% for time in times %}
        {% set held_day = 'happened_on' if input == 'events' else 'cast(' ~ time ~ ' as date)' %}
        select
            '{{ time }}' as time_name,
            {{ held_day }} as day_on,
            {{ 'sum(event_count)' if input == 'events' else 'count(*)' }} as row_count,
            {%- if input == 'orders' %}
            count(case when rejection_rule = 'future_dated' then 1 end) as far_ahead_count,
            {%- endif %}
            {{ 0 if input == 'events' else coterie.hash_sum(key + [time]) }} as times_hash
        from {{ this }}
        where {{ held_day }} is not null
        group by {{ held_day }}
        {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as held
        on given.time_name = held.time_name and given.day_on = held.day_on
    where
        given.row_count is distinct from held.row_count
        or given.times_hash is distinct from held.times_hash
        {%- if input == 'orders' %}
        or held.far_ahead_count > 0
        {%- endif %}
        or given.day_on >= {{ coterie.newest_days_from() }}
{%- endmacro %}


{#
    Whether a time lies in the days that are read again; `days_to_read` is a CTE of the model. The
    first of them as a bound lets engines skip the blocks of older rows, and all where there is none.
#}
{% macro is_read_again(time) %}
    (
        {{ time }} >= (
            select coalesce(min(days_to_read.day_on), cast('9999-12-31' as date)) from days_to_read
            where days_to_read.time_name = '{{ time }}'
        )
        and cast({{ time }} as date) in (
            select days_to_read.day_on from days_to_read
            where days_to_read.time_name = '{{ time }}'
        )
    )
{%- endmacro %}


{#
    One row for each day that is read again: the day as `time`, the word of `day_mark` as the rule,
    NULL in all other columns of the model, whose names and types are `columns`. The strategy takes
    them for what they are: it deletes these days and drops the marks. So days are counted once a
    build, and a day that has lost all its rows is told, too.
#}
{% macro marks_of_days(model_name, time, columns) %}
    select
        {%- for name, type in columns.items() %}
        cast({{ "marks.day_on" if name == time else "null" }} as {{ type }}) as {{ name }},
        {%- endfor %}
        '{{ coterie.day_mark() }}' as rejection_rule,
        {{ coterie.input_settings_hash(model_name) }} as input_settings_hash

    from {{ coterie.marked_days("day_on", "days_to_read", "days_to_read.time_name = '" ~ time ~ "'") }} as marks
{%- endmacro %}


{#
    The days that get a mark, as a query in parentheses. One mark is of no day: it says what this build
    reads with, even where it reads nothing.
#}
{% macro marked_days(day, days, condition="true") %}
    (
        select {{ days }}.{{ day }} from {{ days }}
        where {{ condition }}

        union all

        select cast(null as date) as {{ day }}
    )
{%- endmacro %}


{% macro day_mark() %}
    {{- return("day_read_again") -}}
{% endmacro %}


{#
    What the rows of an incremental model of the input layer are read with: a change of it would mix
    rows of two meanings, so every held row carries it. Staging says how it reads its input, the table
    of checked rows says what it was built with, and the vars that models read themselves are added,
    because a model may be built without those before it.
#}
{% macro input_settings_hash(model_name) %}
    {%- set definitions = coterie.definition_vars() -%}
    {%- set settings = ["definitions 2"] -%}
    {%- for name in coterie.definitions_of_input(coterie.input_of_days(model_name)) -%}
        {%- do settings.append(definitions[name]) -%}
    {%- endfor -%}
    {{ coterie.settings_number(settings) }} + (
        select read_from.input_settings_hash
        from {{ ref('coterie', coterie.read_from(model_name)) }} as read_from
        limit 1
    )
{%- endmacro %}


{# A number of 60 bits, because tables of texts take longer to write, and because three can be added up. #}
{% macro settings_number(settings) %}
    {{- return("cast(" ~ (local_md5(tojson(settings, sort_keys=true))[:15] | int(base=16)) ~ " as bigint)") -}}
{% endmacro %}


{# The input of an incremental model of the input layer, and what it reads that input from. #}
{% macro input_of_days(model_name) %}
    {{ return({
        "int_coterie__checked_orders": "orders",
        "int_coterie__checked_order_lines": "order_lines",
        "int_coterie__checked_events": "events",
        "int_coterie__checked_messages": "messages",
        "int_coterie__checked_feedback": "feedback",
        "int_coterie__customer_order_days": "orders",
        "int_coterie__customer_event_days": "events",
        "int_coterie__customer_message_days": "messages"
    }[model_name]) }}
{% endmacro %}


{% macro read_from(model_name) %}
    {% set input = coterie.input_of_days(model_name) %}
    {% set checked = "int_coterie__checked_" ~ input %}
    {{ return("stg_coterie__" ~ input if model_name == checked else checked) }}
{% endmacro %}


{# The vars of `definition_vars` that say what the rows of an input mean. #}
{% macro definitions_of_input(input) %}
    {{ return(["timezone", "source_timezone"] + {
        "orders": ["invalid_order_statuses"],
        "events": ["event_types"]
    }.get(input, [])) }}
{% endmacro %}


{# The columns of an input that its table of checked rows holds: events are held by session. #}
{% macro held_columns(input) %}
    {{ return({
        "events": ["event_id", "occurred_at", "event_type", "customer_id", "anonymous_id", "session_id"]
    }.get(input, coterie.input_columns(input) | list)) }}
{% endmacro %}


{#
    The incremental strategy of the input layer: the held rows of the days that are read again give
    way to the new ones, and with a `unique_key` those of the keys that were read again, or of none. Rows that
    were read under other settings are never mixed with new ones: then the build stops and names
    the remedy. Held rows carry `input_settings_hash`.

    `incremental_predicates` names the column with the time or day of a row; its days are those of
    the marks among the new rows. `customer_days` beside it says that the model is one of days of
    customers, whose marks are the rows of no customer.
#}
{% macro get_incremental_replace_days_sql(arg_dict) %}
    {% set target = arg_dict["target_relation"] %}
    {% set new_rows = arg_dict["temp_relation"] %}
    {% set key = arg_dict["unique_key"] %}
    {% set time_column = arg_dict["incremental_predicates"][0] %}
    {% set is_mark = "rejection_rule is not distinct from '" ~ coterie.day_mark() ~ "'" %}
    {% if "customer_days" in arg_dict["incremental_predicates"] %}
        {% set is_mark = "customer_id is null" %}
    {% endif %}
    {% set columns = get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) %}
    {# An empty run must not forget anything. #}
    {% if not flags.EMPTY %}
    select case when count(*) > 0 then {{ coterie.sql_error(coterie.mixed_settings_message(this, coterie.input_of_days(model.name))) }} end
    from (select input_settings_hash from {{ target }} limit 1) as held
    where input_settings_hash != (select input_settings_hash from {{ new_rows }} limit 1);

    delete from {{ target }}
    where
        {{ time_column }} is null
        or cast({{ time_column }} as date) in (
            select cast({{ time_column }} as date) from {{ new_rows }}
            where {{ is_mark }}
        )
        {%- if key %}
        or {{ key }} is null
        or {{ key }} in (select {{ key }} from {{ new_rows }} where {{ key }} is not null)
        {%- endif %};

    insert into {{ target }} ({{ columns }})
    (
        select {{ columns }} from {{ new_rows }}
        where not ({{ is_mark }})
    )
    {% else %}
    select 1 as nothing_to_do
    {% endif %}
{% endmacro %}


{% macro mixed_settings_message(relation, input) %}
    {% set vars = [] %}
    {% for name in [input ~ "_relation", input ~ "_columns"] + coterie.definitions_of_input(input) %}
        {% do vars.append("coterie__" ~ name) %}
    {% endfor %}
    {{ return(
        "coterie: " ~ relation.identifier ~ " holds rows that were read under other settings (one of the vars "
        ~ vars | join(", ") ~ ", or the version of the package, has changed, or a column of the input " ~ input
        ~ " has come, gone or become another kind of time). Old and new rows would not mean the same. Read the inputs "
        ~ "anew: dbt build --full-refresh -s package:coterie (fitted tables keep their state). A new column that is "
        ~ "not wanted yet is left out by coterie__" ~ input ~ "_columns: {<column>: ''}."
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
