{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    incremental_predicates=['sent_at'],
    unique_key='message_id',
    on_schema_change='fail'
) }}

-- depends_on: {{ ref('int_coterie__order_days') }}

with

{% if is_incremental() %}

days_to_read as (

    {{ coterie.days_to_read('messages') }}

),

rows_read_again as (

    select * from {{ coterie.rows_read_again('messages') }} as input_rows

),

{% endif %}

checked as (

    select
        input_rows.*,
        {{ coterie.input_settings_hash('int_coterie__checked_messages') }} as input_settings_hash

    from {{ coterie.checked_rows(
        'messages', 'rows_read_again' if is_incremental() else ref('stg_coterie__messages')
    ) }} as input_rows

)

select * from checked
{% if is_incremental() %}

union all

{{ coterie.marks_of_days('int_coterie__checked_messages', 'sent_at', coterie.staged_column_types('messages')) }}
{% endif %}
