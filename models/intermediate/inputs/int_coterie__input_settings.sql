{{ config(materialized='view') }}

{#
    Staging refuses what is wrong with an input, and names it: after it, nothing is left to refuse here.
#}
{% for name in coterie.inputs_held_by_days() %}
-- depends_on: {{ ref('coterie', 'stg_coterie__' ~ name) }}
{% endfor %}

select {{ coterie.current_input_settings_hash() }} as input_settings_hash
