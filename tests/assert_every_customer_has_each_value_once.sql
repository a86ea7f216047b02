{{ config(enabled=coterie.is_topic_enabled('lifetime_value')) }}

-- A customer with an order has a value of each horizon by each version that is the newest or the
-- champion; without such a version, and without an order, one that no version gives. That none has
-- one twice is a claim of the model itself.
with

customers as (

    select
        customer_id,
        order_day_count

    from {{ ref('coterie', 'int_coterie__customer_features') }}

    where is_scoring_date

),

models as (

    {% for horizon in coterie.value_horizons() %}
    {{ 'union all' if not loop.first }}
    select 'value_{{ horizon }}d' as model_name
    {% endfor %}

),

versions as (

    select
        model_name,
        model_version

    from {{ ref('coterie', 'int_coterie__value_versions') }}

    where
        is_newest
        or is_champion

),

expected as (

    select
        customers.customer_id,
        models.model_name,
        coalesce(versions.model_version, 'none') as model_version

    from customers

    cross join models

    left join versions
        on
            models.model_name = versions.model_name
            and customers.order_day_count > 0

),

customer_values as (

    select
        customer_id,
        model_name,
        coalesce(model_version, 'none') as model_version

    from {{ ref('coterie', 'int_coterie__customer_values') }}

),

wrong as (

    select
        coalesce(expected.customer_id, customer_values.customer_id) as customer_id,
        coalesce(expected.model_name, customer_values.model_name) as model_name,
        coalesce(expected.model_version, customer_values.model_version) as model_version,
        expected.customer_id is not null as is_expected,
        customer_values.customer_id is not null as is_found

    from expected

    full outer join customer_values
        on
            expected.customer_id = customer_values.customer_id
            and expected.model_name = customer_values.model_name
            and expected.model_version = customer_values.model_version

    where
        expected.customer_id is null
        or customer_values.customer_id is null

)

select * from wrong
