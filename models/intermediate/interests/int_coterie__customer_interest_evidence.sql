{% set interests = coterie.settings('interests') %}
{% set view_words = coterie.event_types().view + coterie.event_types().cart %}

with

as_of as (

    select
        as_of_date,
        {{ coterie.interest_days_from(interests.lookback_days, 'as_of_date') }} as orders_from,
        {{ coterie.interest_days_from(interests.view_days, 'as_of_date') }} as views_from

    from {{ ref('int_coterie__as_of') }}

),

product_topics as (

    -- Shares in whole units, so that sums do not depend on the order of the rows. They fit into
    -- doubles, whose sums are faster than those of long integers and as exact.
    select
        product_id,
        is_current,
        topic_number,
        round(affinity * {{ coterie.interest_units() }}) as affinity_units,
        case when topic_rank = 1 then 1 else 0 end as main_count

    from {{ ref('int_coterie__product_interests') }}

),

orders as (

    -- By their time, not their day, older blocks of orders can be left unread.
    select
        orders.order_id,
        orders.customer_id,
        {{ coterie.action_weight(1, 'orders.ordered_on', 'as_of.as_of_date') }} as action_weight

    from {{ ref('int_coterie__orders') }} as orders

    cross join as_of

    where
        orders.customer_id is not null
        and orders.ordered_at >= as_of.orders_from
        and {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

order_topics as (

    -- Each line is an action, however many pieces it has. Lines are added up by order first, which
    -- tells in how many orders a topic is.
    select
        order_lines.order_id,
        product_topics.is_current,
        product_topics.topic_number,
        sum(product_topics.affinity_units) as affinity_units,
        max(product_topics.main_count) as main_count

    from {{ ref('int_coterie__checked_order_lines') }} as order_lines

    inner join product_topics
        on order_lines.product_id = product_topics.product_id

    cross join as_of

    where
        order_lines.rejection_rule is null
        and order_lines.is_of_customer
        and order_lines.quantity > 0
        and order_lines.ordered_at >= as_of.orders_from
        and order_lines.ordered_at < as_of.as_of_date

    group by
        order_lines.order_id,
        product_topics.is_current,
        product_topics.topic_number

),

order_evidence as (

    select
        orders.customer_id,
        order_topics.is_current,
        order_topics.topic_number,
        sum(orders.action_weight * order_topics.affinity_units) as evidence_units,
        sum(order_topics.main_count) as order_count

    from order_topics

    inner join orders
        on order_topics.order_id = orders.order_id

    group by
        orders.customer_id,
        order_topics.is_current,
        order_topics.topic_number

),

views as (

    -- Copies of an event count once.
    select distinct
        input_rows.event_id,
        input_rows.product_id,
        coalesce(input_rows.customer_id, input_rows.anonymous_id) as visitor_id,
        input_rows.customer_id is null as is_anonymous,
        cast(input_rows.occurred_at as date) as happened_on,
        as_of.as_of_date

    from {{ ref('stg_coterie__events') }} as input_rows

    cross join as_of

    where
        input_rows.occurred_at >= as_of.views_from
        and input_rows.occurred_at < as_of.as_of_date
        and input_rows.product_id is not null
        and lower(trim(input_rows.event_type)) in {{ coterie.quoted_list(view_words) }}
        and {{ coterie.broken_rule('events') }} is null

),

customer_views as (

    select
        views.product_id,
        {{ coterie.action_weight(
            interests.view_weight, 'views.happened_on', 'views.as_of_date'
        ) }} as action_weight,
        case when views.is_anonymous then identities.customer_id else views.visitor_id end
            as customer_id

    from views

    left join {{ ref('int_coterie__identities') }} as identities
        on
            views.visitor_id = identities.anonymous_id
            and views.is_anonymous
            and views.as_of_date > identities.linked_at

),

view_evidence as (

    select
        customer_views.customer_id,
        product_topics.is_current,
        product_topics.topic_number,
        sum(customer_views.action_weight * product_topics.affinity_units) as evidence_units,
        sum(product_topics.main_count) as view_count

    from customer_views

    inner join product_topics
        on customer_views.product_id = product_topics.product_id

    where customer_views.customer_id is not null

    group by
        customer_views.customer_id,
        product_topics.is_current,
        product_topics.topic_number

),

feedback_evidence as (

    select
        feedback.customer_id,
        product_topics.is_current,
        product_topics.topic_number,
        sum(
            {{ coterie.action_weight(
                interests.feedback_weight, 'feedback.occurred_at', 'as_of.as_of_date'
            ) }}
            * product_topics.affinity_units
        ) as evidence_units

    from {{ ref('int_coterie__feedback') }} as feedback

    inner join product_topics
        on feedback.product_id = product_topics.product_id

    cross join as_of

    where
        feedback.occurred_at >= as_of.orders_from
        and feedback.occurred_at < as_of.as_of_date

    group by
        feedback.customer_id,
        product_topics.is_current,
        product_topics.topic_number

),

evidence as (

    select
        customer_id,
        is_current,
        topic_number,
        evidence_units,
        order_count,
        0 as view_count

    from order_evidence

    union all

    select
        customer_id,
        is_current,
        topic_number,
        evidence_units,
        0 as order_count,
        view_count

    from view_evidence

    union all

    select
        customer_id,
        is_current,
        topic_number,
        evidence_units,
        0 as order_count,
        0 as view_count

    from feedback_evidence

),

customer_evidence as (

    -- Whoever only wrote is no customer.
    select
        evidence.customer_id,
        evidence.is_current,
        evidence.topic_number,
        cast(sum(evidence.evidence_units) as bigint) as evidence_units,
        cast(sum(evidence.order_count) as bigint) as order_count,
        cast(sum(evidence.view_count) as bigint) as view_count

    from evidence

    inner join {{ ref('int_coterie__customers') }} as customers
        on evidence.customer_id = customers.customer_id

    group by
        evidence.customer_id,
        evidence.is_current,
        evidence.topic_number

)

select * from customer_evidence
