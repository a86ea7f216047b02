with

states as (

    select * from {{ ref('int_coterie__crm_states') }}

)

select
    cast(customer_id as string) as customer_id,
    cast(email as string) as email,
    cast(segment_code as string) as segment_code,
    cast(segment_name as string) as segment_name,
    cast(rfm_segment_code as string) as rfm_segment_code,
    cast(value_band as string) as value_band,
    cast(purchase_band as string) as purchase_band,
    cast(churn_band as string) as churn_band,
    cast(order_count_band as string) as order_count_band,
    cast(top_interest as string) as top_interest,
    last_ordered_on,
    cast(audiences as string) as audiences,
    is_deleted,
    cast(row_hash as string) as row_hash,
    changed_at,
    cast(change_number as bigint) as change_number

from states
