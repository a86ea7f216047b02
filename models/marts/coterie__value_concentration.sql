{% set measures = {
    'predicted_value_365d': 'predicted_value_365d', 'predicted_value_90d': 'predicted_value_90d',
    'net_amount_365d': 'net_amount_365d'
} %}

with

lifetime_values as (

    select
        customer_id,
        as_of_date,
        predicted_value_90d,
        predicted_value_365d

    from {{ ref('coterie__customer_lifetime_values') }}

),

customer_features as (

    select
        customer_id,
        net_amount_365d

    from {{ ref('int_coterie__customer_features') }}

    where is_scoring_date

),

amounts as (

    {% for measure in measures %}
    {{ 'union all' if not loop.first }}
    select
        '{{ measure }}' as measure,
        lifetime_values.as_of_date,
        lifetime_values.customer_id,
        {{ measure }} as amount

    from lifetime_values

    inner join customer_features
        on lifetime_values.customer_id = customer_features.customer_id

    where {{ measure }} is not null
    {% endfor %}

),

ranked as (

    select
        *,
        row_number() over (
            partition by measure
            order by amount desc, customer_id asc
        ) as place,
        count(*) over (partition by measure) as customer_count

    from amounts

),

shares as (

    select 0.1 as top_share

    union all

    select 0.2 as top_share

),

value_concentration as (

    -- A tenth of 25 customers is 3 of them: whoever begins in the share belongs to it.
    select
        ranked.measure,
        shares.top_share,
        max(ranked.as_of_date) as as_of_date,
        max(ranked.customer_count) as customer_count,
        count(case when ranked.place <= ceil(shares.top_share * ranked.customer_count) then 1 end)
            as top_customer_count,
        sum(ranked.amount) as total_amount,
        sum(
            case
                when ranked.place <= ceil(shares.top_share * ranked.customer_count)
                    then ranked.amount
                else 0
            end
        ) as top_amount

    from ranked

    cross join shares

    group by
        ranked.measure,
        shares.top_share

)

select
    cast(measure as string) as measure,
    cast(top_share as double) as top_share,
    as_of_date,
    cast(customer_count as bigint) as customer_count,
    cast(top_customer_count as bigint) as top_customer_count,
    cast(total_amount as decimal(18, 2)) as total_amount,
    cast(top_amount as decimal(18, 2)) as top_amount,
    {{ coterie.ratio('top_amount', 'total_amount') }} as amount_share

from value_concentration
