{{ config(enabled=coterie.is_topic_enabled('propensity')) }}

with

features as (

    {% for feature in coterie.default_propensity_features() %}
    {{ 'union all' if not loop.first }}
    select {{ coterie.quoted(feature) }} as feature
    {% endfor %}

),

directions as (

    select 'raises' as direction

    union all

    select 'lowers' as direction

),

feature_reasons as (

    select * from {{ ref('coterie', 'coterie__feature_reasons') }}

),

wordless as (

    select
        features.feature,
        directions.direction

    from features

    cross join directions

    left join feature_reasons
        on
            features.feature = feature_reasons.feature
            and directions.direction = feature_reasons.direction

    where
        -- Under `--empty` there are no words to test.
        exists (select words.feature from feature_reasons as words)
        and (
            feature_reasons.missing_sentence is null
            or feature_reasons.sentence not like '%{value}%'
            -- A cause is never claimed.
            or feature_reasons.sentence not like '%associated with%'
            or feature_reasons.missing_sentence not like '%associated with%'
            or feature_reasons.usual_sentence not like '%{value}%{usual}%associated with%'
        )

)

select * from wordless
