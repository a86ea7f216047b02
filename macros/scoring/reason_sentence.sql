{# The sentence of a reason with the customer's own value in it. #}
{% macro reason_sentence(value_sql, format_sql, sentence_sql, missing_sentence_sql) %}
    case
        when {{ value_sql }} is null then {{ missing_sentence_sql }}
        else
            replace(
                {{ sentence_sql }},
                '{value}',
                case {{ format_sql }}
                    when 'percent' then cast(cast(round(100 * {{ value_sql }}) as bigint) as string) || ' %'
                    when 'amount' then cast(cast({{ value_sql }} as decimal(18, 2)) as string)
                    when 'decimal' then cast(cast({{ value_sql }} as decimal(18, 1)) as string)
                    else cast(cast(round({{ value_sql }}) as bigint) as string)
                end
            )
    end
{% endmacro %}
