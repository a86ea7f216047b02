{{ config(
    incremental_strategy='changes',
    unique_key='customer_id',
    post_hook="{{ coterie.delete_old_tombstones() }}"
) }}
{% set payload = coterie.crm_payload_columns() %}

with

as_of as (

    select max(as_of_date) as as_of_date from {{ ref('int_coterie__as_of') }}

),

memberships as (

    select
        customer_id,
        {{ dbt.listagg('audience_code', "','", 'order by audience_code') }} as audiences

    from {{ ref('int_coterie__audience_memberships') }}

    group by customer_id

),

erased as (

    select customer_id from {{ ref('int_coterie__erased_customers') }}

),

held as (

    {% if is_incremental() %}
    select * from {{ this }}
    {% else %}
    select
        {%- for name, type in payload.items() %}
        cast(null as {{ type }}) as {{ name }},
        {%- endfor %}
        cast(null as date) as as_of_date,
        false as is_deleted,
        cast(null as string) as row_hash,
        cast(null as bigint) as change_number

    where false
    {% endif %}

),

live as (

    select * from held
    where not is_deleted

),

last_date as (

    select max(as_of_date) as as_of_date from held

),

newest as (

    -- A build as of an older date only takes away: audiences that somebody has left, the erased.
    select
        as_of.as_of_date,
        coalesce(last_date.as_of_date > as_of.as_of_date, false) as is_older

    from as_of

    cross join last_date

),

proposed as (

    select
        {%- for name in payload %}
        {{ "coalesce(memberships.audiences, '')" if name == 'audiences' else 'payloads.' ~ name }}
            as {{ name }},
        {%- endfor %}
        newest.as_of_date

    from {{ ref('int_coterie__crm_payloads') }} as payloads

    inner join newest
        on not newest.is_older

    left join memberships
        on payloads.customer_id = memberships.customer_id

    union all

    select
        {%- for name in payload %}
        {{ "coalesce(memberships.audiences, '')" if name == 'audiences' else 'live.' ~ name }}
            as {{ name }},
        {%- endfor %}
        newest.as_of_date

    from live

    inner join newest
        on newest.is_older

    left join memberships
        on live.customer_id = memberships.customer_id

    left join erased
        on live.customer_id = erased.customer_id

    where erased.customer_id is null

),

hashed as (

    select
        *,
        {{ coterie.payload_hash(payload) }} as row_hash

    from proposed

),

changes as (

    select
        {%- for name in payload %}
        hashed.{{ name }},
        {%- endfor %}
        hashed.as_of_date,
        false as is_deleted,
        hashed.row_hash

    from hashed

    left join held
        on hashed.customer_id = held.customer_id

    where coalesce(held.is_deleted or held.row_hash != hashed.row_hash, true)

    union all

    -- Who is no more leaves the id alone.
    select
        {%- for name, type in payload.items() %}
        {{ 'live.customer_id' if name == 'customer_id' else 'cast(null as ' ~ type ~ ')' }}
            as {{ name }},
        {%- endfor %}
        newest.as_of_date,
        true as is_deleted,
        md5('deleted|' || live.customer_id) as row_hash

    from live

    cross join newest

    left join hashed
        on live.customer_id = hashed.customer_id

    where hashed.customer_id is null

),

last_change as (

    select
        greatest(
            coalesce(max(change_number), 0), cast({{ coterie.change_number_floor() }} as bigint)
        ) as change_number

    from held

),

crm_states as (

    select
        {%- for name in payload %}
        changes.{{ name }},
        {%- endfor %}
        changes.as_of_date,
        changes.is_deleted,
        changes.row_hash,
        {{ coterie.changed_at() }} as changed_at,
        last_change.change_number + row_number() over (order by changes.customer_id)
            as change_number

    from changes

    cross join last_change

)

select * from crm_states
