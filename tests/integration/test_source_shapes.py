"""Shops as common loaders and tools leave them in a warehouse, mapped to marts."""

from __future__ import annotations

import duckdb
import pytest
from harness import HOSTS, Host

#: By host: what each order is worth, written once more on its raw files: order, customer, whether
#: it counts, and the amount that is left by what was known before the date.
RAW_ORDERS = {
    "shape_jaffle_shop": """
        select
            orders.id as order_id,
            orders.user_id as customer_id,
            orders.status not in ('returned', 'return_pending') as is_valid,
            (select sum(amount) from payments where order_id = orders.id) / 100 as net_amount
        from orders
    """,
    "shape_shopify": """
        select
            id as order_id,
            customer_id,
            not test and financial_status <> 'voided' as is_valid,
            subtotal_price - coalesce(
                (
                    select sum(subtotal)
                    from order_line_refund
                    where refund_id in (
                        select id from refund
                        where order_id = orders.id and processed_at < date '{as_of}'
                    )
                ), 0
            ) as net_amount
        from orders
    """,
    "shape_klaviyo": """
        select
            property_event_id as order_id,
            person_id as customer_id,
            not exists (
                select 1 from event as others
                where
                    others.type = 'Cancelled Order'
                    and others.datetime < date '{as_of}'
                    and others.property_event_id = event.property_event_id
            ) as is_valid,
            property_value - coalesce(
                (
                    select sum(others.property_value) from event as others
                    where
                        others.type = 'Refunded Order'
                        and others.datetime < date '{as_of}'
                        and others.property_event_id = event.property_event_id
                ), 0
            ) as net_amount
        from event
        where type = 'Placed Order'
    """,
    "shape_segment": """
        select order_id, user_id as customer_id, true as is_valid, total as net_amount
        from order_completed
    """,
}

#: By host: how many rows of the other inputs there must be, counted on the raw files.
RAW_COUNTS = {
    "shape_jaffle_shop": {"customers": "select count(*) from customers"},
    "shape_shopify": {
        "customers": "select count(*) from customer",
        "order_lines": "select count(*) from order_line",
        "products": "select count(*) from product",
        "events": "select count(*) from abandoned_checkout",
    },
    "shape_klaviyo": {
        "customers": "select count(*) from person",
        "messages": "select count(*) from event where type = 'Received Email'",
        "events": "select count(*) from event where type in ('Viewed Product', 'Checkout Started')",
    },
    "shape_segment": {
        "customers": "select count(*) from users",
        "identities": "select count(*) from identifies",
        # Checkouts are tracked, orders come from their own table.
        "events": """
            select (select count(*) from pages)
                + (select count(*) from tracks where event = 'checkout_started')
        """,
        "order_lines": "select sum(json_array_length(products)) from order_completed",
        "products": """
            select count(distinct product)
            from (
                select unnest(cast(products as json) -> '$[*].product_id') as product
                from order_completed
            )
        """,
    },
}


@pytest.fixture(params=sorted(RAW_ORDERS))
def host(request) -> Host:
    return request.getfixturevalue(request.param)


def raw_value(host: Host, query: str) -> list[tuple]:
    """Return the rows of a query on the files of the host; `orders` stands for its orders."""
    with duckdb.connect() as connection:
        for path in sorted(HOSTS.glob(f"{host.name}/*/*.csv")):
            name = "orders" if path.stem == "order" else path.stem.removeprefix("raw_")
            connection.execute(f"create view {name} as from read_csv('{path}')")
        return connection.execute(query).fetchall()


def test_a_build_ends_without_errors_or_warnings(host):
    # Forty customers order so seldom that days without orders look like a gap.
    own = "test.coterie.assert_data_quality_is_bearable"
    statuses = {r["status"] for r in host.last_build.results if r["unique_id"] != own}
    # Exposures have nothing to be done.
    assert statuses - {"no-op"} == {"success", "pass"}


def test_no_row_is_rejected(host):
    assert host.table("int_coterie__rejected_rows").empty


def test_customers_have_the_orders_and_amounts_of_the_files(host):
    customers = host.table("coterie__customers").set_index("customer_id")
    orders = RAW_ORDERS[host.name].format(as_of=customers["as_of_date"].iloc[0].date())
    expected = raw_value(
        host,
        f"""
        select cast(customer_id as varchar), count(*), sum(net_amount)
        from ({orders})
        where is_valid and net_amount > 0 and customer_id is not null
        group by customer_id
        """,
    )
    bought = customers[customers["order_count"] > 0]
    assert sorted(bought.index) == sorted(row[0] for row in expected)
    assert len(expected) > 30
    for customer_id, order_count, net_amount in expected:
        row = bought.loc[customer_id]
        assert (row["order_count"], float(row["net_amount"])) == (
            order_count,
            pytest.approx(float(net_amount), abs=0.005),
        )


def test_every_mapped_input_is_read_whole(host):
    for name, query in RAW_COUNTS[host.name].items():
        staged = host.value(f"select count(*) from {{stg_coterie__{name}}}")
        assert (name, staged) == (name, raw_value(host, query)[0][0])


def test_every_customer_has_a_segment(host):
    customers = host.table("coterie__customers")
    assert customers["rfm_segment_code"].notna().all()
    assert customers["rfm_segment_code"].nunique() >= 6
    known = host.value("select count(*) from {coterie__customers}")
    given = raw_value(host, RAW_COUNTS[host.name]["customers"])[0][0]
    assert known == given


def test_the_layer_of_metrics_comes_along_where_it_is_asked_for(shape_jaffle_shop):
    days = shape_jaffle_shop.query(
        "select sum(net_amount) as net_amount, sum(order_count) as order_count "
        "from {int_coterie__customer_order_dates}"
    )
    customers = shape_jaffle_shop.query(
        "select sum(net_amount) as net_amount, sum(order_count) as order_count "
        "from {coterie__customers}"
    )
    assert days.iloc[0].tolist() == customers.iloc[0].tolist()
    assert shape_jaffle_shop.value("select count(*) from {coterie__time_spine}") == 20_000


def test_mails_have_their_answers(shape_klaviyo):
    found = shape_klaviyo.query(
        "select count(opened_at) as opened, count(clicked_at) as clicked, "
        "count(unsubscribed_at) as unsubscribed from {stg_coterie__messages}"
    ).iloc[0]
    expected = raw_value(
        shape_klaviyo,
        "select count(*) filter (where type = 'Opened Email'), "
        "count(*) filter (where type = 'Clicked Email'), "
        "count(*) filter (where type = 'Unsubscribed') from event",
    )
    assert tuple(found) == expected[0]


def test_visits_before_a_sign_in_are_their_customers(shape_segment):
    strangers = raw_value(
        shape_segment,
        "select count(*) from pages "
        "where anonymous_id not in (select anonymous_id from identifies)",
    )
    unlinked = shape_segment.value(
        "select rejected_count from {coterie__data_quality} "
        "where input_name = 'events' and rule_name = 'unlinked_event'"
    )
    assert unlinked == strangers[0][0] == 60
    # Every page was viewed without a customer's id.
    viewers = shape_segment.value(
        "select count(*) from {int_coterie__customer_features} "
        "where is_scoring_date and days_since_last_view is not null"
    )
    linked = raw_value(shape_segment, "select count(distinct user_id) from identifies")
    assert viewers == linked[0][0] > 30
