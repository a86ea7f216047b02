"""Whether the gate opens when it should, and stays shut when it should.

    python bench/gates.py --shops 200 --sizes 1000,5000,20000

Shops are simulated whose customers buy, browse and leave by rules that do not change, and each shop
is judged once more with its outcomes shuffled among the customers of a date, and with probabilities
made wrong. From their training rows the library learns and tests as in a build, and the models of
the gate judge, as dbt compiles them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from common import REPOSITORY, write_between_marks
from scipy.special import expit, logit
from scipy.stats import binomtest
from tabulate import tabulate
from tqdm import tqdm

from coterie.binning import fit_feature_bins
from coterie.learning import PROBABILITY_LIMITS
from coterie.lifetime_value import fit_nbd_parameters
from coterie.propensity import backtest_propensity, fit_propensity_weights
from coterie.quality import BACKTEST_INTERVAL_SCHEMA
from coterie.runs import read_run

PAGE = REPOSITORY / "docs" / "gates.md"
SIZES = [1_000, 5_000, 20_000]
# As they are; with outcomes dealt out anew; with the model's probabilities made wrong.
KINDS = ["sound", "shuffled", "inflated", "overconfident"]
PASSED = ["published", "provisional"]
STATUSES = [*PASSED, "insufficient_data", "worse_than_baseline", "miscalibrated"]
# At least this share of sound shops of TARGET_SIZE is to pass, at most that of shuffled ones.
TARGET_SIZE = 5_000
TARGETS = {"sound": 0.9, "shuffled": 0.05}
# Of the lower end of an interval (95 %).
STANDARD_ERRORS = 1.959964
# What other rules would do, told beside what the gate does.
OTHER_RULES: dict[str, dict[str, Any]] = {
    "as shipped": {},
    "better by an interval of 90 %": {"standard_errors": 1.644854},
    "better by an interval of 80 %": {"standard_errors": 1.281552},
    "better on the mean alone": {"standard_errors": 0.0},
    "better than the RFM cell on the mean alone": {"rfm_cell_standard_errors": 0.0},
    "not clearly worse than the RFM cell": {"rfm_cell_standard_errors": -STANDARD_ERRORS},
    "excess calibration error up to 25 % of the rate": {"max_relative_excess": 0.25},
    "excess calibration error up to 10 % of the rate": {"max_relative_excess": 0.1},
    "predicted/observed: all of its interval inside": {"is_ratio_strict": True},
}

AS_OF = datetime.date(2026, 1, 1)
MODEL = "purchase_30d"
HORIZON_DAYS = 30
STEP_DAYS = 30
LOOK_BACK_DAYS = 365
FIRST_ORIGIN_DAYS = 90
SESSION_FEATURES = ["days_since_last_session", "session_count_30d", "session_count_90d"]
FEATURES = [
    "days_since_last_order",
    "days_since_first_order",
    "order_count",
    "order_count_30d",
    "order_count_90d",
    "order_count_365d",
    "net_amount_365d",
    "avg_gap_days",
    *SESSION_FEATURES,
    "nbd_purchase_probability_90d",
]
SQL_MODELS = [
    "int_coterie__backtest_rows",
    "int_coterie__backtest_ranks",
    "int_coterie__backtest_metrics",
    "int_coterie__gate_results",
]
SETTINGS_MODEL = "int_coterie__fit_settings"


# ---- a shop -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Events:
    """Things that customers do, sorted by customer and day."""

    customer: np.ndarray  # int64, shape (n,)
    day: np.ndarray  # int64 from 0 on, shape (n,)
    amount: np.ndarray  # float64, shape (n,)

    @classmethod
    def of(cls, customer: np.ndarray, day: np.ndarray, amount: np.ndarray | None = None) -> Events:
        """Sort events by customer and day."""
        order = np.lexsort((day, customer))
        amount = np.ones(len(day)) if amount is None else amount
        return cls(customer[order], day[order], amount[order])


class Counts:
    """Counts and sums of events of customers before a day."""

    # More than any day of a history, so that customer and day are one sorted number.
    days = 1 << 20

    def __init__(self, events: Events):
        self._key = events.customer * self.days + events.day
        self._events = events
        self._amount_before = np.concatenate([[0.0], np.cumsum(events.amount)])

    def places(self, customer: np.ndarray, day: int) -> np.ndarray:
        """Give the position of the first event of a customer that is not before a day."""
        return np.searchsorted(self._key, customer * self.days + max(day, 0))

    def count(self, customer: np.ndarray, start: int, end: int) -> np.ndarray:
        """Count the events in [start, end)."""
        return self.places(customer, end) - self.places(customer, start)

    def amount(self, customer: np.ndarray, start: int, end: int) -> np.ndarray:
        """Add up the events in [start, end)."""
        before = self._amount_before
        return before[self.places(customer, end)] - before[self.places(customer, start)]

    def last_day(self, customer: np.ndarray, day: int) -> np.ndarray:
        """Give the day of the last event before a day; NaN where there is none."""
        place = self.places(customer, day)
        found = self._events.day[np.maximum(place - 1, 0)].astype(np.float64)
        return np.where(place > self.places(customer, 0), found, np.nan)

    def first_day(self, customer: np.ndarray, day: int) -> np.ndarray:
        """Give the day of the first event, if it lies before a day; NaN where it does not."""
        first = self.places(customer, 0)
        found = self._events.day[np.minimum(first, len(self._events.day) - 1)].astype(np.float64)
        return np.where(self.places(customer, day) > first, found, np.nan)


@dataclass(frozen=True)
class Shop:
    """What a shop knows of its customers."""

    history_days: int
    arrived_on: np.ndarray  # int64, shape (customers,)
    orders: Events
    sessions: Events
    engaged_sessions: Events


def simulate_shop(customer_count: int, seed: int) -> Shop:
    """Simulate two to three years of a shop in which past and future follow the same rules.

    A customer orders at a gamma rate of their own and may leave for good after any order, as
    MBG/NBD says (Batislam, Denizel & Filiztekin 2007), under a mild season and months that are
    a little better or worse than others. Most visits come with an order, the others are noise.
    """
    generator = np.random.default_rng([customer_count, seed])
    history_days = int(generator.integers(730, 1096))
    yearly_orders = np.exp(generator.uniform(np.log(0.8), np.log(5)))
    rate_shape = generator.uniform(0.5, 1.5)
    leaving_mean = generator.uniform(0.1, 0.5)
    season = generator.uniform(0, 0.25)
    growth = generator.uniform(0, 1)

    # Time runs faster on busy days: what is regular in it follows season and months in days.
    days = np.arange(history_days + 1)
    month = np.exp(generator.normal(0, 0.05, history_days // 30 + 2))
    busyness = (1 + season * np.sin(2 * np.pi * (days / 365 + generator.random()))) * month[
        days // 30
    ]
    clock = np.concatenate([[0.0], np.cumsum(busyness)])[:-1]

    arrival = history_days * generator.random(customer_count) ** (1 / (1 + growth))
    arrived_on = arrival.astype(np.int64)
    rate = generator.gamma(rate_shape, yearly_orders / 365 / rate_shape, customer_count)
    leaving = generator.beta(4 * leaving_mean, 4 * (1 - leaving_mean), customer_count)
    spending = np.exp(generator.normal(3.5, 0.5, customer_count))

    now = np.interp(arrival, days, clock)
    # A few sign up and browse before they order.
    waits = generator.random(customer_count) < 0.15
    now[waits] += generator.exponential(1, int(waits.sum())) / np.maximum(rate[waits], 1e-9)
    active = np.flatnonzero(now < clock[-1])
    left_on = np.full(customer_count, float(history_days))
    customers, times = [], []
    while len(active):
        time = np.interp(now[active], clock, days)
        customers.append(active)
        times.append(time)
        is_leaving = generator.random(len(active)) < leaving[active]
        left_on[active[is_leaving]] = time[is_leaving]
        active = active[~is_leaving]
        now[active] += generator.exponential(1, len(active)) / np.maximum(rate[active], 1e-9)
        active = active[now[active] < clock[-1]]
    customer = np.concatenate(customers)
    day = np.minimum(np.concatenate(times).astype(np.int64), history_days - 1)
    # One order of a customer a day.
    key = np.unique(customer * Counts.days + day)
    customer, day = key // Counts.days, key % Counts.days
    amount = np.round(spending[customer] * np.exp(generator.normal(0, 0.4, len(customer))), 2)
    orders = Events(customer, day, amount)

    # Visits in the week before an order, visits of those who still buy, and visits of anybody.
    visits = generator.poisson(generator.uniform(0.5, 2), len(customer))
    session_customers = [np.repeat(customer, visits)]
    session_days = [np.repeat(day, visits) - generator.integers(0, 8, visits.sum())]
    for ends_on, rates in [
        (left_on, 2 * rate * np.exp(generator.normal(0, 1, customer_count))),
        (np.full(customer_count, float(history_days)), np.full(customer_count, 0.5 / 365)),
    ]:
        spans = np.maximum(ends_on - arrival, 0)
        visits = generator.poisson(rates * spans)
        session_customers.append(np.repeat(np.arange(customer_count), visits))
        places = generator.random(visits.sum())
        session_days.append(
            (np.repeat(arrival, visits) + places * np.repeat(spans, visits)).astype(np.int64)
        )
    session_customer = np.concatenate(session_customers)
    session_day = np.clip(
        np.concatenate(session_days), arrived_on[session_customer], history_days - 1
    )
    is_engaged = generator.random(len(session_day)) < 0.5
    return Shop(
        history_days=history_days,
        arrived_on=arrived_on,
        orders=orders,
        sessions=Events.of(session_customer, session_day),
        engaged_sessions=Events.of(session_customer[is_engaged], session_day[is_engaged]),
    )


# ---- its training rows --------------------------------------------------------------------------


def rfm_cells(
    days_since_last_order: np.ndarray, order_count: np.ndarray, has_ever_ordered: np.ndarray
) -> np.ndarray:
    """Give the RFM cell of each customer as int_coterie__customer_rfm does.

    Parameters
    ----------
    days_since_last_order : ndarray of float, shape (n,)
    order_count : ndarray of int, shape (n,)
        In the look-back; customers with none are `lapsed`, or `prospect` if they never ordered.
    has_ever_ordered : ndarray of bool, shape (n,)
    """
    cells = np.where(has_ever_ordered, "lapsed", "prospect").astype(object)
    ranked = np.flatnonzero(order_count > 0)
    if not len(ranked):
        return cells
    recency = -days_since_last_order[ranked]
    ordered = np.sort(recency)
    # Those below twice and ties once, over twice all: a mid-rank in whole numbers.
    twice = np.searchsorted(ordered, recency) + np.searchsorted(ordered, recency, side="right")
    recency_score = np.minimum(5, 1 + 5 * twice // (2 * len(ranked)))
    frequency = order_count[ranked]
    repeaters = np.sort(frequency[frequency > 1])
    below = np.searchsorted(repeaters, frequency)
    frequency_score = np.where(
        frequency > 1, np.minimum(5, 2 + 4 * below // max(1, len(repeaters))), 1
    )
    cells[ranked] = [f"r{r}f{f}" for r, f in zip(recency_score, frequency_score, strict=True)]
    return cells


def nbd_parameters(
    states: Mapping[int, np.ndarray], run: Mapping[str, Any]
) -> dict[int, dict[str, float]]:
    """Fit the purchase model on the states of some days; days with too few customers are left out.

    Parameters
    ----------
    states : mapping of int to ndarray of int64, shape (customers, 3)
        Of each day repeat orders, age at the last order and age, in whole weeks.
    """
    parts = []
    for day, rows in states.items():
        distinct, counts = np.unique(rows, axis=0, return_counts=True)
        columns = dict(zip(["repeat_count", "recency_weeks", "age_weeks"], distinct.T, strict=True))
        dates = [date_of(day, run["history_days"])] * len(distinct)
        parts.append(pa.table({"as_of_date": dates, **columns, "customer_count": counts}))
    if not parts:
        return {}
    fitted = fit_nbd_parameters(
        pa.concat_tables(parts), None, as_of_date=AS_OF, settings=run["lifetime_value"]
    )
    by_date = {row["fitted_as_of"]: row for row in fitted.to_pylist()}
    found = {day: by_date.get(date_of(day, run["history_days"])) for day in states}
    return {day: row for day, row in found.items() if row}


def purchase_probability(
    parameters: Mapping[str, float],
    repeat_count: np.ndarray,
    recency_days: np.ndarray,
    age_days: np.ndarray,
    horizon_days: int,
) -> np.ndarray:
    """Give the probability of an order by MBG/NBD as int_coterie__customer_nbd does."""
    shape = parameters["r"] + repeat_count
    weeks = parameters["alpha"] + age_days / 7
    recency_weeks = parameters["alpha"] + recency_days / 7
    odds_gone = (
        parameters["a"]
        / (parameters["b"] + repeat_count)
        * np.exp(np.minimum(shape * np.log(weeks / recency_weeks), 700))
    )
    return (1 - np.exp(shape * np.log(weeks / (weeks + horizon_days / 7)))) / (1 + odds_gone)


def date_of(day: int, history_days: int) -> datetime.date:
    return AS_OF - datetime.timedelta(days=int(history_days - day))


def training_rows(shop: Shop, seed: int, run: Mapping[str, Any]) -> pa.Table:
    """Give the labelled rows of a shop, of a sample of its customers where it has many.

    Parameters
    ----------
    run : mapping
        training_row_limit, and lifetime_value: the settings of the purchase model.
    """
    generator = np.random.default_rng([seed, 1])
    first_ordered_on = int(shop.orders.day.min())
    origins = np.arange(shop.history_days - STEP_DAYS, 0, -STEP_DAYS)
    origins = origins[origins - first_ordered_on >= FIRST_ORIGIN_DAYS]
    # Whole customers are kept, so many that all their rows, labelled or not, meet the limit.
    pair_count = sum(int((shop.arrived_on < origin).sum()) for origin in origins)
    position = generator.random(len(shop.arrived_on))
    is_sampled = position < run["training_row_limit"] / max(1, pair_count)

    orders, sessions = Counts(shop.orders), Counts(shop.sessions)
    engaged = Counts(shop.engaged_sessions)
    found: dict[int, dict[str, np.ndarray]] = {}
    states: dict[int, np.ndarray] = {}
    for number, origin in enumerate(origins[::-1].tolist()):
        customer = np.flatnonzero(is_sampled & (shop.arrived_on < origin))
        first, last = orders.first_day(customer, origin), orders.last_day(customer, origin)
        order_count = orders.count(customer, 0, origin)
        order_count_365d = orders.count(customer, origin - LOOK_BACK_DAYS, origin)
        has_ordered = order_count > 0
        if number % 3 == 0:
            ages = np.column_stack([last - first, origin - first])[has_ordered]
            weeks = np.ceil(ages / 7).astype(np.int64)
            states[origin] = np.column_stack([order_count[has_ordered] - 1, weeks])
        columns = {
            "customer": customer,
            "first": first,
            "last": last,
            "days_since_last_order": origin - last,
            "days_since_first_order": origin - first,
            "order_count": order_count,
            "order_count_30d": orders.count(customer, origin - 30, origin),
            "order_count_90d": orders.count(customer, origin - 90, origin),
            "order_count_365d": order_count_365d,
            "net_amount_365d": np.round(
                orders.amount(customer, origin - LOOK_BACK_DAYS, origin), 2
            ),
            "avg_gap_days": np.where(
                order_count > 1, (last - first) / np.maximum(order_count - 1, 1), np.nan
            ),
            "days_since_last_session": origin - sessions.last_day(customer, origin),
            "session_count_30d": sessions.count(customer, origin - 30, origin),
            "session_count_90d": sessions.count(customer, origin - 90, origin),
            "rfm_cell": rfm_cells(origin - last, order_count_365d, has_ordered),
            "outcome": orders.count(customer, origin, origin + HORIZON_DAYS) > 0,
        }
        is_eligible = (order_count_365d > 0) | (engaged.count(customer, origin - 90, origin) > 0)
        found[origin] = {name: column[is_eligible] for name, column in columns.items()}

    parameters = nbd_parameters(states, {**run, "history_days": shop.history_days})
    parts = []
    for origin, columns in found.items():
        repeat_count = columns["order_count"] - 1.0
        ages = [columns["last"] - columns["first"], columns["days_since_first_order"]]
        nothing = np.full(len(repeat_count), np.nan)
        # What a date may use was fitted by then.
        fitted = [day for day in parameters if day <= origin]
        by_horizon = {
            horizon_days: purchase_probability(
                parameters[max(fitted)],
                np.where(repeat_count >= 0, repeat_count, np.nan),
                *ages,
                horizon_days,
            )
            if fitted
            else nothing
            for horizon_days in (HORIZON_DAYS, 90)
        }
        columns = {**columns, "nbd_purchase_probability_90d": np.round(by_horizon[90], 9)}
        parts.append(
            pa.table(
                {
                    "model_name": [MODEL] * len(repeat_count),
                    "as_of_date": [date_of(origin, shop.history_days)] * len(repeat_count),
                    "customer_id": [f"c{number}" for number in columns["customer"].tolist()],
                    "outcome": columns["outcome"].astype(np.int64),
                    **{
                        name: pa.array(columns[name].astype(np.float64), from_pandas=True)
                        for name in FEATURES
                    },
                    "nbd_purchase_probability": pa.array(
                        by_horizon[HORIZON_DAYS], from_pandas=True
                    ),
                    "rfm_cell": columns["rfm_cell"].tolist(),
                }
            )
        )
    return pa.concat_tables(parts).combine_chunks()


def shuffled_outcomes(rows: pa.Table, seed: int) -> pa.Table:
    """Deal the outcomes of each date out anew among its customers."""
    generator = np.random.default_rng([seed, 2])
    outcome = rows["outcome"].to_numpy().copy()
    dates = rows["as_of_date"].to_numpy()
    for date in np.unique(dates):
        places = np.flatnonzero(dates == date)
        outcome[places] = generator.permutation(outcome[places])
    return rows.set_column(rows.column_names.index("outcome"), "outcome", pa.array(outcome))


# ---- the gate -----------------------------------------------------------------------------------


def compile_gate(
    folder: Path, changed: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Have dbt compile the models of the gate and the settings, as they are shipped.

    Parameters
    ----------
    folder : Path
        Where dbt may write.
    changed : mapping, optional
        By var what is merged over the settings of the bench.
    """
    dbt_vars = {name: dict(settings) for name, settings in (changed or {}).items()}
    dbt_vars.setdefault("coterie__propensity", {})["features"] = FEATURES
    environment = {
        **os.environ,
        "DBT_PROFILES_DIR": str(REPOSITORY),
        "DO_NOT_TRACK": "1",
        "COTERIE_DATABASE": str(folder / "gates.duckdb"),
    }
    dbt = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--quiet"]
    dbt += ["--log-path", str(folder / "logs"), "compile", "--project-dir", str(REPOSITORY)]
    dbt += ["--target-path", str(folder / "target")]
    dbt += ["--vars", json.dumps(dbt_vars)]

    def compiled(*arguments: str) -> str:
        done = subprocess.run(
            [*dbt, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"dbt could not compile the gate:\n{done.stdout}{done.stderr}")
        return done.stdout

    gates = json.loads(compiled("--inline", "{{ tojson(coterie.settings('gates')) }}"))
    compiled("--select", *SQL_MODELS, SETTINGS_MODEL)
    manifest = json.loads((folder / "target" / "manifest.json").read_text(encoding="utf-8"))
    nodes = {
        node["name"]: {key: node[key] for key in ("database", "schema", "relation_name")}
        | {"sql": node.get("compiled_code")}
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    with duckdb.connect() as connection:
        fit_settings = connection.sql(nodes[SETTINGS_MODEL]["sql"]).to_arrow_table().to_pylist()
    return {"gates": gates, "nodes": nodes, "fit_settings": fit_settings}


class Gate:
    """The compiled models of the gate in a database of their own."""

    def __init__(self, compiled: Mapping[str, Any]):
        self._nodes = compiled["nodes"]
        node = self._nodes["int_coterie__gate_results"]
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute(f"attach ':memory:' as \"{node['database']}\"")
        self._connection.execute(f'create schema "{node["database"]}"."{node["schema"]}"')

    def judge(
        self, weights: pa.Table, backtests: pa.Table, first_ordered_on: datetime.date
    ) -> tuple[list[dict], list[dict]]:
        """Give the gate results of the fitted versions, and their metrics on all test dates."""
        inputs = {
            "int_coterie__propensity_weights": weights,
            "int_coterie__propensity_backtests": backtests,
            # The gate asks for no interval that is drawn.
            "int_coterie__backtest_intervals": BACKTEST_INTERVAL_SCHEMA.empty_table(),
            "int_coterie__as_of": pa.table(
                {"as_of_date": [AS_OF], "first_ordered_on": [first_ordered_on]}
            ),
        }
        for name, table in inputs.items():
            self._connection.register("given", table)
            self._create(name, "select * from given")
            self._connection.unregister("given")
        for name in SQL_MODELS:
            self._create(name, self._nodes[name]["sql"])
        metrics = self._rows("int_coterie__backtest_metrics", "where origin = 'pooled'")
        return self._rows("int_coterie__gate_results"), metrics

    def _create(self, name: str, sql: str) -> None:
        relation = self._nodes[name]["relation_name"]
        self._connection.execute(f"create or replace table {relation} as {sql}")

    def _rows(self, name: str, condition: str = "") -> list[dict]:
        relation = self._nodes[name]["relation_name"]
        return self._connection.sql(f"from {relation} {condition}").to_arrow_table().to_pylist()


def failed_conditions(
    evidence: Mapping[str, Any], gains: Mapping[str, float], gates: Mapping[str, float]
) -> list[str]:
    """Name each condition of the gate that a version does not meet.

    Parameters
    ----------
    evidence : mapping
        A row of int_coterie__gate_results.
    gains : mapping of str to float
        By baseline the lower end of the interval of the gain in log loss.
    gates : mapping
        The settings of the gate.
    """

    def is_missed(value: float | None, limit: float, sign: int = 1) -> bool:
        return value is None or not sign * value >= sign * limit

    checks = {
        "outcomes to learn from": is_missed(
            evidence["training_positive_count"], gates["min_training_positive_count"]
        ),
        "non-outcomes to learn from": is_missed(
            evidence["training_negative_count"], gates["min_training_negative_count"]
        ),
        "test dates": is_missed(evidence["test_origin_count"], gates["min_test_origin_count"]),
        "outcomes at the test dates": is_missed(
            evidence["test_positive_count"], gates["min_test_positive_count"]
        ),
        "non-outcomes at the test dates": is_missed(
            evidence["test_negative_count"], gates["min_test_negative_count"]
        ),
        "history": is_missed(
            evidence["history_days"], gates["min_history_horizons"] * evidence["horizon_days"]
        ),
        **{
            f"better than {baseline}": is_missed(lower, np.nextafter(0, 1))
            for baseline, lower in sorted(gains.items())
        },
        "excess calibration error": is_missed(
            evidence["excess_calibration_error"], gates["max_excess_calibration_error"], -1
        ),
        "predicted not too few": is_missed(
            evidence["predicted_over_observed_upper"], gates["min_predicted_over_observed"]
        ),
        "predicted not too many": is_missed(
            evidence["predicted_over_observed_lower"], gates["max_predicted_over_observed"], -1
        ),
    }
    return [name for name, missed in checks.items() if missed]


def learn(
    rows: pa.Table, settings: Mapping[str, Mapping[str, Any]]
) -> tuple[pa.Table, pa.Table] | None:
    """Fit and test as a build does; None where there is too little to fit a version."""
    bins = fit_feature_bins(rows, None, as_of_date=AS_OF, settings=settings["feature_bins"])
    run = {"as_of_date": AS_OF, "settings": settings["propensity"]}
    weights = fit_propensity_weights(rows, bins, None, **run)
    return (weights, backtest_propensity(rows, weights, None, **run)) if weights.num_rows else None


def distorted(backtests: pa.Table, kind: str) -> pa.Table:
    """Make the probabilities of the model wrong: `inflated` or `overconfident`.

    Inflated ones are one and a half times what they were. Overconfident ones have log-odds twice
    as far from those of their mean.
    """
    probability = backtests["probability"].to_numpy().copy()
    is_model = pc.equal(backtests["scorer_name"], "model").to_numpy()
    given = probability[is_model]
    if kind == "inflated":
        given = 1.5 * given
    else:
        middle = logit(given.mean()) if len(given) else 0.0
        given = expit(middle + 2 * (logit(given) - middle))
    probability[is_model] = np.clip(given, *PROBABILITY_LIMITS)
    place = backtests.column_names.index("probability")
    return backtests.set_column(place, "probability", pa.array(probability))


def judge_learned(
    learned: tuple[pa.Table, pa.Table] | None,
    gate: Gate,
    gates: Mapping[str, float],
    first_ordered_on: datetime.date,
) -> dict[str, Any]:
    """Let the gate judge what was learned, and keep the figures that it judged on."""
    if learned is None:
        # No version is fitted, so none can be published.
        return {"gate_status": "insufficient_data", "failed": ["outcomes to learn from"]}
    weights, backtests = learned
    (result,), metrics = gate.judge(weights, backtests, first_ordered_on)
    metrics = {(row["scorer_name"], row["metric_name"]): row for row in metrics}
    gains = {
        baseline: metrics.get(("model", f"log_loss_gain_over_{baseline}"), {})
        for baseline in ("base_rate", "rfm_cell")
    }
    lowest = {baseline: row.get("interval_lower") for baseline, row in gains.items()}
    learner = weights.select(["learner", "max_iter", "calibration"]).slice(0, 1).to_pylist()[0]
    kept = ["gate_status", "test_origin_count", "history_days", "excess_calibration_error"]
    kept += ["test_positive_count", "test_negative_count", "training_positive_count"]
    kept += [f"predicted_over_observed{end}" for end in ("", "_lower", "_upper")]
    return {
        **learner,
        **{name: result[name] for name in kept},
        "failed": failed_conditions(result, lowest, gates),
        "calibration_error": metrics.get(("model", "calibration_error"), {}).get("metric_value"),
        "roc_auc": metrics.get(("model", "roc_auc"), {}).get("metric_value"),
        "rfm_cell_roc_auc": metrics.get(("rfm_cell", "roc_auc"), {}).get("metric_value"),
        **{f"gain_over_{name}": row.get("metric_value") for name, row in gains.items()},
        **{f"gain_over_{name}_lower": lower for name, lower in lowest.items()},
    }


def run_settings(compiled: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the settings of each topic as a build reads them."""
    fit_settings = pa.Table.from_pylist(compiled["fit_settings"])
    as_of = pa.table(
        {
            "as_of_date": [AS_OF],
            "data_through": [AS_OF],
            # Values alone ask for it, and no gate of theirs is judged here.
            "first_ordered_on": pa.array([None], pa.date32()),
        }
    )
    return {
        topic: read_run(fit_settings, as_of, topic=topic)[1]
        for topic in ("feature_bins", "lifetime_value", "propensity")
    }


# ---- many shops ---------------------------------------------------------------------------------


def judge_shop(
    customer_count: int, seed: int, gate: Gate, compiled: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Simulate a shop and judge it once for each of `KINDS`."""
    settings = run_settings(compiled)
    run = {
        "training_row_limit": settings["propensity"]["training_row_limit"],
        "lifetime_value": settings["lifetime_value"],
    }
    started = time.process_time()
    shop = simulate_shop(customer_count, seed)
    rows = training_rows(shop, seed, run)
    simulation_seconds = time.process_time() - started
    first_ordered_on = date_of(int(shop.orders.day.min()), shop.history_days)
    common = {
        "customer_count": customer_count,
        "seed": seed,
        "shop_days": shop.history_days,
        "row_count": rows.num_rows,
        "positive_count": int(np.sum(rows["outcome"].to_numpy())),
        "simulation_seconds": round(simulation_seconds, 3),
    }
    found = []
    sound = None
    for kind in KINDS:
        started = time.process_time()
        if kind == "sound":
            learned = sound = learn(rows, settings)
        elif kind == "shuffled":
            learned = learn(shuffled_outcomes(rows, seed), settings)
        else:
            learned = sound and (sound[0], distorted(sound[1], kind))
        judged = judge_learned(learned, gate, compiled["gates"], first_ordered_on)
        seconds = round(time.process_time() - started, 3)
        found.append({**common, "kind": kind, **judged, "seconds": seconds})
    return found


_worker: dict[str, Any] = {}


def _start_worker(compiled: Mapping[str, Any]) -> None:
    _worker.update(compiled=compiled, gate=Gate(compiled))


def _judge_job(job: tuple[int, int]) -> list[dict[str, Any]]:
    return judge_shop(*job, _worker["gate"], _worker["compiled"])


def planned_jobs(
    sizes: Sequence[int], shop_counts: Sequence[int], first_seed: int
) -> list[tuple[int, int]]:
    """List customers and seed of each shop, all sizes in step, so that any start is a fair part."""
    places = [
        ((number + 0.5) / count, size, first_seed + number)
        for size, count in zip(sizes, shop_counts, strict=True)
        for number in range(count)
    ]
    return [(size, seed) for _, size, seed in sorted(places)]


def judge_shops(
    jobs: Sequence[tuple[int, int]], compiled: Mapping[str, Any], processes: int
) -> Iterable[list[dict[str, Any]]]:
    """Judge shops, given by customers and seed, in as many processes."""
    if processes == 1:
        _start_worker(compiled)
        yield from map(_judge_job, jobs)
        return
    with ProcessPoolExecutor(processes, initializer=_start_worker, initargs=(compiled,)) as pool:
        yield from pool.map(_judge_job, jobs)


# ---- the report ---------------------------------------------------------------------------------


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Give the interval (95 %) of a share after Wilson (1927)."""
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def members(
    shops: Iterable[Mapping[str, Any]], group: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Take the shops of the size and kind of a group."""
    return [s for s in shops if all(s[key] == group[key] for key in ("customer_count", "kind"))]


def shares(shops: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count the statuses by size and kind, and what the shops that did not pass failed at."""
    found = []
    for size in sorted({shop["customer_count"] for shop in shops}):
        for kind in KINDS:
            group = members(shops, {"customer_count": size, "kind": kind})
            if not group:
                continue
            statuses = Counter(shop["gate_status"] for shop in group)
            passed = sum(statuses[status] for status in PASSED)
            shut = [shop for shop in group if shop["gate_status"] not in PASSED]
            found.append(
                {
                    "customer_count": size,
                    "kind": kind,
                    "shop_count": len(group),
                    "statuses": {status: statuses[status] for status in STATUSES},
                    "passed_share": passed / len(group),
                    "interval": wilson_interval(passed, len(group)),
                    "failed": dict(Counter(name for s in shut for name in s["failed"])),
                    "mean_seconds": float(
                        np.mean([s["seconds"] + s["simulation_seconds"] for s in group])
                    ),
                }
            )
    return found


def target_is_met(group: Mapping[str, Any]) -> bool:
    """Tell whether enough sound shops pass, or few enough shuffled ones; other kinds have none."""
    share = group["passed_share"]
    if group["kind"] == "sound":
        return share >= TARGETS["sound"]
    return share <= TARGETS.get(group["kind"], 1)


def passes(
    shop: Mapping[str, Any],
    gates: Mapping[str, float],
    *,
    standard_errors: float = STANDARD_ERRORS,
    rfm_cell_standard_errors: float | None = None,
    max_relative_excess: float | None = None,
    is_ratio_strict: bool = False,
) -> bool:
    """Tell whether a shop would pass a gate with other rules, by the figures it was judged on.

    Parameters
    ----------
    shop : mapping
        A result of `judge_shop`.
    gates : mapping
        The settings of the gate.
    standard_errors : float
        How many the mean gain in log loss must lie above 0.
    rfm_cell_standard_errors : float, optional
        The same for the gain over the RFM cell alone; below 0 it may be a little worse.
    max_relative_excess : float, optional
        Limit of the excess calibration error as a share of the observed rate, instead of the
        absolute one.
    is_ratio_strict : bool
        True: all of the interval of predicted over observed must lie within its limits.
    """
    amount = ("outcomes", "non-outcomes", "test dates", "history")
    if "roc_auc" not in shop or any(name.startswith(amount) for name in shop["failed"]):
        return False
    for baseline in ("base_rate", "rfm_cell"):
        mean, lower = shop[f"gain_over_{baseline}"], shop[f"gain_over_{baseline}_lower"]
        needed = standard_errors
        if baseline == "rfm_cell" and rfm_cell_standard_errors is not None:
            needed = rfm_cell_standard_errors
        if not mean - needed * (mean - lower) / STANDARD_ERRORS > 0:
            return False
    max_excess = gates["max_excess_calibration_error"]
    if max_relative_excess is not None:
        positives = shop["test_positive_count"]
        max_excess = max_relative_excess * positives / (positives + shop["test_negative_count"])
    lower, upper = (shop[f"predicted_over_observed_{end}"] for end in ("lower", "upper"))
    ends = (lower, upper) if is_ratio_strict else (upper, lower)
    return (
        shop["excess_calibration_error"] <= max_excess
        and ends[0] >= gates["min_predicted_over_observed"]
        and ends[1] <= gates["max_predicted_over_observed"]
    )


def target_words(group: Mapping[str, Any]) -> str:
    """Say whether a target is met, and whether that is more than a mean of few shops."""
    ends = [target_is_met({**group, "passed_share": end}) for end in group["interval"]]
    if not target_is_met(group):
        return "not met, though the interval holds it" if any(ends) else "not met"
    return "met" if all(ends) else "met, but the interval reaches beyond it: run more shops"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def report(shops: Sequence[Mapping[str, Any]], gates: Mapping[str, float], date: str | None) -> str:
    """Say in Markdown how many shops pass, and what the others fail at."""
    groups = shares(shops)
    parts = [f"Measured on {date}."] if date else []
    heads = ["customers", "kind", "shops", "pass", "95 % interval", *STATUSES, "CPU s"]
    lines = [
        [
            f"{group['customer_count']:,}",
            group["kind"],
            group["shop_count"],
            percent(group["passed_share"]),
            " to ".join(percent(end) for end in group["interval"]),
            *(percent(n / group["shop_count"]) for n in group["statuses"].values()),
            f"{group['mean_seconds']:.1f}",
        ]
        for group in groups
    ]
    align = ["right", "left", *["right"] * (len(heads) - 2)]
    parts.append(tabulate(lines, heads, tablefmt="github", colalign=align, disable_numparse=True))
    for group in groups:
        if group["customer_count"] == TARGET_SIZE and group["kind"] in TARGETS:
            limit = "at least" if group["kind"] == "sound" else "at most"
            parts.append(
                f"Target for {group['kind']} shops of {TARGET_SIZE:,} customers: {limit} "
                f"{percent(TARGETS[group['kind']])} pass; {target_words(group)}."
            )
    sound = [shop for shop in shops if shop["kind"] == "sound" and "roc_auc" in shop]
    lines = []
    for size in sorted({shop["customer_count"] for shop in sound}):
        line = [f"{size:,}"]
        for name in ("row_count", "positive_count", "roc_auc", "rfm_cell_roc_auc"):
            values = [s[name] for s in sound if s["customer_count"] == size and s[name] is not None]
            form = ".2f" if "auc" in name else ",.0f"
            line.append(" to ".join(f"{v:{form}}" for v in np.quantile(values, [0.1, 0.9])))
        lines.append(line)
    if lines:
        parts.append("The sound shops, from the 10th to the 90th percentile:")
        heads = ["customers", "training rows", "outcomes", "ROC-AUC, model", "ROC-AUC, RFM cell"]
        parts.append(tabulate(lines, heads, tablefmt="github", colalign=["right"] * 5))
    lines = []
    for size in sorted({shop["customer_count"] for shop in sound}):
        for learner in sorted({shop["learner"] for shop in sound}):
            passed = [
                shop["gate_status"] in PASSED
                for shop in sound
                if (shop["customer_count"], shop["learner"]) == (size, learner)
            ]
            if passed:
                lines.append([f"{size:,}", learner, len(passed), percent(np.mean(passed))])
    if lines:
        parts.append("The sound shops by what learned:")
        heads = ["customers", "learner", "shops", "pass"]
        align = ["right", "left", "right", "right"]
        parts.append(tabulate(lines, heads, tablefmt="github", colalign=align))
    for size in sorted({group["customer_count"] for group in groups}):
        parts += [f"#### {size:,} customers", *size_report(shops, groups, gates, size)]
    return "\n\n".join(parts)


def size_report(
    shops: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]],
    gates: Mapping[str, float],
    size: int,
) -> list[str]:
    """Say what the shops of a size fail at, and how many would pass by other rules."""
    groups = [group for group in groups if group["customer_count"] == size]
    heads = [group["kind"] for group in groups]
    align = ["left", *["right"] * len(groups)]
    parts = []
    failed = Counter()
    for group in groups:
        failed.update(group["failed"])
    if failed:
        lines = [[name, *(g["failed"].get(name, 0) for g in groups)] for name in sorted(failed)]
        parts.append("What shops that do not pass fail at; one can fail at several:")
        parts.append(tabulate(lines, ["condition", *heads], tablefmt="github", colalign=align))
    lines = []
    for name, rule in OTHER_RULES.items():
        would = [[passes(s, gates, **rule) for s in members(shops, group)] for group in groups]
        lines.append([name, *(percent(np.mean(passing)) for passing in would)])
    parts.append("What would pass by other rules, each changed alone:")
    parts.append(
        tabulate(lines, ["rule", *heads], tablefmt="github", colalign=align, disable_numparse=True)
    )
    return parts


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shops",
        type=numbers,
        default=[200],
        help="of each size, or with commas between one number for each (default: 200)",
    )
    parser.add_argument(
        "--sizes",
        type=numbers,
        default=SIZES,
        help="customers, with commas between (default: 1000,5000,20000)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first shop (default: 1)")
    parser.add_argument("--processes", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--vars",
        type=json.loads,
        default={},
        help='map vars to judge by, as \'{"coterie__gates": {"min_test_positive_count": 100}}\'',
    )
    parser.add_argument(
        "--orders-only", action="store_true", help="the model sees no visits; a table of its own"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep the shops that the output already holds"
    )
    parser.add_argument(
        "--report", type=Path, help="simulate nothing; report what this JSON file holds"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="default: bench/results/gates.json, or gates_orders_only.json beside it",
    )
    parser.add_argument("--date", help="the day of the measurement; writes docs/gates.md")
    given = parser.parse_args(arguments)
    given.name = "gates-orders-only" if given.orders_only else "gates"
    if given.out is None:
        results = Path(__file__).parent / "results"
        given.out = results / f"{given.name.replace('-', '_')}.json"
    if given.orders_only:
        left_out = {MODEL: {"left_out_features": SESSION_FEATURES}}
        given.vars = {"coterie__predictions": left_out, **given.vars}
    if len(given.shops) == 1:
        given.shops = given.shops * len(given.sizes)
    if len(given.shops) != len(given.sizes):
        parser.error("give one number of shops, or one for each size")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse_arguments(arguments)
    if given.report:
        reported = json.loads(given.report.read_text(encoding="utf-8"))
        shops, gates = reported["shops"], reported["gates"]
    else:
        with tempfile.TemporaryDirectory() as folder:
            compiled = compile_gate(Path(folder), given.vars)
        gates = compiled["gates"]
        shops = []
        if given.resume and given.out.exists():
            shops = json.loads(given.out.read_text(encoding="utf-8"))["shops"]
        done = {(shop["customer_count"], shop["seed"]) for shop in shops}
        jobs = [
            job for job in planned_jobs(given.sizes, given.shops, given.seed) if job not in done
        ]
        given.out.parent.mkdir(parents=True, exist_ok=True)
        judged = judge_shops(jobs, compiled, given.processes)
        for number, found in enumerate(tqdm(judged, total=len(jobs), unit=" shops"), start=1):
            shops += found
            if number % 10 == 0 or number == len(jobs):
                results = {
                    "date": given.date,
                    "vars": given.vars,
                    "gates": gates,
                    "shares": shares(shops),
                }
                text = json.dumps({**results, "shops": shops}, indent=1)
                given.out.write_text(text + "\n", encoding="utf-8")
    words = report(shops, gates, given.date)
    print(words)
    if given.date:
        write_between_marks(PAGE, given.name, words)
    at_target = [group for group in shares(shops) if group["customer_count"] == TARGET_SIZE]
    return int(not all(target_is_met(group) for group in at_target))


if __name__ == "__main__":
    sys.exit(main())
