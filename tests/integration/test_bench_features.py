"""Two other ways to the features give the same numbers: one SQL script, and pandas.

Neither shares a line with the models, and both are what `make bench` measures the models against.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import REPOSITORY, Host

from coterie.demo import AS_OF_DATE, generate_demo

pytestmark = pytest.mark.matrix

BENCH = REPOSITORY / "bench"
CUSTOMER_COUNT = 150
DAY = np.timedelta64(1, "D")
SECOND = np.timedelta64(1, "s")


def clean_demo() -> dict[str, pd.DataFrame]:
    """The demo without the rows that the models reject, which the other two would count."""
    shop = {name: frame for name, frame in generate_demo(200).items() if "truth" not in name}
    for frame in shop.values():
        for name in frame:
            if pd.api.types.is_string_dtype(frame[name]):
                frame[name] = frame[name].astype(object).where(frame[name] != "", None)
    keys = {"orders": "order_id", "events": "event_id", "messages": "message_id"}
    keys |= {"customers": "customer_id", "products": "product_id", "feedback": "feedback_id"}
    for name, key in keys.items():
        shop[name] = shop[name].dropna(subset=key).drop_duplicates(key)
    orders, events, lines = shop["orders"], shop["events"], shop["order_lines"]
    shop["orders"] = orders[
        (orders["ordered_at"] < AS_OF_DATE)
        & (orders["ordered_at"] > AS_OF_DATE - 3 * 365 * DAY)
        & np.isfinite(orders["order_amount"])
    ]
    shop["events"] = events[
        (events["occurred_at"] < AS_OF_DATE)
        & (events["customer_id"].notna() | events["anonymous_id"].notna())
    ]
    quantity = pd.to_numeric(lines["quantity"], errors="coerce").astype(float)
    shop["order_lines"] = lines.assign(quantity=quantity)[
        lines["order_id"].isin(shop["orders"]["order_id"])
        & lines["product_id"].notna()
        & np.isfinite(quantity)
        & np.isfinite(lines["line_amount"])
    ]
    return shop


def odd_shop(seed: int = 1) -> dict[str, pd.DataFrame]:
    """A small shop where everything that is rare elsewhere is common, and no row is rejected.

    Times at midnight and just before it; sessions over midnight; statuses and refunds that become
    known weeks later, or have no time; guests, tests, orders worth nothing; odd spellings.
    """
    generator = np.random.default_rng(seed)
    draw = generator.choice
    customers = np.array([f"odd-{i:03d}" for i in range(CUSTOMER_COUNT)], dtype=object)

    def times(count: int, days: int = 500) -> np.ndarray:
        day = AS_OF_DATE.astype("datetime64[s]") - generator.integers(1, days, count) * DAY
        # Half of all days are dates that customers are looked at from, or the days before them.
        near = AS_OF_DATE - 30 * generator.integers(0, 16, count) * DAY
        day = np.where(
            draw([True, False], count), day, near - generator.integers(1, 2, count) * DAY
        )
        clock = draw([0, 1, 5 * 3600, 12 * 3600 - 1, 18 * 3600, 86_399], count)
        return day + np.where(draw([True, False], count), clock, 40_000) * SECOND

    def later(time: np.ndarray, missing: float) -> pd.Series:
        delay = draw([0, 60, 86_400, 20 * 86_400, 70 * 86_400], len(time)) * SECOND
        return pd.Series(time + delay).where(generator.random(len(time)) > missing)

    n = 1_500
    ordered_at = times(n)
    amount = draw([0, 10, 19.99, 50, 120.5, -5], n, p=[0.04, 0.3, 0.3, 0.2, 0.14, 0.02])
    refund_share = draw([0, 0.3, 1, 1.5, -0.5], n, p=[0.7, 0.1, 0.1, 0.05, 0.05])
    orders = pd.DataFrame(
        {
            "order_id": [f"odd-{i:05d}" for i in range(n)],
            "customer_id": draw([*customers[: CUSTOMER_COUNT - 20], None], n),
            "ordered_at": ordered_at,
            "order_amount": amount,
            "status": draw(["completed", " Cancelled", "VOIDED", "pending", None], n, p=STATUS),
            "status_changed_at": later(ordered_at, 0.3),
            "refund_amount": np.where(refund_share == 0, np.nan, (amount * refund_share).round(2)),
            "refunded_at": later(ordered_at, 0.3),
            "discount_amount": draw([np.nan, 0, 2.5, -2.5], n),
            "sales_channel": draw(["web", "store", "app", None], n),
            "coupon_code": draw(["TEN", None], n),
            "is_test": draw([True, False], n, p=[0.05, 0.95]),
        }
    )
    # Several orders of one customer on one day.
    orders.loc[orders.index[-200:], ["customer_id", "ordered_at"]] = orders.loc[
        orders.index[:200], ["customer_id", "ordered_at"]
    ].to_numpy()

    n = 2_500
    product_ids = [f"odd-{i}" for i in range(8)]
    order_lines = pd.DataFrame(
        {
            "order_id": draw(orders["order_id"].to_numpy()[:1_300], n),
            "product_id": draw([*product_ids, "unheard-of"], n),
            "quantity": draw([1.0, 2.0, 0.5, -1.0], n, p=[0.5, 0.3, 0.1, 0.1]),
            "line_amount": draw([0, 5, 19.99, -5], n, p=[0.3, 0.3, 0.3, 0.1]),
        }
    )
    products = pd.DataFrame(
        {"product_id": product_ids, "category": ["a", "a", "b", "c", "c", None, None, "unknown"]}
    )

    n = 4_000
    visitors = np.array([f"odd-v{i}" for i in range(120)], dtype=object)
    is_anonymous = draw([True, False], n)
    visitor = draw(visitors, n)
    start = times(n)
    session = np.array([f"odd-s{i}" for i in range(n)], dtype=object)
    events = pd.DataFrame(
        {
            "occurred_at": start,
            "customer_id": np.where(is_anonymous, None, draw(customers, n)),
            "anonymous_id": np.where(is_anonymous, visitor, None),
            # Without a session a visitor's day is one; a customer may be several visitors.
            "session_id": np.where(~is_anonymous & (generator.random(n) < 0.2), None, session),
        }
    )
    events = events.loc[events.index.repeat(draw([1, 2, 4], n))].reset_index(drop=True)
    events["occurred_at"] += generator.integers(0, 3, len(events)) * SECOND
    words = ["view", " Page_View", "SEARCH", "cart", "product added", "checkout", "login"]
    events["event_type"] = draw(words, len(events))
    events["event_id"] = [f"odd-{i:05d}" for i in range(len(events))]

    n = 150
    identities = pd.DataFrame(
        {
            "anonymous_id": draw(visitors[:100], n),
            "customer_id": draw(customers, n),
            "linked_at": times(n),
        }
    ).drop_duplicates()

    n = 1_500
    sent_at = times(n)
    messages = pd.DataFrame(
        {
            "message_id": [f"odd-{i:05d}" for i in range(n)],
            "customer_id": draw(customers, n),
            "sent_at": sent_at,
            "channel": "email",
            "opened_at": later(sent_at, 0.5),
            "clicked_at": later(sent_at, 0.7),
            "unsubscribed_at": later(sent_at, 0.97),
        }
    )
    signed_up_at = pd.Series(times(CUSTOMER_COUNT)).where(generator.random(CUSTOMER_COUNT) > 0.2)
    return {
        "orders": orders,
        "customers": pd.DataFrame({"customer_id": customers, "signed_up_at": signed_up_at}),
        "order_lines": order_lines,
        "products": products,
        "events": events,
        "identities": identities,
        "messages": messages,
    }


STATUS = [0.6, 0.15, 0.05, 0.1, 0.1]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop that holds both."""
    folder = tmp_path_factory.mktemp("shop")
    odd = odd_shop()
    for name, frame in clean_demo().items():
        # No feature reads feedback, so there is nothing odd about it.
        both = pd.concat([frame, odd[name]], ignore_index=True) if name in odd else frame
        both.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def built_features(new_host: Callable[[str], Host], shop: Path) -> Path:
    """The database of a host that has built the features of all customers at all dates."""
    host = new_host("benchmark")
    host.environment["COTERIE_BENCH_DATA"] = str(shop)
    host.variables["coterie__training_row_limit"] = 10**9
    host.dbt("run", "--select", "+int_coterie__customer_features", "+int_coterie__rejected_rows")
    assert host.value("select count(*) from {int_coterie__rejected_rows}") == 0
    with host.connect() as connection:
        relation = host.relation("int_coterie__customer_as_of_dates")
        pairs = connection.sql(f"select as_of_date, customer_id from {relation}")
        pairs.write_parquet(str(shop / "pairs.parquet"))
    return host.database


@pytest.mark.parametrize("script", ["floor.py", "pandas_features.py"])
def test_another_implementation_gives_the_same_features(
    script: str, built_features: Path, shop: Path, tmp_path: Path
) -> None:
    out = tmp_path / "features.parquet"
    for command in [
        [script, "--data", str(shop), "--pairs", str(shop / "pairs.parquet"), "--out", str(out)],
        ["compare_features.py", str(built_features), str(out)],
    ]:
        done = subprocess.run(
            [sys.executable, str(BENCH / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_comparison_sees_a_difference_of_one_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    from compare_features import feature_differences

    index = pd.MultiIndex.from_tuples(
        [(pd.Timestamp("2025-10-01"), "a"), (pd.Timestamp("2025-10-01"), "b")]
    )
    left = pd.DataFrame({"x": [1.0, np.nan], "y": [0.0, 0.0]}, index=index)
    right = left.assign(x=[1.0, 0.0])

    assert feature_differences(left, left.copy()) == []
    assert feature_differences(left, right)[0].startswith("x: 1 of 2 rows")
    assert feature_differences(left, right.iloc[:1])[0].startswith("keys: 2 and 1 rows")
