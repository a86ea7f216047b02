{{ config(materialized='view') }}

with

value_feature_bins as (

    {% if coterie.has_additive_value() %}
    select
        bin_set_id,
        fitted_as_of,
        settings_hash,
        training_row_count,
        feature,
        bin,
        upper_edge,
        training_share,
        lowest_value,
        highest_value

    from {{ ref('int_coterie__feature_bins') }}
    {% else %}
    -- A Python model always has the same parents, so that there must be one without bins, too.
    select
        cast(null as string) as bin_set_id,
        cast(null as date) as fitted_as_of,
        cast(null as string) as settings_hash,
        cast(null as bigint) as training_row_count,
        cast(null as string) as feature,
        cast(null as bigint) as bin,
        cast(null as double) as upper_edge,
        cast(null as double) as training_share,
        cast(null as double) as lowest_value,
        cast(null as double) as highest_value

    where false
    {% endif %}

)

select * from value_feature_bins
