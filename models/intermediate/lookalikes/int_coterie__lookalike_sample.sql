{% set settings = coterie.settings('lookalikes') %}
{% set features = coterie.lookalike_features() %}
{% set closeness_features = coterie.closeness_features() | reject('in', features) | list %}

with

customers as (

    select
        customer_features.customer_id,
        customers.sample_position

    from {{ ref('int_coterie__customer_features') }} as customer_features

    inner join {{ ref('int_coterie__customers') }} as customers
        on customer_features.customer_id = customers.customer_id

    where
        customer_features.is_scoring_date
        and {{ 'true' if coterie.has_seed_audiences() else 'false' }}

),

members as (

    select
        audience_members.audience_code,
        audience_members.customer_id,
        customers.sample_position

    from {{ ref('int_coterie__audience_members') }} as audience_members

    inner join customers
        on audience_members.customer_id = customers.customer_id

),

background_limit as (

    select
        1000000.0 * {{ settings.sample_customer_limit | int }} / greatest(count(*), 1)
            as position_limit

    from customers

),

audiences as (

    select
        audience_code,
        1000000.0 * {{ settings.sample_member_limit | int }} / count(*) as position_limit

    from members

    group by audience_code

),

sampled as (

    -- The same customers for all audiences, so that another audience changes nothing, ...
    select
        audiences.audience_code,
        customers.customer_id,
        members.customer_id is not null as is_member,
        true as is_background

    from customers

    inner join background_limit
        on customers.sample_position < background_limit.position_limit

    cross join audiences

    left join members
        on
            audiences.audience_code = members.audience_code
            and customers.customer_id = members.customer_id

    union all

    -- ... and more of the members, who are few among all.
    select
        members.audience_code,
        members.customer_id,
        true as is_member,
        false as is_background

    from members

    inner join audiences
        on
            members.audience_code = audiences.audience_code
            and members.sample_position < audiences.position_limit

    inner join background_limit
        on members.sample_position >= background_limit.position_limit

),

lookalike_sample as (

    select
        sampled.audience_code,
        sampled.customer_id,
        {%- for feature in features %}
        cast({{ coterie.lookalike_feature_column(feature) }} as double)
            as {{ adapter.quote(feature) }},
        {%- endfor %}
        {%- for feature in closeness_features %}
        cast({{ coterie.feature_column(feature) }} as double) as {{ adapter.quote(feature) }},
        {%- endfor %}
        sampled.is_member,
        sampled.is_background

    from sampled

    inner join {{ ref('int_coterie__customer_features') }} as customer_features
        on sampled.customer_id = customer_features.customer_id

    {{ coterie.lookalike_feature_joins() }}

    where customer_features.is_scoring_date

)

select * from lookalike_sample
