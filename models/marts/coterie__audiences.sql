with

memberships as (

    select * from {{ ref('int_coterie__audience_memberships') }}

)

select
    cast(audience_code as string) as audience_code,
    cast(customer_id as string) as customer_id,
    cast(channel as string) as channel,
    entered_on,
    cast(reason as string) as reason

from memberships
