-- Accepted, rejected and unread rows are all rows of the input, and the rejected ones are those
-- that stand with their rule. Of customers, links and events the accepted rows are counted before
-- they are folded into one per id or session.
{% set accepted_rows = {
    'orders': ref('coterie', 'int_coterie__orders'),
    'order_lines': ref('coterie', 'int_coterie__order_lines'),
    'products': ref('coterie', 'int_coterie__products'),
    'messages': ref('coterie', 'int_coterie__messages'),
    'feedback': ref('coterie', 'int_coterie__feedback')
} %}
{% set folded_rows = {
    'customers': ref('coterie', 'int_coterie__checked_customers'),
    'identities': ref('coterie', 'int_coterie__checked_identities'),
    'custom_outcomes': ref('coterie', 'int_coterie__checked_custom_outcomes'),
    'seed_audiences': ref('coterie', 'int_coterie__checked_seed_audiences'),
    'consents': ref('coterie', 'int_coterie__checked_consents'),
    'erasure_requests': ref('coterie', 'int_coterie__checked_erasure_requests')
} %}

with

accepted as (

    {% for input_name, relation in accepted_rows.items() %}
    select
        '{{ input_name }}' as input_name,
        count(*) as accepted_row_count

    from {{ relation }}

    union all

    {% endfor %}
    {% for input_name, relation in folded_rows.items() %}
    select
        '{{ input_name }}' as input_name,
        count(*) as accepted_row_count

    from {{ relation }}

    where rejection_rule is null

    union all

    {% endfor %}
    select
        'events' as input_name,
        coalesce(sum(event_count), 0) as accepted_row_count

    from {{ ref('coterie', 'int_coterie__checked_events') }}

    where rejection_rule is null

),

rejected as (

    select
        input_name,
        sum(row_count) as rejected_row_count

    from {{ ref('coterie', 'int_coterie__rejected_rows') }}

    group by input_name

),

row_counts as (

    select
        input_row_counts.input_name,
        input_row_counts.row_count,
        input_row_counts.unread_row_count,
        input_row_counts.rejected_row_count as counted_as_rejected,
        accepted.accepted_row_count,
        coalesce(rejected.rejected_row_count, 0) as rejected_row_count

    from {{ ref('coterie', 'int_coterie__input_row_counts') }} as input_row_counts

    left join accepted
        on input_row_counts.input_name = accepted.input_name

    left join rejected
        on input_row_counts.input_name = rejected.input_name

),

unaccounted as (

    select * from row_counts
    where
        accepted_row_count is null
        or accepted_row_count + rejected_row_count + unread_row_count != row_count
        or rejected_row_count != counted_as_rejected

)

select * from unaccounted
