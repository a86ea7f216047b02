"""What passes from one customer or order to another on an old day is found, though totals stay."""

from __future__ import annotations

import duckdb
import pandas as pd
import pytest
from harness import Host, copy_host, differences
from scenarios import UP_TO_FEATURES, every_table, write_shop

#: Column by column: t a time, n a number, b a boolean, s a text.
COLUMNS = {
    "orders": {
        "order_id": "s",
        "customer_id": "s",
        "ordered_at": "t",
        "order_amount": "n",
        "status": "s",
        "status_changed_at": "t",
        "coupon_code": "s",
    },
    "order_lines": {"order_id": "s", "product_id": "s", "quantity": "n", "line_amount": "n"},
    "events": {
        "event_id": "s",
        "occurred_at": "t",
        "event_type": "s",
        "customer_id": "s",
        "anonymous_id": "s",
    },
    "identities": {"anonymous_id": "s", "customer_id": "s", "linked_at": "t"},
    "messages": {
        "message_id": "s",
        "customer_id": "s",
        "sent_at": "t",
        "channel": "s",
        "opened_at": "t",
    },
    "feedback": {"feedback_id": "s", "customer_id": "s", "occurred_at": "t", "rating": "n"},
    "customers": {"customer_id": "s", "signed_up_at": "t"},
    "products": {"product_id": "s", "product_name": "s", "category": "s"},
}
TYPES = {"t": "datetime64[us]", "n": "float64", "b": "boolean", "s": "string"}


def order(order_id, customer_id, ordered_at, amount=29.9, **more):
    row = {"order_id": order_id, "customer_id": customer_id, "ordered_at": ordered_at}
    return "orders", row | {"order_amount": amount} | more


def line(order_id):
    row = {"order_id": order_id, "product_id": "p1", "quantity": 1, "line_amount": 29.9}
    return "order_lines", row


def event(event_id, occurred_at, customer_id=None, visitor=None, kind="view"):
    row = {"event_id": event_id, "occurred_at": occurred_at, "event_type": kind}
    return "events", row | {"customer_id": customer_id, "anonymous_id": visitor}


def message(message_id, customer_id, sent_at, opened_at=None):
    row = {"message_id": message_id, "customer_id": customer_id, "sent_at": sent_at}
    return "messages", row | {"channel": "email", "opened_at": opened_at}


def link(visitor, customer_id, linked_at):
    row = {"anonymous_id": visitor, "customer_id": customer_id, "linked_at": linked_at}
    return "identities", row


#: By what happens to them: rows that stay, rows that were there before, and what is there instead.
EXCHANGES = {
    "an order is placed an hour later": (
        [],
        [order("hour", "hour", "2024-02-01 11:30")],
        [order("hour", "hour", "2024-02-01 12:30")],
    ),
    "an order vanishes and another comes late": (
        [],
        [order("lost", "lost", "2024-02-03 10:00"), line("lost")],
        [order("late", "late", "2024-02-03 10:05"), line("late")],
    ),
    "two customers are merged": (
        [line("merged")],
        [order("merged", "old", "2024-02-05", status_changed_at="2024-02-06", status="done")],
        [order("merged", "new", "2024-02-05", status_changed_at="2024-12-30", status="done")],
    ),
    "a guest's order is claimed": (
        [line("claimed")],
        [order("claimed", None, "2024-02-07", status_changed_at="2024-02-08", status="done")],
        [order("claimed", "owner", "2024-02-07", status_changed_at="2024-12-30", status="done")],
    ),
    "an order loses its customer": (
        [line("left")],
        [order("left", "leaver", "2024-02-09", status_changed_at="2024-02-09", status="done")],
        [order("left", None, "2024-02-09", status_changed_at="2024-12-30", status="done")],
    ),
    "an order and its lines have another id": (
        [],
        [order("id-1", "renamed", "2024-03-11 10:00"), line("id-1")],
        [order("id-2", "renamed", "2024-03-11 10:00"), line("id-2")],
    ),
    "a coupon is told with a change": (
        [],
        [order("coupon", "c", "2024-03-25", status="open", status_changed_at="2024-03-25 11:00")],
        [
            order(
                "coupon",
                "c",
                "2024-03-25",
                status="done",
                status_changed_at="2024-04-25",
                coupon_code="X",
            )
        ],
    ),
    "an order without an id changes": (
        [],
        [order(None, "nobody", "2024-03-27", status="open", status_changed_at="2024-03-27 11:00")],
        [order(None, "nobody", "2024-03-27", status="done", status_changed_at="2024-04-27 11:00")],
    ),
    "cancellations change places": (
        [],
        [
            order("x", "x", "2024-04-21", 100, status="cancelled", status_changed_at="2024-04-26"),
            order("y", "y", "2024-04-21", 50, status="cancelled", status_changed_at="2024-05-01"),
        ],
        [
            order("x", "x", "2024-04-21", 100, status="cancelled", status_changed_at="2024-05-01"),
            order("y", "y", "2024-04-21", 50, status="cancelled", status_changed_at="2024-04-26"),
        ],
    ),
    "a visitor is somebody else": (
        [event("v1", "2024-02-11", visitor="v"), event("v2", "2024-02-15", visitor="v")],
        [link("v", "first guess", "2024-02-13")],
        [link("v", "second guess", "2024-02-13")],
    ),
    "an earlier link comes late": (
        [
            event("w1", "2024-02-17", visitor="w"),
            event("w2", "2024-02-25", visitor="w"),
            link("w", "second", "2024-02-21"),
        ],
        [],
        [link("w", "first", "2024-02-19")],
    ),
    "the first link vanishes": (
        [
            event("u1", "2024-03-01", visitor="u"),
            event("u2", "2024-03-09", visitor="u"),
            link("u", "who stays", "2024-03-05"),
        ],
        [link("u", "who goes", "2024-03-03")],
        [],
    ),
    "copies of an event surround it, the first of them broken": (
        [event("copied", "2024-03-21", "copied")],
        [],
        [
            event("copied", "2024-03-19", "copied", kind=None),
            event("copied", "2024-03-23", "copied"),
        ],
    ),
    "a message vanishes and another comes late": (
        [],
        [message("m1", "reader 1", "2024-03-13 10:00")],
        [message("m2", "reader 2", "2024-03-13 10:01")],
    ),
    "another customer opened it": (
        [],
        [
            message("m3", "reader 3", "2024-03-15 10:00", "2024-03-17 10:00"),
            message("m4", "reader 4", "2024-03-15 10:00"),
        ],
        [
            message("m3", "reader 3", "2024-03-15 10:00"),
            message("m4", "reader 4", "2024-03-15 10:00", "2024-03-17 11:00"),
        ],
    ),
}


def usual_rows():
    """Give what stays: a year of two orders, an event and a message a day."""
    for number, day in enumerate(pd.date_range("2024-01-01", "2024-12-31")):
        customer = f"usual {number % 20}"
        for hour in (9, 12):
            order_id = f"{number}-{hour}"
            yield order(order_id, customer, day + pd.Timedelta(hours=hour), 10 + number % 7)
            yield line(order_id)
        yield event(f"e{number}", day + pd.Timedelta(hours=10), customer)
        yield message(f"m-{number}", customer, day + pd.Timedelta(hours=8))


def tables_of(rows) -> dict[str, pd.DataFrame]:
    found = {name: [row for input_name, row in rows if input_name == name] for name in COLUMNS}
    return {
        name: pd.DataFrame(found[name], columns=list(columns)).astype(
            {column: TYPES[kind] for column, kind in columns.items()}
        )
        for name, columns in COLUMNS.items()
    }


def built_from(host: Host, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    write_shop(host, tables).dbt(*UP_TO_FEATURES)
    names = {n["name"] for n in host.package_nodes("model") if {"inputs", "features"} & {*n["fqn"]}}
    return {name: rows for name, rows in host.snapshot().items() if name in names}


@pytest.fixture(scope="module")
def hosts(new_host):
    host = new_host("bare_shop")
    host.variables |= every_table()
    host.dbt("parse")
    return host, copy_host(host, host.project.parent / "fresh")


def test_what_passes_to_another_is_found_on_old_days(hosts):
    grown, fresh = hosts
    stay = [*usual_rows(), *(row for kept, _, _ in EXCHANGES.values() for row in kept)]
    before = tables_of([*stay, *(row for _, old, _ in EXCHANGES.values() for row in old)])
    after = tables_of([*stay, *(row for _, _, new in EXCHANGES.values() for row in new)])
    first = built_from(grown, before)
    second = built_from(grown, after)
    wanted = built_from(fresh, after)
    assert len(wanted) > 15
    changed = {words.split(":")[0] for words in differences(first, wanted)}
    assert {f"int_coterie__customer_{word}_days" for word in ("order", "event", "message")} <= (
        changed
    )
    assert differences(second, wanted) == []


@pytest.mark.matrix
def test_orders_after_a_long_break_are_accepted_once_they_are_no_few(new_host):
    """Few orders that lie far ahead of all others are errors of typing; many are a new season."""
    host = new_host("bare_shop")
    host.variables |= every_table()
    history = pd.date_range("2023-01-01", periods=20_000, freq="25min")
    old = [order(f"o{i}", f"c{i % 500}", day) for i, day in enumerate(history)]
    reopened = pd.date_range("2024-03-01 09:00", periods=12, freq="D")
    new = [
        order(f"n{day:%d}-{i}", f"n{day:%d}-{i}", day + pd.Timedelta(hours=i))
        for day in reopened
        for i in range(3)
    ]

    def rules(day_count: int) -> set[str | None]:
        rows = [*usual_rows()]
        others = [row for row in rows if row[0] in ("events", "messages")]
        built_from(host, tables_of([*others, *old, *new[: 3 * day_count]]))
        with duckdb.connect(str(host.database), read_only=True) as connection:
            relation = host.relation("int_coterie__checked_orders")
            found = connection.execute(
                f"select distinct rejection_rule from {relation} where order_id like 'n%'"
            )
            return {rule for (rule,) in found.fetchall()}

    assert rules(5) == {"future_dated"}
    assert rules(8) == {None}
    assert rules(12) == {None}
