"""Sums of customer-days are the state of the orders as of any date, whatever happens to them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FIRST_DAY = date(2024, 2, 26)
MODEL = "int_coterie__customer_order_days"
SCHEMA = "coterie.main_coterie_internal"

#: The columns that the model reads of the lines, of which there are none here.
LINE_COLUMNS = "order_id varchar, quantity decimal(18, 3)"


@pytest.fixture(scope="module")
def model_sql(demo: Path) -> str:
    """Return the SQL of the model, as a first build runs it."""
    return next((demo.parent / "target" / "compiled").rglob(f"{MODEL}.sql")).read_text()


@pytest.fixture(scope="module")
def database(model_sql: str):
    """Return a database with the tables that the model reads, empty but for the orders."""
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as coterie")
        connection.execute(f"create schema {SCHEMA}")
        connection.execute(f"create table {SCHEMA}.int_coterie__order_lines ({LINE_COLUMNS})")
        settings_column = "input_settings_hash bigint"
        connection.execute(f"create table {SCHEMA}.int_coterie__checked_orders ({settings_column})")
        yield connection


# ---- a shop ------------------------------------------------------------------------------------

moments = st.builds(
    lambda day, minute: (
        datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(days=day, minutes=minute)
    ),
    st.integers(0, 6),
    st.sampled_from([0, 1, 299, 300, 719, 720, 1080, 1439]),
)
amounts = st.sampled_from([Decimal(n) for n in ("-3", "0", "0.01", "2", "2.50", "7")])


@st.composite
def orders(draw: st.DrawFn) -> dict[str, object]:
    ordered_at = draw(moments)
    has_invalid_status = draw(st.booleans())
    refund_amount = draw(amounts.filter(lambda amount: amount >= 0))
    return {
        "customer_id": draw(st.sampled_from(["a", "b", None])),
        "ordered_at": ordered_at,
        "ordered_on": ordered_at.date(),
        "order_amount": draw(amounts),
        "discount_amount": draw(st.sampled_from([Decimal(0), Decimal("0.75")])),
        "coupon_code": draw(st.sampled_from([None, "SAVE10"])),
        "is_test": draw(st.sampled_from([False, False, False, True])),
        "refund_amount": refund_amount,
        # A change without a time of its own, and one that is told to be older than the order.
        "refunded_at": draw(moments) if refund_amount else ordered_at,
        "has_invalid_status": has_invalid_status,
        "status_changed_at": draw(moments) if has_invalid_status else ordered_at,
    }


def days_of(connection: duckdb.DuckDBPyConnection, model_sql: str, shop: list[dict]) -> list[dict]:
    connection.execute(
        f"create or replace table {SCHEMA}.int_coterie__orders (order_id varchar, "
        "customer_id varchar, ordered_at timestamp, ordered_on date, order_amount decimal(18, 2), "
        "discount_amount decimal(18, 2), coupon_code varchar, is_test boolean, "
        "refund_amount decimal(18, 2), refunded_at timestamp, has_invalid_status boolean, "
        "status_changed_at timestamp)"
    )
    connection.executemany(
        f"insert into {SCHEMA}.int_coterie__orders values ({', '.join('?' * 12)})",
        [[str(number), *order.values()] for number, order in enumerate(shop)],
    )
    return connection.sql(model_sql).to_arrow_table().to_pylist()


def state_as_of(shop: list[dict], as_of: datetime) -> dict[tuple[str, date], dict]:
    """What the definitions say of each customer and day; see docs/definitions.md."""
    states: dict[tuple[str, date], dict] = {}
    for order in shop:
        if order["customer_id"] is None or order["ordered_at"] >= as_of or order["is_test"]:
            continue
        is_cancelled = order["has_invalid_status"] and order["status_changed_at"] < as_of
        is_kept = not is_cancelled and order["order_amount"] > 0
        refund = order["refund_amount"] if order["refunded_at"] < as_of else Decimal(0)
        refund = min(refund, order["order_amount"])
        is_valid = is_kept and order["order_amount"] > refund
        hour = order["ordered_at"].hour
        state = {
            "placed_order_count": 1,
            "cancelled_order_count": int(is_cancelled),
            "order_count": int(is_valid),
            "net_amount": order["order_amount"] - refund if is_kept else 0,
            "refund_amount": refund if is_kept else 0,
            "discount_amount": order["discount_amount"] if is_kept else 0,
            "coupon_order_count": int(is_valid and order["coupon_code"] is not None),
            "morning_order_count": int(is_valid and 5 <= hour < 12),
            "evening_order_count": int(is_valid and hour >= 18),
        }
        day = states.setdefault(
            (order["customer_id"], order["ordered_on"]), dict.fromkeys(state, 0)
        )
        for name, value in state.items():
            day[name] += value
    return states


# ---- the claim ---------------------------------------------------------------------------------


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(shop=st.lists(orders(), min_size=1, max_size=6))
def test_sums_over_known_on_are_the_state_as_of_any_date(database, model_sql, shop):
    days = days_of(database, model_sql, shop)
    keys = [(row["customer_id"], row["happened_on"], row["known_on"]) for row in days]
    assert len(set(keys)) == len(keys)
    # A correction has its day before it.
    assert {(customer, day, day) for customer, day, _ in keys} <= set(keys)
    for number in range(9):
        as_of = datetime.combine(FIRST_DAY + timedelta(days=number), datetime.min.time())
        expected = state_as_of(shop, as_of)
        found: dict[tuple[str, date], dict] = {}
        for row in days:
            if row["known_on"] < as_of.date():
                key = (row["customer_id"], row["happened_on"])
                names = next(iter(expected.values()), {})
                sums = found.setdefault(key, dict.fromkeys(names, 0))
                for name in sums:
                    sums[name] += row[name]
        # A test order leaves a day of nothing, which says no more than that the customer is there.
        assert {key: sums for key, sums in found.items() if any(sums.values())} == expected


def test_the_shops_of_the_claim_hold_what_can_happen(database, model_sql):
    """Without corrections of every kind the claim would be an easy one."""
    morning = datetime(2024, 2, 27, 9)
    later = morning + timedelta(days=2)
    plain = {
        "customer_id": "a",
        "ordered_at": morning,
        "ordered_on": morning.date(),
        "order_amount": Decimal(7),
        "discount_amount": Decimal(0),
        "coupon_code": None,
        "is_test": False,
        "refund_amount": Decimal(2),
        "refunded_at": later,
        "has_invalid_status": True,
        "status_changed_at": later + timedelta(days=1),
    }
    days = pd.DataFrame(days_of(database, model_sql, [plain]))
    assert days.sort_values("known_on")["net_amount"].tolist() == [7, -2, -5]
