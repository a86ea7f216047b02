{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['happened_on', 'customer_days'],
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}

{# A first build takes all days. #}
{% set is_message_day = 'true' %}
{% if is_incremental() %}
    {% set is_message_day = 'cast(sent_at as date) in (select days_to_tell.happened_on from days_to_tell)' %}
{% endif %}

with

{% if is_incremental() %}

days_to_tell as (

    {{ coterie.days_to_tell('messages') }}

),

{% endif %}

message_steps as (

    select 'sent' as step_name
    union all
    select 'opened' as step_name
    union all
    select 'clicked' as step_name
    union all
    select 'unsubscribed' as step_name

),

messages as (

    select * from {{ ref('int_coterie__messages') }}

    where {{ is_message_day }}

),

known_messages as (

    -- An answer stands on the day of its message, and is known from its own day on.
    select
        messages.customer_id,
        message_steps.step_name,
        cast(messages.sent_at as date) as happened_on,
        cast(
            greatest(
                messages.sent_at,
                case message_steps.step_name
                    when 'opened' then messages.opened_at
                    when 'clicked' then messages.clicked_at
                    when 'unsubscribed' then messages.unsubscribed_at
                    else messages.sent_at
                end
            ) as date
        ) as known_on

    from messages

    cross join message_steps

    where
        message_steps.step_name = 'sent'
        or (message_steps.step_name = 'opened' and messages.opened_at is not null)
        or (message_steps.step_name = 'clicked' and messages.clicked_at is not null)
        or (message_steps.step_name = 'unsubscribed' and messages.unsubscribed_at is not null)

),

message_days as (

    select
        customer_id,
        happened_on,
        known_on,
        count(case when step_name = 'sent' then 1 end) as message_count,
        count(case when step_name = 'opened' then 1 end) as opened_message_count,
        count(case when step_name = 'clicked' then 1 end) as clicked_message_count,
        count(case when step_name = 'unsubscribed' then 1 end) as unsubscribed_message_count

    from known_messages

    group by customer_id, happened_on, known_on

),

customer_message_days as (

    select
        customer_id,
        happened_on,
        known_on,
        {%- for name, type in coterie.message_day_columns().items() %}
        cast(coalesce({{ name }}, 0) as {{ type }}) as {{ name }},
        {%- endfor %}
        {{ coterie.input_settings_hash('int_coterie__customer_message_days') }}
            as input_settings_hash

    from message_days

)

select * from customer_message_days
{% if is_incremental() %}

union all

{{ coterie.marks_of_customer_days('int_coterie__customer_message_days', coterie.message_day_columns()) }}
{% endif %}
