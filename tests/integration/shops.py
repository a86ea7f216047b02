"""Simulated shops for tests: the same rows for the same arguments."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: The first day of every simulated history.
FIRST_DAY = pd.Timestamp("2024-01-01")


def simulate_orders(
    customer_count: int, *, day_count: int = 540, seed: int = 1, first_customer: int = 1
) -> pd.DataFrame:
    """Orders of customers who differ in rate, in stay and in what they spend.

    Customers arrive over the first three quarters of the history, buy at a rate of their own
    (gamma), leave at a rate of their own (gamma) and spend around a level of their own.

    Parameters
    ----------
    customer_count
        How many customers there are. Each has at least one order.
    day_count
        Days of history from FIRST_DAY on.
    seed
        Seed of the random stream.
    first_customer
        Number of the first customer, so that two shops can be put together.

    Returns
    -------
    pandas.DataFrame
        One row per order, in order of time: order_id, customer_id, ordered_at, order_amount.
    """
    generator = np.random.default_rng(seed)
    arrivals = generator.uniform(0, 0.75 * day_count, customer_count)
    rates = generator.gamma(0.8, 1 / 25, customer_count)
    leave_rates = generator.gamma(0.7, 1 / 90, customer_count)
    stays = generator.exponential(1 / np.maximum(leave_rates, 1e-6))
    levels = generator.normal(3.5, 0.7, customer_count)
    rows = []
    for i in range(customer_count):
        end = min(day_count, arrivals[i] + stays[i])
        repeat_count = generator.poisson(rates[i] * (end - arrivals[i]))
        days = np.concatenate([[arrivals[i]], generator.uniform(arrivals[i], end, repeat_count)])
        amounts = np.exp(generator.normal(levels[i], 0.4, len(days)))
        rows += [
            (f"customer-{first_customer + i:05d}", day, amount)
            for day, amount in zip(days, amounts, strict=True)
        ]
    orders = pd.DataFrame(rows, columns=["customer_id", "day", "order_amount"])
    orders = orders.sort_values(["day", "customer_id"], ignore_index=True)
    seconds = (orders["day"] * 86400).round().astype("int64")
    return pd.DataFrame(
        {
            "order_id": [f"order-{first_customer}-{i:06d}" for i in range(len(orders))],
            "customer_id": orders["customer_id"],
            "ordered_at": FIRST_DAY + pd.to_timedelta(seconds, unit="s"),
            "order_amount": orders["order_amount"].round(2),
        }
    )


def simulate_order_lines(orders: pd.DataFrame, *, product_count: int, seed: int) -> pd.DataFrame:
    """Each order as one to three lines that add up to its amount."""
    generator = np.random.default_rng(seed)
    line_counts = generator.integers(1, 4, len(orders))
    lines = orders.loc[orders.index.repeat(line_counts), ["order_id", "order_amount"]]
    counts = np.repeat(line_counts, line_counts)
    return pd.DataFrame(
        {
            "order_id": lines["order_id"].to_numpy(),
            "product_id": [
                f"product-{p:03d}" for p in generator.integers(0, product_count, len(lines))
            ],
            "quantity": generator.integers(1, 5, len(lines)),
            "line_amount": (lines["order_amount"].to_numpy() / counts).round(2),
        }
    )


def regular_shop(*, day_count: int = 400, daily_order_count: int = 20) -> dict[str, pd.DataFrame]:
    """A shop that is the same every day, of 200 customers and 10 products, without any fault.

    Each order has one line, each day 30 events, of which every third is an anonymous visitor's, and
    each Monday a mail to 100 customers. Visitor `v-000` is customer `c-000`, and so on.
    """
    days = np.repeat(np.arange(day_count), daily_order_count)
    numbers = np.arange(len(days))
    orders = pd.DataFrame(
        {
            "order_id": [f"o-{n:05d}" for n in numbers],
            "customer_id": [f"c-{n % 200:03d}" for n in numbers],
            "ordered_at": FIRST_DAY + pd.to_timedelta(24 * days + numbers % 20, unit="h"),
            "order_amount": 10.0 + numbers % 7,
            "status": "done",
        }
    )
    lines = pd.DataFrame(
        {
            "order_id": orders["order_id"],
            "product_id": [f"p-{n % 10}" for n in numbers],
            "quantity": 1,
            "line_amount": orders["order_amount"],
        }
    )
    event_days = np.repeat(np.arange(day_count), 30)
    numbers = np.arange(len(event_days))
    is_anonymous = numbers % 3 == 0
    events = pd.DataFrame(
        {
            "event_id": [f"e-{n:05d}" for n in numbers],
            "occurred_at": FIRST_DAY + pd.to_timedelta(24 * event_days + numbers % 24, unit="h"),
            "event_type": "view",
            "customer_id": [None if a else f"c-{n % 200:03d}" for n, a in enumerate(is_anonymous)],
            "anonymous_id": [f"v-{n % 200:03d}" for n in numbers],
        }
    )
    mondays = np.repeat(np.arange(0, day_count, 7), 100)
    numbers = np.arange(len(mondays))
    return {
        "orders": orders,
        "customers": pd.DataFrame(
            {
                "customer_id": [f"c-{n:03d}" for n in range(200)],
                "signed_up_at": FIRST_DAY + pd.to_timedelta(np.arange(200) * 2, unit="D"),
            }
        ),
        "order_lines": lines,
        "products": pd.DataFrame({"product_id": [f"p-{n}" for n in range(10)]}),
        "events": events,
        "identities": pd.DataFrame(
            {
                "anonymous_id": [f"v-{n:03d}" for n in range(200)],
                "customer_id": [f"c-{n:03d}" for n in range(200)],
                "linked_at": FIRST_DAY + pd.to_timedelta(np.arange(200) * 2, unit="D"),
            }
        ),
        "messages": pd.DataFrame(
            {
                "message_id": [f"m-{n:05d}" for n in numbers],
                "customer_id": [f"c-{n % 200:03d}" for n in numbers],
                "sent_at": FIRST_DAY + pd.to_timedelta(24 * mondays + 9, unit="h"),
                "channel": "email",
            }
        ),
    }
