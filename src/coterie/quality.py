"""How sure the evidence about a model is, for the metrics that have no interval in closed form."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_array

from coterie import tables

logger = logging.getLogger("coterie")

BACKTEST_INTERVAL_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("origin", pa.string()),
        ("scorer_name", pa.string()),
        ("metric_name", pa.string()),
        ("metric_value", pa.float64()),
        ("interval_lower", pa.float64()),
        ("interval_upper", pa.float64()),
        ("draw_count", pa.int64()),
    ]
)

METRICS = ("top_decile_lift", "calibration_error", "excess_calibration_error")
NOT_NEGATIVE = {"top_decile_lift", "calibration_error"}
POOLED = "pooled"
BIN_COUNT = 10
DRAW_COUNT = 200
LEVEL = 0.95


def bootstrap_intervals(
    backtests: pa.Table,
    stored: pa.Table | None,
    *,
    is_empty: bool = False,
    draw_count: int = DRAW_COUNT,
) -> pa.Table:
    """Give the intervals of lift and calibration error of each version that has none yet.

    Customers are drawn with replacement (Davison & Hinkley 1997, section 3.8: all rows of a drawn
    customer come along, as rows of one customer are no independent evidence), each metric is
    computed anew in each draw, and the 2.5th and 97.5th percentile are shifted by what the mean of
    the draws lies away from the metric itself. Without the shift the interval of a calibration
    error could lie wholly above it: a draw repeats rows, and repeated rows look worse calibrated.

    Parameters
    ----------
    backtests : pa.Table
        Columns model_name, model_version, origin (date), scorer_name, customer_id, outcome (0 or
        1) and probability; one row for each customer at an origin and scorer.
    stored : pa.Table or None
        Column model_version of the versions that have their intervals; None for none.
    is_empty : bool
        True adds nothing.
    draw_count : int
        Number of draws, at least 2.

    Returns
    -------
    pa.Table
        `BACKTEST_INTERVAL_SCHEMA`: one row for each version, origin (an ISO date, or ``pooled``
        for all of them), scorer and metric (`METRICS`), sorted by these. A metric that is not
        defined on its rows is NULL; the interval is NULL too where it is, or where there are
        fewer than two customers.

    Raises
    ------
    ValueError
        If a column is missing, an outcome is not 0 or 1, or `draw_count` is below 2.
    """
    if draw_count < 2:
        raise ValueError(f"draw_count is {draw_count}; an interval needs at least 2 draws.")
    empty = BACKTEST_INTERVAL_SCHEMA.empty_table()
    if is_empty or not backtests.num_rows:
        return empty
    names = ["model_name", "model_version", "origin", "scorer_name", "customer_id"]
    tables.require_columns(backtests, [*names, "outcome", "probability"], "the back-tests")
    done = set(stored["model_version"].to_pylist()) if stored is not None else set()
    found = set(backtests["model_version"].to_pylist()) - done

    rows: list[dict] = []
    for model_version in sorted(found):
        version = backtests.filter(pc.equal(backtests["model_version"], model_version))
        days = version["origin"].cast(pa.date32())
        for origin in [*sorted(set(days.to_pylist())), POOLED]:
            tested = version if origin == POOLED else version.filter(pc.equal(days, origin))
            key = {
                "model_name": version["model_name"][0].as_py(),
                "model_version": model_version,
                "origin": str(origin),
            }
            rows += [key | row for row in _round_intervals(tested, key, draw_count)]
        logger.info("%s: %d draws of customers for the intervals", model_version, draw_count)
    key = ["model_name", "model_version", "origin", "scorer_name", "metric_name"]
    rows.sort(key=lambda row: [row[name] for name in key])
    columns = {name: [row[name] for row in rows] for name in BACKTEST_INTERVAL_SCHEMA.names}
    return pa.table(columns, schema=BACKTEST_INTERVAL_SCHEMA)


def _round_intervals(tested: pa.Table, key: dict[str, str], draw_count: int) -> list[dict]:
    """Give the intervals of one round; the same customers are drawn for each scorer."""
    customers = pc.unique(tested["customer_id"].cast(pa.string()))
    customers = customers.take(pc.array_sort_indices(customers))
    # The seed depends on what is drawn alone, so that other versions beside it change nothing.
    seed = int(tables.version_hash(key["model_version"], key["origin"]), 16)
    weights = draw_weights(len(customers), draw_count, np.random.default_rng(seed))

    rows = []
    for scorer_name in sorted(set(tested["scorer_name"].to_pylist())):
        scored = tested.filter(pc.equal(tested["scorer_name"], scorer_name))
        customer = pc.index_in(scored["customer_id"].cast(pa.string()), customers).to_numpy()
        outcome = tables.feature_matrix(scored, ["outcome"])[:, 0]
        probability = tables.feature_matrix(scored, ["probability"])[:, 0]
        values = weighted_metrics(customer, outcome, probability, np.ones((len(customers), 1)))
        draws = weighted_metrics(customer, outcome, probability, weights)
        for metric_name in METRICS:
            value = values[metric_name][0]
            lower, upper = np.nan, np.nan
            if len(customers) > 1:
                lower, upper = centred_interval(value, draws[metric_name])
            if metric_name in NOT_NEGATIVE:
                lower = np.maximum(lower, 0.0)
            rows.append(
                {
                    "scorer_name": scorer_name,
                    "metric_name": metric_name,
                    "metric_value": rounded(value),
                    "interval_lower": rounded(lower),
                    "interval_upper": rounded(upper),
                    "draw_count": draw_count,
                }
            )
    return rows


def draw_weights(count: int, draw_count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw customers with replacement, as many as there are.

    Returns
    -------
    ndarray of float64, shape (count, draw_count)
        How often each customer is drawn; each column sums to `count`.
    """
    drawn = generator.integers(count, size=(draw_count, count))
    drawn += count * np.arange(draw_count)[:, np.newaxis]
    counts = np.bincount(drawn.ravel(), minlength=count * draw_count)
    return np.ascontiguousarray(counts.reshape(draw_count, count).T, dtype=np.float64)


def weighted_metrics(
    customer: np.ndarray, outcome: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute lift and calibration error under several weightings of the customers at once.

    A weight of 2 counts as the customer's rows twice over. Equal probabilities are never split:
    they share a bin, and are all in the top tenth or none of them is. The definitions are those of
    the SQL models int_coterie__backtest_ranks and int_coterie__backtest_metrics.

    Parameters
    ----------
    customer : ndarray of int, shape (n,)
        The row of `weights` that each row belongs to.
    outcome : ndarray of 0/1, shape (n,)
    probability : ndarray of float64, shape (n,)
    weights : ndarray of float64, shape (customers, d)
        Whole numbers from 0 on.

    Returns
    -------
    dict of str to ndarray of float64, shape (d,)
        ``top_decile_lift``: the rate among the tenth with the highest probabilities over the rate
        of all; NaN without an outcome. ``calibration_error``: the mean over all rows of the
        absolute difference of predicted and observed rate of their bin, over ten bins of equal
        mass. ``excess_calibration_error``: the same less what is expected of right probabilities
        (the mean absolute deviation of a normal variable).

    Raises
    ------
    ValueError
        If an outcome is not 0 or 1.
    """
    if not np.isin(outcome, [0, 1]).all():
        raise ValueError("the column outcome holds other values than 0 and 1.")
    levels, level = np.unique(probability, return_inverse=True)
    shape = (len(levels), len(weights))
    # What each level of probability weighs, rows and outcomes apart; shape (levels, d).
    row_count = csr_array((np.ones(len(level)), (level, customer)), shape=shape) @ weights
    positive_count = csr_array((outcome, (level, customer)), shape=shape) @ weights
    levels = levels[:, np.newaxis]

    up_to = np.cumsum(row_count, axis=0)
    total = up_to[-1]
    below = up_to - row_count
    # The first level of each bin, and one behind the last.
    starts = np.array(
        [(BIN_COUNT * below < number * total).sum(axis=0) for number in range(BIN_COUNT)]
        + [np.full(len(total), len(levels))]
    )
    errors = np.diff(_sums_before(starts, levels * row_count - positive_count), axis=0)
    variances = np.diff(_sums_before(starts, levels * (1 - levels) * row_count), axis=0)
    chance_errors = np.sqrt(2 / np.pi * np.maximum(variances, 0))

    above = total - up_to
    top = (above >= np.ceil(total / 10)).sum(axis=0)[np.newaxis, :]
    positives = positive_count.sum(axis=0)
    top_rows = total - _sums_before(top, row_count)[0]
    top_positives = positives - _sums_before(top, positive_count)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "top_decile_lift": (top_positives / top_rows) / (positives / total),
            "calibration_error": np.abs(errors).sum(axis=0) / total,
            "excess_calibration_error": (np.abs(errors) - chance_errors).sum(axis=0) / total,
        }


def _sums_before(positions: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum each column of `values`, shape (n, d), before the row numbers, shape (p, d)."""
    sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    return np.take_along_axis(sums, positions, axis=0)


def centred_interval(value: float, draws: np.ndarray) -> tuple[float, float]:
    """Give the percentile interval of the draws, centred on the metric; NaN where there is none."""
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(draws) < 2:
        return np.nan, np.nan
    lower, upper = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    shift = value - draws.mean()
    # A few large draws can pull the mean beyond a percentile; the metric itself stays inside.
    return min(lower + shift, value), max(upper + shift, value)


def rounded(value: float) -> float | None:
    """Round a metric to significant digits; None where it is not defined."""
    return float(tables.round_significant(value)) if np.isfinite(value) else None
