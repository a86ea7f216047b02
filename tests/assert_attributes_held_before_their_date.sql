-- An attribute that may change is that of the newest version that held before the date. Looked up
-- here in the accepted rows, without what builds the features.
with

features as (

    select
        as_of_date,
        customer_id,
        gender,
        country_code,
        region,
        city

    from {{ ref('coterie', 'int_coterie__customer_features') }}

),

versions as (

    select
        customer_id,
        valid_from,
        gender,
        country_code,
        region,
        city

    from {{ ref('coterie', 'int_coterie__checked_customers') }}

    where
        rejection_rule is null
        and valid_from is not null

),

newest_versions as (

    select
        features.as_of_date,
        features.customer_id,
        max(versions.valid_from) as valid_from

    from features

    inner join versions
        on
            features.customer_id = versions.customer_id
            and features.as_of_date > versions.valid_from

    group by features.as_of_date, features.customer_id

),

known as (

    select
        newest_versions.as_of_date,
        versions.customer_id,
        versions.gender,
        versions.country_code,
        versions.region,
        versions.city

    from newest_versions

    inner join versions
        on
            newest_versions.customer_id = versions.customer_id
            and newest_versions.valid_from = versions.valid_from

),

wrong as (

    select
        features.as_of_date,
        features.customer_id

    from features

    left join known
        on
            features.as_of_date = known.as_of_date
            and features.customer_id = known.customer_id

    where
        features.gender is distinct from known.gender
        or features.country_code is distinct from known.country_code
        or features.region is distinct from known.region
        or features.city is distinct from known.city

)

select * from wrong
