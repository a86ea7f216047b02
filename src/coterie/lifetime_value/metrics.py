"""How good the predicted amounts were, with intervals from draws of customers."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from coterie import tables
from coterie.quality import DRAW_COUNT, POOLED, centred_interval, draw_weights, rounded
from coterie.threads import one_thread

logger = logging.getLogger("coterie")

VALUE_METRICS_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("origin", pa.string()),
        ("scorer_name", pa.string()),
        ("group_name", pa.string()),
        ("group_value", pa.string()),
        ("metric_name", pa.string()),
        ("metric_value", pa.float64()),
        ("interval_lower", pa.float64()),
        ("interval_upper", pa.float64()),
    ]
)

MODEL = "model"
COHORT_MEAN = "cohort_mean"
# The scorers that the model has to beat, and how a gain in a metric is signed.
BASELINES = ("last_period", COHORT_MEAN)
GAINS = {"mae": -1.0, "normalised_gini": 1.0}
# Between which values a metric lies; its interval ends there.
LIMITS = {
    "predicted_over_observed": (0.0, np.inf),
    "bias": (-1.0, np.inf),
    "mae": (0.0, np.inf),
    "spearman": (-1.0, 1.0),
    "normalised_gini": (-np.inf, 1.0),
    "top_decile_share": (0.0, 1.0),
    "interval_coverage": (0.0, 1.0),
}
GROUPS = {"cohort": "cohort", "rfm_segment": "rfm_segment_code"}
# What is left beyond these decimals is rounding error.
DECIMALS = 12
# Numbers of a matrix of rows and draws that are worked on at a time: 16 MB each.
CHUNK_SIZE = 2_000_000


def value_metrics(
    backtests: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Measure the back-tests of each version that has no metrics yet.

    Customers are drawn with replacement, all their rows together, the same ones for all scorers
    of a round; the interval is that of `coterie.quality.bootstrap_intervals`.

    Parameters
    ----------
    backtests : pa.Table
        Columns of `coterie.lifetime_value.value.VALUE_BACKTEST_SCHEMA`.
    stored : pa.Table or None
        Column model_version of the versions measured so far.
    as_of_date : date or None
        None (no data yet) measures nothing.
    settings : mapping
        Optionally is_empty ("True" measures nothing), draw_count (200) and
        min_group_customer_count (50).

    Returns
    -------
    pa.Table
        `VALUE_METRICS_SCHEMA`: one row for each version, origin (an ISO date, or ``pooled`` for
        all of them), scorer, group and metric, sorted by these. Metrics are those of
        `weighted_value_metrics`, and row_count and buyer_count (rows with an amount above 0). The
        scorer ``model`` has besides how much better it is than ``last_period`` and
        ``cohort_mean`` in mae and normalised Gini, more being better, over the rows that both
        predicted. Groups other than ``all`` are measured pooled, for the scorers ``model`` and
        ``cohort_mean`` and from min_group_customer_count customers on. A metric that is not
        defined on its rows is NULL, and so is its interval.

    Raises
    ------
    ValueError
        If a column is missing, a number is NULL, or a customer occurs twice at an origin.
    """
    empty = VALUE_METRICS_SCHEMA.empty_table()
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not backtests.num_rows:
        return empty
    draw_count = tables.read_setting(settings, "draw_count", int, DRAW_COUNT)
    if draw_count < 2:
        raise ValueError(f"draw_count is {draw_count}; an interval needs at least 2 draws.")
    min_count = tables.read_setting(settings, "min_group_customer_count", int, 50)
    tables.require_columns(backtests, _COLUMNS, "the back-tests of values")
    done = set(stored["model_version"].to_pylist()) if stored is not None else set()

    rows: list[dict] = []
    for model_version in sorted(set(backtests["model_version"].to_pylist()) - done):
        version = backtests.filter(pc.equal(backtests["model_version"], model_version))
        tested = _Tested.read(version)
        for round_ in tested.rounds(min_count):
            key = {
                "model_name": version["model_name"][0].as_py(),
                "model_version": model_version,
                **round_.names,
            }
            with one_thread():
                rows += [key | row for row in round_.measured(list(key.values()), draw_count)]
        logger.info("%s: %d draws of customers for the metrics", model_version, draw_count)
    names = VALUE_METRICS_SCHEMA.names
    rows.sort(key=lambda row: [row[name] for name in names[:7]])
    columns = {name: [row[name] for row in rows] for name in names}
    return pa.table(columns, schema=VALUE_METRICS_SCHEMA)


def weighted_value_metrics(
    customer: np.ndarray,
    actual: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Compute the metrics of predicted amounts under several weightings of the customers.

    A weight of 2 counts as the customer's rows twice over. Rows with equal predictions share what
    they hold: the concentration curve is straight between them.

    Parameters
    ----------
    customer : ndarray of int, shape (n,)
        The row of `weights` that each row belongs to.
    actual, predicted : ndarray of float64, shape (n,)
        Amounts.
    weights : ndarray of float64, shape (customers, d)
        Whole numbers from 0 on.
    lower, upper : ndarray of float64, shape (n,), optional
        Intervals of the predictions.

    Returns
    -------
    dict of str to ndarray of float64, shape (d,)
        ``predicted_over_observed``: the predicted total over the actual one; ``bias``: the same
        less 1. ``mae``: the mean absolute error. ``spearman``: the correlation of the ranks, equal
        values at their mean rank. ``normalised_gini``: the area between the concentration curve of
        the actual amounts, in the order of the predictions, and the diagonal, over the same area
        in the order of the actual amounts. ``top_decile_share``: the share of the actual total that
        the tenth with the highest predictions brought. ``interval_coverage``: the share of rows
        whose actual amount lies in the interval. NaN where a metric is not defined.
    """
    return _Outcomes(customer, actual, weights).metrics(predicted, lower, upper)


class _Outcomes:
    """The actual amounts under several weightings, and what all scorers need of them."""

    def __init__(self, customer: np.ndarray, actual: np.ndarray, weights: np.ndarray):
        self.actual = actual
        self.row_weights = weights[customer]
        self.count = self.row_weights.sum(axis=0)
        self.total = actual @ self.row_weights
        levels = _Levels(actual, self.row_weights)
        area, _ = levels.concentration(self.actual, self.row_weights, self.total)
        self.own_area = area
        ranks = levels.centred_ranks()
        self.rank_variance = levels.mean_square(ranks)
        # What a row adds to the covariance of the ranks, but for the rank of its prediction.
        self.weighted_ranks = ranks[levels.level] * self.row_weights

    def metrics(
        self, predicted: np.ndarray, lower: np.ndarray | None, upper: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        levels = _Levels(predicted, self.row_weights)
        area, top_decile_share = levels.concentration(self.actual, self.row_weights, self.total)
        ranks = levels.centred_ranks()
        covariance = np.einsum("ld,ld->d", ranks, levels.sums(self.weighted_ranks))
        spread = np.sqrt(levels.mean_square(ranks) * self.rank_variance) * self.count
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(self.total > 0, predicted @ self.row_weights / self.total, np.nan)
            found = {
                "predicted_over_observed": ratio,
                "bias": ratio - 1,
                "mae": np.abs(self.actual - predicted) @ self.row_weights / self.count,
                "spearman": np.where(spread > 0, covariance / spread, np.nan),
                "normalised_gini": np.where(self.own_area > 1e-12, area / self.own_area, np.nan),
                "top_decile_share": top_decile_share,
            }
            if lower is not None and upper is not None:
                is_in = ((lower <= self.actual) & (self.actual <= upper)).astype(np.float64)
                found["interval_coverage"] = is_in @ self.row_weights / self.count
        return found


class _Levels:
    """Rows grouped by equal values, the highest value first, under several weightings."""

    def __init__(self, values: np.ndarray, row_weights: np.ndarray):
        levels, level = np.unique(values, return_inverse=True)
        self.level = len(levels) - 1 - level
        rows = np.arange(len(values))
        self.members = csr_array(
            (np.ones(len(values)), (self.level, rows)), shape=(len(levels), len(values))
        )
        self.weight = self.sums(row_weights)
        self.up_to = np.cumsum(self.weight, axis=0)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum values of the rows, shape (n, d), by level."""
        return self.members @ values

    def centred_ranks(self) -> np.ndarray:
        """Give the mean rank of each level from the lowest, less the mean of all ranks."""
        return self.up_to[-1] / 2 - (self.up_to - self.weight / 2)

    def mean_square(self, ranks: np.ndarray) -> np.ndarray:
        return np.einsum("ld,ld,ld->d", self.weight, ranks, ranks) / self.up_to[-1]

    def concentration(
        self, amount: np.ndarray, row_weights: np.ndarray, total: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the area above the diagonal, and the share of the first tenth; NaN without a total.

        The curve runs from the highest value to the lowest: amount reached over rows reached.
        """
        brought = csr_array(
            (amount[self.members.indices], self.members.indices, self.members.indptr),
            shape=self.members.shape,
        )
        amounts = brought @ row_weights
        reached = np.cumsum(amounts, axis=0)
        tenth = self.up_to[-1] / 10
        place = (self.up_to < tenth).sum(axis=0)[np.newaxis]
        behind, here, weight, before = (
            np.take_along_axis(values, place, axis=0)[0]
            for values in (reached, amounts, self.weight, self.up_to - self.weight)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            top = (behind - here) + here * (tenth - before) / weight
            area = np.einsum("ld,ld->d", self.weight, reached - amounts / 2) / self.up_to[-1]
            is_known = total > 0
            return (
                np.where(is_known, area / total - 0.5, np.nan),
                np.where(is_known, top / total, np.nan),
            )


@dataclass(frozen=True)
class _Tested:
    """The back-test of one version: a row for each origin and customer, scorers as columns."""

    origin: np.ndarray  # datetime64[D], shape (n,)
    customer: np.ndarray  # int, shape (n,)
    actual: np.ndarray  # float64, shape (n,)
    predicted: dict[str, np.ndarray]  # float64, shape (n,), NaN where a scorer has no row
    lower: np.ndarray
    upper: np.ndarray
    groups: dict[str, np.ndarray]  # of text, shape (n,)

    @classmethod
    def read(cls, version: pa.Table) -> _Tested:
        version = version.set_column(
            version.column_names.index("origin"), "origin", version["origin"].cast(pa.date32())
        )
        key = ["origin", "customer_id"]
        tables.refuse_duplicates(
            version, [*key, "scorer_name"], "the back-test of a version of values"
        )
        found = version.filter(pc.equal(version["scorer_name"], MODEL))
        found = found.sort_by([(name, "ascending") for name in key])
        places = {pair: place for place, pair in enumerate(_pairs(found))}
        predicted = {}
        for scorer_name in sorted(set(version["scorer_name"].to_pylist())):
            scored = version.filter(pc.equal(version["scorer_name"], scorer_name))
            amounts = np.full(found.num_rows, np.nan)
            amounts[[places[pair] for pair in _pairs(scored)]] = _amounts(
                scored, "predicted_amount"
            )
            predicted[scorer_name] = amounts
        return cls(
            origin=tables.date_array(found["origin"]),
            customer=np.unique(found["customer_id"].to_numpy(), return_inverse=True)[1],
            actual=_amounts(found, "actual_amount"),
            predicted=predicted,
            lower=_amounts(found, "value_lower"),
            upper=_amounts(found, "value_upper"),
            groups={
                name: np.array(
                    [value or "unknown" for value in found[column].to_pylist()], dtype=object
                )
                for name, column in GROUPS.items()
            },
        )

    def rounds(self, min_customer_count: int) -> Iterator[_Round]:
        """Give what is measured: each origin, all of them, and the groups of all of them."""
        everyone = {"group_name": "all", "group_value": "all"}
        for origin in np.unique(self.origin):
            yield self._round({"origin": str(origin), **everyone}, self.origin == origin)
        yield self._round({"origin": POOLED, **everyone}, np.ones(len(self.origin), dtype=bool))
        for group_name, values in self.groups.items():
            for value in sorted(set(values.tolist())):
                mask = values == value
                if len(np.unique(self.customer[mask])) >= min_customer_count:
                    names = {"origin": POOLED, "group_name": group_name, "group_value": value}
                    yield self._round(names, mask, scorers=(MODEL, COHORT_MEAN))

    def _round(
        self, names: dict[str, str], mask: np.ndarray, scorers: tuple[str, ...] | None = None
    ) -> _Round:
        return _Round(
            names=names,
            customer=np.unique(self.customer[mask], return_inverse=True)[1],
            actual=self.actual[mask],
            predicted={
                name: amounts[mask]
                for name, amounts in self.predicted.items()
                if (scorers is None or name in scorers) and np.isfinite(amounts[mask]).any()
            },
            lower=self.lower[mask],
            upper=self.upper[mask],
        )


@dataclass(frozen=True)
class _Round:
    """The rows of one origin or group with the predictions of some scorers."""

    names: dict[str, str]
    customer: np.ndarray
    actual: np.ndarray
    predicted: dict[str, np.ndarray]
    lower: np.ndarray
    upper: np.ndarray

    def measured(self, key: list[str], draw_count: int) -> list[dict]:
        """Give the metrics with their intervals; the same customers are drawn for each scorer."""
        customer_count = self.customer.max() + 1
        # The seed depends on what is drawn alone, so that other rounds beside it change nothing.
        seed = int(tables.version_hash(*key), 16)
        weights = draw_weights(customer_count, draw_count, np.random.default_rng(seed))
        weights = np.column_stack([np.ones(customer_count), weights])
        width = max(1, CHUNK_SIZE // len(self.actual))
        parts = [
            self._metrics(weights[:, start : start + width])
            for start in range(0, draw_count + 1, width)
        ]
        rows = []
        for scorer_name, metric_name in parts[0]:
            values = np.concatenate([part[scorer_name, metric_name] for part in parts])
            lower, upper = np.nan, np.nan
            if customer_count > 1:
                lower, upper = centred_interval(values[0], values[1:])
                lower, upper = np.clip([lower, upper], *LIMITS.get(metric_name, (-np.inf, np.inf)))
            rows.append(
                {
                    "scorer_name": scorer_name,
                    "metric_name": metric_name,
                    "metric_value": rounded(np.round(values[0], DECIMALS)),
                    "interval_lower": rounded(np.round(lower, DECIMALS)),
                    "interval_upper": rounded(np.round(upper, DECIMALS)),
                }
            )
        for scorer_name, predicted in self.predicted.items():
            known = np.isfinite(predicted)
            counts = {"row_count": known, "buyer_count": known & (self.actual > 0)}
            rows += [
                {
                    "scorer_name": scorer_name,
                    "metric_name": metric_name,
                    "metric_value": float(counted.sum()),
                    "interval_lower": None,
                    "interval_upper": None,
                }
                for metric_name, counted in counts.items()
            ]
        return rows

    def _metrics(self, weights: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        """Give each scorer's metrics under some weightings, and the gains of the model."""
        found: dict[tuple[str, str], np.ndarray] = {}
        everywhere = _Outcomes(self.customer, self.actual, weights)
        model = everywhere.metrics(self.predicted[MODEL], self.lower, self.upper)
        found |= {(MODEL, name): values for name, values in model.items()}
        for scorer_name, predicted in self.predicted.items():
            if scorer_name == MODEL:
                continue
            known = np.isfinite(predicted)
            outcomes, beside = everywhere, model
            if not known.all():
                # A scorer that knew nothing at some origin is compared at the others alone.
                outcomes = _Outcomes(self.customer[known], self.actual[known], weights)
                beside = outcomes.metrics(self.predicted[MODEL][known], None, None)
            metrics = outcomes.metrics(predicted[known], None, None)
            found |= {(scorer_name, name): values for name, values in metrics.items()}
            if scorer_name in BASELINES:
                for name, sign in GAINS.items():
                    gain = sign * (beside[name] - metrics[name])
                    found[MODEL, f"{name}_gain_over_{scorer_name}"] = gain
        return found


_COLUMNS = (
    "model_name",
    "model_version",
    "origin",
    "scorer_name",
    "customer_id",
    "cohort",
    "rfm_segment_code",
    "actual_amount",
    "predicted_amount",
    "value_lower",
    "value_upper",
)


def _pairs(table: pa.Table) -> list[tuple]:
    return list(zip(table["origin"].to_pylist(), table["customer_id"].to_pylist(), strict=True))


def _amounts(table: pa.Table, column: str) -> np.ndarray:
    amounts = tables.feature_matrix(table, [column])[:, 0]
    if not np.isfinite(amounts).all():
        raise ValueError(f"the column {column} of the back-tests of values has NULL or NaN.")
    return amounts
