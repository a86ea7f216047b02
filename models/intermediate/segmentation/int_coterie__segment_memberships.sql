{% set has_clusters = coterie.is_topic_enabled('segmentation') %}

with

proposals as (

    select * from {{ ref('int_coterie__segment_proposals') }}

),

states as (

    select
        states.*,
        row_number() over (
            partition by states.segmentation_name, states.customer_id
            order by states.valid_from_on desc
        ) as newest_rank

    from {{ ref('int_coterie__customer_segment_states') }} as states

    inner join {{ ref('int_coterie__as_of') }} as as_of
        on states.valid_from_on <= as_of.as_of_date

),

memberships as (

    -- Before there was a history the proposal holds.
    select
        proposals.as_of_date,
        proposals.segmentation_name,
        proposals.customer_id,
        coalesce(states.segment_code, proposals.segment_code) as segment_code,
        states.previous_segment_code,
        states.valid_from_on as segment_since

    from proposals

    left join states
        on
            proposals.segmentation_name = states.segmentation_name
            and proposals.customer_id = states.customer_id
            and states.newest_rank = 1

),

segment_memberships as (

    select
        memberships.as_of_date,
        memberships.segmentation_name,
        memberships.customer_id,
        memberships.segment_code,
        memberships.previous_segment_code,
        memberships.segment_since,
        {%- if has_clusters %}
        distances.segmentation_version,
        distances.distance_to_center,
        distances.distance_to_center <= distances.radius as is_core_member
        {%- else %}
        cast(null as string) as segmentation_version,
        cast(null as double) as distance_to_center,
        cast(null as boolean) as is_core_member
        {%- endif %}

    from memberships

    {% if has_clusters %}
    left join {{ ref('int_coterie__segment_distances') }} as distances
        on
            memberships.segmentation_name = distances.segmentation_name
            and memberships.customer_id = distances.customer_id
            and memberships.segment_code = distances.segment_code
            and distances.is_champion
    {% endif %}

)

select * from segment_memberships
