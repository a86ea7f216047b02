{# Small pieces of SQL that engines spell differently. #}

{# Whole days from one date or timestamp to another. #}
{% macro days_between(from_sql, to_sql) %}
    {{- return(adapter.dispatch("days_between", "coterie")(from_sql, to_sql)) -}}
{% endmacro %}


{% macro default__days_between(from_sql, to_sql) %}
    {{- dbt.datediff("cast(" ~ from_sql ~ " as date)", "cast(" ~ to_sql ~ " as date)", "day") | trim -}}
{% endmacro %}


{% macro duckdb__days_between(from_sql, to_sql) %}
    {{- "date_diff('day', cast(" ~ from_sql ~ " as date), cast(" ~ to_sql ~ " as date))" -}}
{% endmacro %}


{# A date some days later. #}
{% macro days_after(date_sql, days) %}
    {{- "cast(" ~ dbt.dateadd("day", days, date_sql) ~ " as date)" -}}
{% endmacro %}


{# Completed years from one date to a later one, as ages are told. #}
{% macro whole_years_between(from_sql, to_sql) %}
    {{- "cast(extract(year from " ~ to_sql ~ ") - extract(year from " ~ from_sql ~ ") - case when "
        ~ "100 * extract(month from " ~ to_sql ~ ") + extract(day from " ~ to_sql ~ ") < "
        ~ "100 * extract(month from " ~ from_sql ~ ") + extract(day from " ~ from_sql ~ ") "
        ~ "then 1 else 0 end as bigint)" -}}
{% endmacro %}


{# 0 for Monday to 6 for Sunday. #}
{% macro weekday_number(date_sql) %}
    {{- return(adapter.dispatch("weekday_number", "coterie")(date_sql)) -}}
{% endmacro %}


{% macro default__weekday_number(date_sql) %}
    {{- "(extract(isodow from " ~ date_sql ~ ") - 1)" -}}
{% endmacro %}


{% macro spark__weekday_number(date_sql) %}
    {{- "weekday(" ~ date_sql ~ ")" -}}
{% endmacro %}


{# A number from 0 to 999999 that depends on the key alone: the place of a customer in any sample. #}
{% macro sample_position(key_sql) %}
    {{- return(adapter.dispatch("sample_position", "coterie")(key_sql)) -}}
{% endmacro %}


{% macro default__sample_position(key_sql) %}
    {{- "(cast('0x' || substr(md5(" ~ key_sql ~ "), 1, 12) as bigint) % 1000000)" -}}
{% endmacro %}


{% macro spark__sample_position(key_sql) %}
    {{- "(cast(conv(substr(md5(" ~ key_sql ~ "), 1, 12), 16, 10) as bigint) % 1000000)" -}}
{% endmacro %}


{# A number of 64 bits that rows of the same values share; of others, one in 2^64 does as well. #}
{% macro row_hash(columns) %}
    {{- return(adapter.dispatch("row_hash", "coterie")(columns)) -}}
{% endmacro %}


{% macro default__row_hash(columns) %}
    {{- "hash(" ~ columns | join(", ") ~ ")" -}}
{% endmacro %}


{% macro spark__row_hash(columns) %}
    {{- "xxhash64(" ~ columns | join(", ") ~ ")" -}}
{% endmacro %}


{#
    The sum of the hashes of some columns, which tells two sets of rows apart whatever their order.
    Sums are compared within one query and never kept.
#}
{% macro hash_sum(columns) %}
    {{- return(adapter.dispatch("hash_sum", "coterie")(columns)) -}}
{% endmacro %}


{% macro default__hash_sum(columns) %}
    {{- "sum(" ~ coterie.row_hash(columns) ~ ")" -}}
{% endmacro %}


{% macro spark__hash_sum(columns) %}
    {{- "sum(cast(" ~ coterie.row_hash(columns) ~ " as decimal(38, 0)))" -}}
{% endmacro %}


{# An aggregate: a quantile, between neighbours by a straight line. #}
{% macro quantile(value_sql, level) %}
    {{- return(adapter.dispatch("quantile", "coterie")(value_sql, level)) -}}
{% endmacro %}


{% macro default__quantile(value_sql, level) %}
    {{- "quantile_cont(" ~ value_sql ~ ", " ~ level ~ ")" -}}
{% endmacro %}


{% macro spark__quantile(value_sql, level) %}
    {{- "percentile(" ~ value_sql ~ ", " ~ level ~ ")" -}}
{% endmacro %}


{# A wall-clock timestamp in the shop's time zone. #}
{% macro to_wall_time(column_sql, has_zone) %}
    {{- return(adapter.dispatch("to_wall_time", "coterie")(column_sql, has_zone)) -}}
{% endmacro %}


{% macro default__to_wall_time(column_sql, has_zone) %}
    {% set zone = coterie.quoted(coterie.timezone_var("coterie__timezone")) %}
    {% set source_zone = coterie.quoted(coterie.timezone_var("coterie__source_timezone")) %}
    {%- if has_zone -%}
        {{- "(" ~ column_sql ~ " at time zone " ~ zone ~ ")" -}}
    {%- elif zone == source_zone -%}
        {{- "cast(" ~ column_sql ~ " as timestamp)" -}}
    {%- else -%}
        {{- "((cast(" ~ column_sql ~ " as timestamp) at time zone " ~ source_zone ~ ") at time zone " ~ zone ~ ")" -}}
    {%- endif -%}
{% endmacro %}
