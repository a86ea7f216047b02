with

versions as (

    select
        customer_id,
        valid_from,
        gender,
        country_code,
        region,
        city,
        {%- for name in coterie.customer_attributes() %}
        {{ name }},
        {%- endfor %}
        {{ coterie.possible_time('signed_up_at') }} as signed_up_at,
        cast({{ coterie.possible_time('birth_date') }} as date) as birth_date,
        acquisition_channel

    from {{ ref('int_coterie__checked_customers') }}

    where rejection_rule is null

),

numbered_versions as (

    select
        *,
        row_number() over (
            partition by customer_id
            order by valid_from asc nulls first
        ) as version_number,
        lead(valid_from) over (
            partition by customer_id
            order by valid_from asc nulls first
        ) as valid_until

    from versions

),

customer_attributes as (

    select
        customer_id,
        valid_from,
        valid_until,
        valid_until is null as is_current,
        version_number = 1 as is_first,
        gender,
        country_code,
        region,
        city,
        {%- for name in coterie.customer_attributes() %}
        {{ name }},
        {%- endfor %}
        signed_up_at,
        birth_date,
        acquisition_channel

    from numbered_versions

)

select * from customer_attributes
