{{ config(incremental_strategy='replace_date', incremental_predicates=['valid_from_on']) }}

-- depends_on: {{ ref('int_coterie__as_of') }}

{% set has_clusters = coterie.is_topic_enabled('segmentation') %}
{# A build as of an older date writes no history. #}
{% set is_new_enough = 'true' %}
{% if is_incremental() %}
    {% set is_new_enough =
        'coalesce(proposals.as_of_date >= (select newest.valid_from_on from newest), true)' %}
{% endif %}

with

{% if is_incremental() %}

newest as (

    select max(valid_from_on) as valid_from_on from {{ this }}

),

states as (

    -- What an earlier build of the same date wrote gives way.
    select this.*

    from {{ this }} as this

    inner join {{ ref('int_coterie__as_of') }} as as_of
        on this.valid_from_on < as_of.as_of_date

),

held as (

    select
        *,
        row_number() over (
            partition by segmentation_name, customer_id
            order by valid_from_on desc
        ) as newest_rank

    from states

),

{% else %}

held as (

    select
        cast(null as string) as segmentation_name,
        cast(null as string) as customer_id,
        cast(null as string) as segment_code,
        1 as newest_rank

    where false

),

{% endif %}

compared as (

    select
        proposals.*,
        held.segment_code as previous_segment_code

    from {{ ref('int_coterie__segment_proposals') }} as proposals

    left join held
        on
            proposals.segmentation_name = held.segmentation_name
            and proposals.customer_id = held.customer_id
            and held.newest_rank = 1

    where
        (held.customer_id is null or proposals.segment_code != held.segment_code)
        and {{ is_new_enough }}

),

{% if has_clusters %}

margins as (

    {% for segmentation in coterie.segmentations() %}
    {{ 'union all' if not loop.first }}
    select
        {{ coterie.quoted(segmentation.name) }} as segmentation_name,
        {{ segmentation.border_margin | float }} as border_margin
    {% endfor %}

),

at_a_border as (

    -- The center of before lies hardly farther than the nearest one.
    select
        compared.segmentation_name,
        compared.customer_id

    from compared

    inner join margins
        on compared.segmentation_name = margins.segmentation_name

    inner join {{ ref('int_coterie__segment_distances') }} as nearest
        on
            compared.segmentation_name = nearest.segmentation_name
            and compared.customer_id = nearest.customer_id
            and compared.segment_code = nearest.segment_code
            and nearest.is_champion

    inner join {{ ref('int_coterie__segment_distances') }} as previous
        on
            compared.segmentation_name = previous.segmentation_name
            and compared.customer_id = previous.customer_id
            and compared.previous_segment_code = previous.segment_code
            and previous.is_champion

    where
        previous.score - nearest.score
        <= margins.border_margin * (abs(previous.score) + abs(nearest.score))
        and coalesce(previous.distance_to_center <= previous.max_distance, true)

),

{% endif %}

customer_segment_states as (

    select
        compared.segmentation_name,
        compared.customer_id,
        compared.as_of_date as valid_from_on,
        compared.segment_code,
        compared.previous_segment_code,
        case
            when compared.previous_segment_code is null then 'first_seen'
            when compared.held_segment_code = compared.previous_segment_code
                then 'definition_moved'
            when compared.held_segment_code is null and compared.is_redefined
                then 'definition_moved'
            else 'customer_moved'
        end as cause,
        compared.segmentation_version,
        compared.net_amount

    from compared

    {% if has_clusters %}
    left join at_a_border
        on
            compared.segmentation_name = at_a_border.segmentation_name
            and compared.customer_id = at_a_border.customer_id

    where at_a_border.customer_id is null
    {% endif %}

)

select * from customer_segment_states
