{% set attributes = coterie.fairness_attributes() %}
{% set evidence = coterie.settings('evidence') %}

with

backtests as (

    select * from {{ ref('int_coterie__propensity_backtests') }}

),

rounds as (

    -- Each test origin by itself, and all of them together.
    select
        model_name,
        model_version,
        cast(origin as string) as origin,
        origin as tested_on,
        scorer_name,
        customer_id,
        outcome,
        probability,
        'all' as group_name,
        'all' as group_value

    from backtests

    union all

    select
        model_name,
        model_version,
        'pooled' as origin,
        origin as tested_on,
        scorer_name,
        customer_id,
        outcome,
        probability,
        'all' as group_name,
        'all' as group_value

    from backtests

),

{% if attributes %}
customers as (

    select
        customers.customer_id,
        customers.acquisition_channel,
        customer_attributes.gender,
        customer_attributes.country_code,
        customer_attributes.region,
        customer_attributes.city,
        {{ coterie.whole_years_between('customers.birth_date', 'as_of.as_of_date') }} as age_years

    from {{ ref('int_coterie__customers') }} as customers

    cross join {{ ref('int_coterie__as_of') }} as as_of

    left join {{ ref('int_coterie__customer_attributes') }} as customer_attributes
        on
            customers.customer_id = customer_attributes.customer_id
            and customer_attributes.is_current

),

customer_groups as (

    {% for attribute in attributes %}
    {{ 'union all' if not loop.first }}
    select
        customer_id,
        '{{ attribute }}' as group_name,
        {% if attribute == 'age_band' %}
        {{ coterie.age_band('age_years') }} as group_value
        {% else %}
        nullif(trim({{ attribute }}), '') as group_value
        {% endif %}

    from customers
    {% endfor %}

),

attributes as (

    {% for attribute in attributes %}
    {{ 'union all' if not loop.first }}
    select '{{ attribute }}' as group_name
    {% endfor %}

),

group_rounds as (

    -- A customer of whom the attribute is not known is one of a group too.
    select
        backtests.model_name,
        backtests.model_version,
        'pooled' as origin,
        backtests.origin as tested_on,
        backtests.scorer_name,
        backtests.customer_id,
        backtests.outcome,
        backtests.probability,
        attributes.group_name,
        coalesce(customer_groups.group_value, 'unknown') as group_value

    from backtests

    cross join attributes

    left join customer_groups
        on
            backtests.customer_id = customer_groups.customer_id
            and attributes.group_name = customer_groups.group_name

    where backtests.scorer_name = 'model'

),

groups as (

    -- Numbers of a handful of customers say nothing, and may say too much of them.
    select
        model_version,
        group_name,
        group_value

    from group_rounds

    group by model_version, group_name, group_value

    having count(distinct customer_id) >= {{ evidence.min_group_customer_count | int }}

),

{% endif %}
grouped as (

    select * from rounds

    {% if attributes %}
    union all

    select group_rounds.*

    from group_rounds

    inner join groups
        on
            group_rounds.model_version = groups.model_version
            and group_rounds.group_name = groups.group_name
            and group_rounds.group_value = groups.group_value
    {% endif %}

),

backtest_rows as (

    select
        *,
        outcome * -ln(probability) + (1 - outcome) * -ln(1 - probability) as log_loss,
        (probability - outcome) * (probability - outcome) as squared_error

    from grouped

)

select * from backtest_rows
