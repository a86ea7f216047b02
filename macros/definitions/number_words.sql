{# Numbers as people read them, each a piece of SQL that gives text; NULL of NULL. #}

{# A number with commas between the thousands. #}
{% macro grouped_number(value_sql, decimals=0) %}
    {{- return(adapter.dispatch("grouped_number", "coterie")(value_sql, decimals)) -}}
{% endmacro %}


{% macro default__grouped_number(value_sql, decimals) %}
    {{- "format('{:,." ~ decimals ~ "f}', round(cast(" ~ value_sql ~ " as double), " ~ decimals ~ "))" -}}
{% endmacro %}


{% macro spark__grouped_number(value_sql, decimals) %}
    {{- "format_number(round(cast(" ~ value_sql ~ " as double), " ~ decimals ~ "), " ~ decimals ~ ")" -}}
{% endmacro %}


{# A whole number of things: `1 order`, `1,204 orders`. #}
{% macro counted(value_sql, singular, plural) %}
    {{- coterie.grouped_number(value_sql) ~ " || case when round(cast(" ~ value_sql ~ " as double)) = 1 then ' "
        ~ singular ~ "' else ' " ~ plural ~ "' end" -}}
{% endmacro %}


{# A share as whole percent; a share that is not none or all never looks as if it were. #}
{% macro percent(share_sql) %}
    {{- "(case when " ~ share_sql ~ " > 0 and " ~ share_sql ~ " < 0.005 then 'under 1 %' when " ~ share_sql
        ~ " >= 0.995 and " ~ share_sql ~ " < 1 then 'over 99 %' else " ~ coterie.grouped_number("100 * " ~ share_sql)
        ~ " || ' %' end)" -}}
{% endmacro %}


{# A sentence that begins with a capital. #}
{% macro capitalised(text_sql) %}
    {{- "upper(substr(" ~ text_sql ~ ", 1, 1)) || substr(" ~ text_sql ~ ", 2)" -}}
{% endmacro %}
