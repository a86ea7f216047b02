"""Whether lifetime value is recovered and its intervals hold what they promise.

    python bench/value_coverage.py --customers 20000

Customers are simulated as the models say, and looked at in days as a shop would: from their states
in whole weeks the library learns both models and tabulates orders and values, and each customer's
intervals are made of that as the warehouse makes them. Then their next year is played.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from common import REPOSITORY, write_between_marks
from purchase_process import Customers, simulate_customers
from tabulate import tabulate

from coterie.lifetime_value import (
    FAMILIES,
    GAMMA_GAMMA_PARAMETERS,
    LEVELS,
    PARAMETERS,
    GammaGamma,
    fit_gamma_gamma_parameters,
    fit_nbd_parameters,
    state_expectations,
)
from coterie.tables import round_significant

PAGE = REPOSITORY / "docs" / "lifetime_value.md"
MARK = "coverage"
# Of the CDNOW sample, in weeks and dollars.
TRUTH = {
    "mbg_nbd": {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614},
    "bg_nbd": {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426},
}
SPEND_TRUTH = {"p": 6.25, "q": 3.74, "gamma": 15.44}
HORIZON_DAYS = 365
# The intervals are to hold so many of the customers.
LEVEL = 0.8
CLASSES = ("orders nearly for certain", "may order", "hardly ever orders")
AS_OF = datetime.date(2026, 1, 1)


def observe(
    model: Any, spend: GammaGamma, count: int, seed: int, longest_days: int = 730
) -> Customers:
    """Simulate customers of ages up to two years, in weeks, whose shop knows days."""
    age = np.random.default_rng(seed).integers(1, longest_days + 1, count) / 7
    found = simulate_customers(model, age, horizon=HORIZON_DAYS / 7, spend=spend, seed=seed)
    x, t_x, _ = found.states.T
    days = np.where(x > 0, np.clip(np.round(7 * t_x), 1, 7 * age), 0)
    return replace(found, states=np.column_stack([x, days / 7, age]))


def counted(columns: dict[str, Any]) -> pa.Table:
    """Count rows by state."""
    rows = pd.DataFrame(columns).value_counts().rename("customer_count").reset_index()
    rows.insert(0, "as_of_date", AS_OF)
    return pa.Table.from_pandas(rows, preserve_index=False)


def learned(customers: Customers, family: str) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Learn both models from states in whole weeks, and tabulate; gives all three tables."""
    x = customers.states[:, 0].astype(np.int64)
    weeks = np.ceil(customers.states[:, 1:] - 1e-9).astype(np.int64)
    settings = {
        "settings_hash": "bench",
        "refit_interval_days": 30,
        "family": family,
        "horizon_days": [HORIZON_DAYS],
    }
    states = {"repeat_count": x, "recency_weeks": weeks[:, 0], "age_weeks": weeks[:, 1]}
    purchases = fit_nbd_parameters(counted(states), None, as_of_date=AS_OF, settings=settings)
    repeats = x > 0
    spends = {
        "repeat_count": x[repeats],
        "mean_spend": round_significant(customers.mean_spend[repeats], 3),
    }
    spends = fit_gamma_gamma_parameters(counted(spends), None, as_of_date=AS_OF, settings=settings)
    states = {name: states[name] for name in ("repeat_count", "age_weeks")}
    return (
        purchases,
        spends,
        state_expectations(counted(states), purchases, spends, settings=settings),
    )


def intervals(customers: Customers, family: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Give each customer's intervals and what came of them, and what was learned.

    Where an order is nearly certain the interval leaves a tenth out at each end; elsewhere it
    starts at 0, and holds the mean.
    """
    purchases, spends, expectations = learned(customers, family)
    parameters = purchases.to_pylist()[0] | spends.to_pylist()[0]
    model = FAMILIES[family].from_parameters(**{name: parameters[name] for name in PARAMETERS})
    spend = GammaGamma.from_parameters(
        **{name: parameters[name] for name in GAMMA_GAMMA_PARAMETERS}
    )

    x, _, age = customers.states.T
    table = expectations.to_pandas().set_index(["repeat_count", "age_weeks", "level"])
    key = pd.MultiIndex.from_arrays([x.astype(np.int64), np.ceil(age - 1e-9).astype(np.int64)])
    quantiles = table["value_quantile"].unstack("level").loc[key].to_numpy()
    first = table.xs(0.0, level="level").loc[key]

    alive = model.probability_alive(customers.states)
    no_order = 1 - alive * (1 - first["no_order_probability_alive"].to_numpy())
    expected = alive * first["expected_orders_alive"].to_numpy()
    expected *= spend.expected_spend(x, customers.mean_spend)

    def value(level: float) -> np.ndarray:
        # Those who have left are below all values of the living.
        of_living = (level - (1 - alive)) / alive
        at = np.clip(np.searchsorted(LEVELS, of_living), 1, len(LEVELS) - 1)
        rows = np.arange(len(at))
        low, high = quantiles[rows, at - 1], quantiles[rows, at]
        share = np.clip((of_living - LEVELS[at - 1]) / (LEVELS[at] - LEVELS[at - 1]), 0, 1)
        found = np.where(of_living > 0, low + share * (high - low), 0.0)
        return found * (spend.gamma_ + x * customers.mean_spend)

    is_certain = no_order < (1 - LEVEL) / 2
    lower = np.where(is_certain, value((1 - LEVEL) / 2), 0.0)
    upper = np.where(is_certain, value((1 + LEVEL) / 2), np.maximum(value(LEVEL), expected))
    waits = model.waiting_time_quantile(
        x[:, np.newaxis], age[:, np.newaxis], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    )
    frame = pd.DataFrame(
        {
            "customer_class": np.select([is_certain, no_order < LEVEL], CLASSES[:2], CLASSES[2]),
            "is_alive": customers.is_alive,
            "no_order_probability": no_order,
            "expected_value": expected,
            "value": customers.later_value,
            "lower": lower,
            "upper": upper,
            "is_value_inside": (customers.later_value >= lower) & (customers.later_value <= upper),
            "is_wait_inside": (customers.waiting_time >= waits[:, 0])
            & (customers.waiting_time <= waits[:, 1]),
        }
    )
    return frame, parameters


def coverage(frame: pd.DataFrame) -> pd.DataFrame:
    """Give by class, and in all, how often the intervals held what came.

    The year of customers who hardly ever order is 0 by itself, whatever the interval: they are told
    beside the others, but not pooled with them.
    """
    told = {name: frame[frame["customer_class"] == name] for name in CLASSES}
    told["the first two"] = frame[frame["customer_class"] != CLASSES[2]]
    told["all"] = frame
    return pd.DataFrame(
        [
            {
                "customers": name,
                "count": len(rows),
                "value_inside": rows["is_value_inside"].mean(),
                "wait_inside": rows.loc[rows["is_alive"], "is_wait_inside"].mean(),
                "mean_expected": rows["expected_value"].mean(),
                "mean_value": rows["value"].mean(),
            }
            for name, rows in told.items()
        ]
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--date", help=f"the day of the measurement; writes docs/{PAGE.name}")
    return parser.parse_args(arguments)


def report(family: str, count: int, seed: int) -> str:
    model = FAMILIES[family].from_parameters(**TRUTH[family])
    spend = GammaGamma.from_parameters(**SPEND_TRUTH)
    frame, found = intervals(observe(model, spend, count, seed), family)
    parameters = [
        [
            name,
            f"{value:.4g}",
            f"{found[name]:.4g}",
            f"{found[f'{name}_standard_error']:.2g}",
            f"{found[name] / value - 1:+.1%}",
        ]
        for name, value in (TRUTH[family] | SPEND_TRUTH).items()
    ]
    rows = [
        [
            row.customers,
            f"{row.count:,}",
            f"{row.value_inside:.1%}",
            f"{row.wait_inside:.1%}",
            f"{row.mean_expected:.2f}",
            f"{row.mean_value:.2f}",
        ]
        for row in coverage(frame).itertuples(index=False)
    ]
    heads = ["customers", "count", "value inside", "next order inside", "expected value", "value"]
    learned_heads = ["parameter", "simulated with", "learned", "standard error", "off by"]
    return "\n\n".join(
        [
            f"{family.upper().replace('_', '/')}, {count:,} customers:",
            tabulate(parameters, learned_heads, tablefmt="github", disable_numparse=True),
            tabulate(rows, heads, tablefmt="github", disable_numparse=True),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse_arguments(arguments)
    text = "\n\n".join(report(family, given.customers, given.seed) for family in TRUTH)
    print(text)
    if given.date:
        write_between_marks(PAGE, MARK, f"Measured on {given.date}.\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
