{#
    The sentence of a reason with the customer's own value in it, and the usual one where there is
    one. `part` names the columns _value and _usual_value, `words` the joined row of
    coterie__feature_reasons.
#}
{% macro reason_sentence(part, words) %}
    case
        when {{ part }}_code_as_read is null then null
        when {{ part }}_value_as_read is null then {{ words }}.missing_sentence
        when {{ part }}_usual_value_as_read is null or {{ words }}.usual_sentence is null
            then
                replace(
                    {{ words }}.sentence,
                    '{value}',
                    {{ coterie.reason_value(part ~ "_value_as_read", words ~ ".value_format") }}
                )
        else
            replace(
                replace(
                    {{ words }}.usual_sentence,
                    '{value}',
                    {{ coterie.reason_value(part ~ "_value_as_read", words ~ ".value_format") }}
                ),
                '{usual}',
                {{ coterie.reason_value(part ~ "_usual_value_as_read", words ~ ".usual_format") }}
            )
    end
{% endmacro %}


{% macro reason_value(value_sql, format_sql) %}
    case {{ format_sql }}
        when 'percent' then cast(cast(round(100 * {{ value_sql }}) as bigint) as string) || ' %'
        when 'amount' then cast(cast({{ value_sql }} as decimal(18, 2)) as string)
        when 'decimal' then cast(cast({{ value_sql }} as decimal(18, 1)) as string)
        else cast(cast(round({{ value_sql }}) as bigint) as string)
    end
{% endmacro %}
