"""How good a segmentation is: stability, separation, sizes, and what it tells about revenue."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import adjusted_rand_score, silhouette_score

from coterie import tables
from coterie.segmentation.clusters import Clusters, bounded_rows, repeated_rows
from coterie.segmentation.definitions import (
    SegmentDefinitions,
    new_versions,
    read_customers,
    stored_definitions,
)
from coterie.segmentation.segmenter import CustomerSegmenter, distinct_rows, refitted_on
from coterie.threads import one_thread

SEGMENTATION_QUALITY_SCHEMA = pa.schema(
    [
        ("segmentation_name", pa.string()),
        ("segmentation_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("settings_hash", pa.string()),
        ("metric_name", pa.string()),
        ("metric_value", pa.float64()),
        ("interval_lower", pa.float64()),
        ("interval_upper", pa.float64()),
        ("row_count", pa.int64()),
    ]
)

# A segmentation is stable from this adjusted Rand index on, and with no smaller segment.
MIN_STABILITY = 0.85
MIN_SHARE = 0.02

REFIT_COUNT = 20
# Rows that a refit reads, and that a silhouette compares with each other.
REFIT_ROWS = 5_000
SILHOUETTE_ROWS = 2_000
# Draws of customers for the interval of the explained share, and the fewest customers for it.
DRAW_COUNT = 200
MIN_OUTCOME_ROWS = 50
INTERVAL = (0.025, 0.975)


def bootstrap_agreement(
    segmenter: CustomerSegmenter,
    coded: np.ndarray,
    *,
    start: Clusters | None = None,
    refit_count: int = REFIT_COUNT,
) -> np.ndarray:
    """Refit on resampled customers, and compare the segments (Hennig 2007).

    Each refit draws as many customers as there are, with replacement, fits as many segments, and
    assigns all customers.

    Parameters
    ----------
    segmenter : CustomerSegmenter
        Fitted.
    coded : ndarray of float64, shape (n, f)
        Raw values, categories by the positions of their levels, as from `CustomerSegmenter.code`.
        More than 5,000 customers are thinned out evenly.
    start : Clusters, optional
        Those that `segmenter` goes on from, if it does: then refits go on from them, too. Without
        them, each refit finds scaling and centers from nothing.
    refit_count : int

    Returns
    -------
    ndarray of float64, shape (refit_count,)
        Adjusted Rand index between the segments of `segmenter` and those of each refit.
    """
    rows, counts = distinct_rows(coded)
    total = min(int(counts.sum()), REFIT_ROWS)
    rows, counts = bounded_rows(rows, counts, REFIT_ROWS)
    customers = repeated_rows(np.arange(len(rows)), counts, REFIT_ROWS)
    labels = segmenter.assign(rows)[customers]
    agreement = []
    with one_thread():
        for number in range(refit_count):
            rng = np.random.default_rng([11, number])
            drawn = rng.multinomial(total, counts / counts.sum())
            other = refitted_on(segmenter, rows, drawn, start).assign(rows)[customers]
            agreement.append(adjusted_rand_score(labels, other))
    return tables.round_significant(agreement)


def explained_share(labels: np.ndarray, values: np.ndarray) -> float:
    """Give the share of the variance of values between groups (eta squared).

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
    values : ndarray of float64, shape (n,)

    Returns
    -------
    float
        0 to 1; NaN where the values are all alike.
    """
    return float(_explained(labels, values, np.ones((1, len(values))))[0])


def _explained(labels: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Give the explained share for each row of `counts`, shape (draws, n)."""
    _, groups = np.unique(labels, return_inverse=True)
    indicator = np.eye(groups.max() + 1)[groups]
    sizes, sums = counts @ indicator, (counts * values) @ indicator
    total, mean = counts.sum(axis=1), (counts @ values) / counts.sum(axis=1)
    variance = (counts @ values**2) / total - mean**2
    between = (sums**2 / np.maximum(sizes, 1)).sum(axis=1) / total - mean**2
    is_varied = variance > 1e-12 * (1 + mean**2)
    return np.where(is_varied, np.clip(between / np.where(is_varied, variance, 1), 0, 1), np.nan)


def silhouette(columns: np.ndarray, labels: np.ndarray) -> tuple[float | None, int]:
    """Give the mean silhouette (Rousseeuw 1987) of at most 2,000 rows, and their number.

    Parameters
    ----------
    columns : ndarray of float64, shape (n, p)
        Weighted columns, in an order that does not depend on that of the input.
    labels : ndarray of int, shape (n,)
    """
    order = np.lexsort([labels, *columns.T[::-1]])
    step = repeated_rows(order, np.ones(len(order)), SILHOUETTE_ROWS)
    columns, labels = columns[step], labels[step]
    if not 2 <= len(np.unique(labels)) < len(labels):
        return None, len(labels)
    with one_thread():
        return float(tables.round_significant(silhouette_score(columns, labels), 9)), len(labels)


def segmentation_quality(
    centers: pa.Table,
    sample: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
    outcomes: pa.Table | None = None,
) -> pa.Table:
    """Measure the newest version of each segmentation, once.

    Parameters
    ----------
    centers : pa.Table
        All stored versions, `SEGMENTS_SCHEMA`.
    sample : pa.Table
        Columns customer_id and the features of all segmentations.
    stored : pa.Table or None
        Column segmentation_version of what was measured before.
    as_of_date : date or None
    settings : mapping
        As for `fit_segments`.
    outcomes : pa.Table, optional
        Customers as of a past date: customer_id, the features, and next_amount_90d, the revenue of
        the 90 days from then on. A segmentation whose features it lacks has no explained share.

    Returns
    -------
    pa.Table
        `SEGMENTATION_QUALITY_SCHEMA`, one row per version and metric: bootstrap_ari (mean over 20
        refits that start as the version did, from nothing or from the version before, with the
        2.5th and 97.5th percentile of the refits), fresh_bootstrap_ari (the same where every refit
        starts from nothing, at any version), silhouette, smallest_share,
        n_clusters, share_explained (of the variance of log(1 + next_amount_90d), with percentiles
        of 200 draws of customers) and continuation_share (of the customers who keep their code
        when the version before is followed by this one). NULL where a metric does not exist.
    """
    empty = SEGMENTATION_QUALITY_SCHEMA.empty_table()
    if as_of_date is None or tables.is_true(settings.get("is_empty", False)):
        return empty
    if sample.num_rows == 0:
        return empty
    found = []
    for name, own, definitions in new_versions(
        centers, stored, as_of_date=as_of_date, settings=settings
    ):
        rows = _measure(definitions, centers, sample, own, outcomes)
        found += [
            {
                "segmentation_name": name,
                "segmentation_version": definitions.version,
                "fitted_as_of": definitions.fitted_as_of,
                "settings_hash": definitions.settings_hash,
                **row,
            }
            for row in rows
        ]
    return pa.Table.from_pylist(found, schema=SEGMENTATION_QUALITY_SCHEMA) if found else empty


def _measure(
    definitions: SegmentDefinitions,
    centers: pa.Table,
    sample: pa.Table,
    settings: Mapping[str, Any],
    outcomes: pa.Table | None,
) -> list[dict[str, Any]]:
    customers, _, X = read_customers(sample, definitions.features, "the sample of customers")
    labels = definitions.assign(customers)
    segmenter = definitions.segmenter(settings)
    coded = segmenter.code(X)
    fresh = agreement = bootstrap_agreement(segmenter, coded)
    if definitions.is_continuation:
        before = stored_definitions(centers, definitions.previous_version)
        start = before.segmenter(settings).clusters_
        agreement = bootstrap_agreement(segmenter, coded, start=start)
    sizes = np.bincount(labels[labels >= 0], minlength=len(definitions.codes))
    separation, compared = silhouette(definitions.columns(customers), labels)
    before = stored_definitions(centers, definitions.previous_version)
    kept = None
    if before is not None and set(before.features) <= set(sample.column_names):
        earlier, _, _ = read_customers(sample, before.features, "the sample of customers")
        kept = float((codes_of(before, earlier) == codes_of(definitions, customers)).mean())
    explained, lower, upper, outcome_count = _explained_by(definitions, outcomes)
    count = len(labels)
    return [
        _metric("bootstrap_ari", agreement.mean(), count, *np.quantile(agreement, INTERVAL)),
        _metric("fresh_bootstrap_ari", fresh.mean(), count, *np.quantile(fresh, INTERVAL)),
        _metric("silhouette", separation, compared),
        _metric("smallest_share", sizes.min() / count, count),
        _metric("n_clusters", len(definitions.codes), count),
        _metric("share_explained", explained, outcome_count, lower, upper),
        _metric("continuation_share", kept, count),
    ]


def codes_of(definitions: SegmentDefinitions, customers: pa.Table) -> np.ndarray:
    """Give the code of each customer, None for those who are in no segment; shape (n,)."""
    return np.array([*definitions.codes, None], dtype=object)[definitions.assign(customers)]


def _explained_by(
    definitions: SegmentDefinitions, outcomes: pa.Table | None
) -> tuple[float | None, float | None, float | None, int]:
    if outcomes is None or outcomes.num_rows == 0:
        return None, None, None, 0
    if not {*definitions.features, "next_amount_90d"} <= set(outcomes.column_names):
        return None, None, None, 0
    outcomes = outcomes.filter(pc.is_valid(outcomes["next_amount_90d"]))
    if outcomes.num_rows < MIN_OUTCOME_ROWS:
        return None, None, None, outcomes.num_rows
    outcomes = outcomes.sort_by("customer_id")
    customers, _, _ = read_customers(outcomes, definitions.features, "the table of outcomes")
    amounts = tables.feature_matrix(outcomes, ["next_amount_90d"])[:, 0]
    values, labels = np.log1p(np.maximum(amounts, 0)), definitions.assign(customers)
    share = explained_share(labels, values)
    if not np.isfinite(share):
        return None, None, None, len(values)
    rng = np.random.default_rng(13)
    drawn = np.array(
        [
            _explained(
                labels,
                values,
                np.bincount(rng.integers(0, len(values), len(values)), minlength=len(values))[
                    np.newaxis
                ],
            )[0]
            for _ in range(DRAW_COUNT)
        ]
    )
    lower, upper = np.nanquantile(drawn, INTERVAL)
    return share, float(min(lower, share)), float(max(upper, share)), len(values)


def _metric(
    name: str,
    value: float | None,
    row_count: int,
    lower: float | None = None,
    upper: float | None = None,
) -> dict[str, Any]:
    def rounded(number: float | None) -> float | None:
        return None if number is None else float(tables.round_significant(number, 9))

    return {
        "metric_name": name,
        "metric_value": rounded(value),
        "interval_lower": rounded(lower),
        "interval_upper": rounded(upper),
        "row_count": int(row_count),
    }
