{% set interests = coterie.settings('interests') %}
{% set numbers = coterie.topic_numbers() %}
{% set view_words = coterie.event_types().view + coterie.event_types().cart %}

with

as_of as (

    select
        as_of_date,
        {{ coterie.interest_days_from(interests.lookback_days, 'as_of_date') }} as orders_from,
        {{ coterie.interest_days_from(interests.view_days, 'as_of_date') }} as views_from

    from {{ ref('int_coterie__as_of') }}

),

products as (

    -- Shares in whole units, so that sums do not depend on the order of the rows. They fit into
    -- doubles, whose sums are faster than those of long integers and as exact.
    select
        product_id,
        is_current,
        {%- for number in numbers %}
        round(interest_{{ number }} * {{ coterie.interest_units() }}) as units_{{ number }},
        {%- endfor %}
        topic_number,
        cast(power(2, topic_number) as integer) as topic_flag

    from {{ ref('int_coterie__product_interests') }}

),

orders as (

    select
        orders.order_id,
        orders.customer_id,
        {{ coterie.action_weight(1, 'orders.ordered_on', 'as_of.as_of_date') }} as action_weight

    from {{ ref('int_coterie__orders') }} as orders

    cross join as_of

    where
        orders.customer_id is not null
        and orders.ordered_on >= as_of.orders_from
        and {{ coterie.is_valid_order_as_of('as_of.as_of_date') }}

),

order_topics as (

    -- Each line is an action, however many pieces it has. Lines are added up by order first, which
    -- tells in how many orders a topic is and leaves a third of the rows to join.
    select
        order_lines.order_id,
        products.is_current,
        {%- for number in numbers %}
        sum(products.units_{{ number }}) as units_{{ number }},
        {%- endfor %}
        bit_or(products.topic_flag) as topic_flags

    from {{ ref('int_coterie__checked_order_lines') }} as order_lines

    inner join products
        on order_lines.product_id = products.product_id

    cross join as_of

    where
        order_lines.rejection_rule is null
        and order_lines.is_of_customer
        and order_lines.quantity > 0
        and order_lines.ordered_at >= as_of.orders_from
        and order_lines.ordered_at < as_of.as_of_date

    group by order_lines.order_id, products.is_current

),

order_evidence as (

    select
        orders.customer_id,
        order_topics.is_current,
        {%- for number in numbers %}
        sum(orders.action_weight * order_topics.units_{{ number }}) as evidence_{{ number }},
        count(case when order_topics.topic_flags & {{ 2 ** number }} > 0 then 1 end)
            as order_count_{{ number }},
        {%- endfor %}
        count(*) as order_count

    from order_topics

    inner join orders
        on order_topics.order_id = orders.order_id

    group by orders.customer_id, order_topics.is_current

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
        {%- for number in numbers %}
        sum(customer_views.action_weight * products.units_{{ number }})
            as evidence_{{ number }},
        count(case when products.topic_number = {{ number }} then 1 end)
            as view_count_{{ number }},
        {%- endfor %}
        products.is_current

    from customer_views

    inner join products
        on customer_views.product_id = products.product_id

    where customer_views.customer_id is not null

    group by customer_views.customer_id, products.is_current

),

feedback_evidence as (

    select
        feedback.customer_id,
        {%- for number in numbers %}
        sum(
            {{ coterie.action_weight(
                interests.feedback_weight, 'feedback.occurred_at', 'as_of.as_of_date'
            ) }}
            * products.units_{{ number }}
        ) as evidence_{{ number }},
        {%- endfor %}
        products.is_current

    from {{ ref('int_coterie__feedback') }} as feedback

    inner join products
        on feedback.product_id = products.product_id

    cross join as_of

    where
        feedback.occurred_at >= as_of.orders_from
        and feedback.occurred_at < as_of.as_of_date

    group by feedback.customer_id, products.is_current

),

evidence as (

    select
        customer_id,
        {%- for number in numbers %}
        evidence_{{ number }},
        order_count_{{ number }},
        0 as view_count_{{ number }},
        {%- endfor %}
        is_current

    from order_evidence

    union all

    select
        customer_id,
        {%- for number in numbers %}
        evidence_{{ number }},
        0 as order_count_{{ number }},
        view_count_{{ number }},
        {%- endfor %}
        is_current

    from view_evidence

    union all

    select
        customer_id,
        {%- for number in numbers %}
        evidence_{{ number }},
        0 as order_count_{{ number }},
        0 as view_count_{{ number }},
        {%- endfor %}
        is_current

    from feedback_evidence

),

customer_evidence as (

    -- Whoever only wrote is no customer.
    select
        evidence.customer_id,
        {%- for number in numbers %}
        cast(sum(evidence.evidence_{{ number }}) as bigint) as evidence_units_{{ number }},
        cast(sum(evidence.order_count_{{ number }}) as bigint) as order_count_{{ number }},
        cast(sum(evidence.view_count_{{ number }}) as bigint)
            as view_count_{{ number }},
        {%- endfor %}
        evidence.is_current

    from evidence

    inner join {{ ref('int_coterie__customers') }} as customers
        on evidence.customer_id = customers.customer_id

    group by evidence.customer_id, evidence.is_current

)

select * from customer_evidence
