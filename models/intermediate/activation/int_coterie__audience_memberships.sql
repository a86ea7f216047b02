{{ config(materialized='view') }}

with

numbered as (

    select
        *,
        row_number() over (
            partition by audience_code, customer_id
            order by change_number desc
        ) as newest_rank

    from {{ ref('int_coterie__audience_states') }}

),

audience_memberships as (

    select
        audience_code,
        customer_id,
        channel,
        reason,
        entered_on,
        as_of_date,
        row_hash,
        changed_at,
        change_number

    from numbered

    where newest_rank = 1 and action != 'remove'

)

select * from audience_memberships
