with

states as (

    select * from {{ ref('int_coterie__audience_states') }}

)

select
    cast(audience_code as string) as audience_code,
    cast(customer_id as string) as customer_id,
    cast(change_number as bigint) as change_number,
    cast(action as string) as action,
    cast(channel as string) as channel,
    cast(reason as string) as reason,
    changed_at,
    cast(row_hash as string) as row_hash,
    as_of_date

from states
