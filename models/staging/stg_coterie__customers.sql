{% set customers = coterie.staged_input('customers') %}

with

source as (

    select * from {{ customers.relation }}

),

renamed as (

    select
        {{ customers.customer_id }} as customer_id,
        {%- for name in coterie.customer_attributes() %}
        {{ customers[name] }} as {{ name }},
        {%- endfor %}
        {{ customers.valid_from }} as valid_from,
        {{ customers.email }} as email,
        {{ customers.phone }} as phone,
        {{ customers.signed_up_at }} as signed_up_at,
        {{ customers.birth_date }} as birth_date,
        {{ customers.gender }} as gender,
        {{ customers.country_code }} as country_code,
        {{ customers.region }} as region,
        {{ customers.city }} as city,
        {{ customers.acquisition_channel }} as acquisition_channel,
        {{ customers.acquisition_campaign_id }} as acquisition_campaign_id

    from source

)

select * from renamed
{{ coterie.unless_erased('renamed') }}
