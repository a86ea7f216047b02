{% set attributes = coterie.demographic_attributes() %}

with

customer_features as (

    select
        as_of_date,
        customer_id,
        age_years

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

customers as (

    select
        customer_features.customer_id,
        customers.acquisition_channel,
        {%- for name in attributes if name not in ['age_band', 'acquisition_channel'] %}
        customer_attributes.{{ name }},
        {%- endfor %}
        -- Nobody is that old: a placeholder in place of a birthday.
        case when customer_features.age_years < 110 then customer_features.age_years end
            as age_years

    from customer_features

    inner join {{ ref('int_coterie__customers') }} as customers
        on customer_features.customer_id = customers.customer_id

    left join {{ ref('int_coterie__customer_attributes') }} as customer_attributes
        on
            customer_features.customer_id = customer_attributes.customer_id
            and (
                customer_attributes.valid_from is null
                or customer_features.as_of_date > customer_attributes.valid_from
            )
            and (
                customer_attributes.valid_until is null
                or customer_features.as_of_date <= customer_attributes.valid_until
            )

),

customer_groups as (

    {% for attribute in attributes %}
    {{ 'union all' if not loop.first }}
    select
        customer_id,
        '{{ attribute }}' as attribute_name,
        coalesce(
            {% if attribute == 'age_band' %}
            {{ coterie.age_band('age_years') }},
            {% elif attribute == 'country_code' %}
            upper(nullif(trim(country_code), '')),
            {% elif attribute == 'gender' %}
            lower(nullif(trim(gender), '')),
            {% else %}
            nullif(trim({{ attribute }}), ''),
            {% endif %}
            'unknown'
        ) as group_code

    from customers
    {% endfor %}

)

select * from customer_groups
