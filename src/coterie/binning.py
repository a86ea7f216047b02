"""Cut numeric features once into integer bins.

A bin of a value is ``1 + the number of edges below it``; bin 0 is the missing value. The bins are
fitted once for all models, stored as a table, and serve learning, scoring and drift alike.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import (
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from coterie import tables

FEATURE_BINS_SCHEMA = pa.schema(
    [
        ("bin_set_id", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("settings_hash", pa.string()),
        ("training_row_count", pa.int64()),
        ("feature", pa.string()),
        ("bin", pa.int64()),
        ("upper_edge", pa.float64()),
        ("training_share", pa.float64()),
        ("lowest_value", pa.float64()),
        ("highest_value", pa.float64()),
    ]
)

# Bin 0 and the bins of the values have to fit the 255 values that the boosting library takes.
MAX_BINS = 254


class FeatureBinner(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Cut each feature at its quantiles into integer bins; missing values get bin 0.

    A feature with at most `n_bins` distinct values gets one bin for each. Otherwise values that
    fill a bin by themselves (the zeros of a sparse count) get their own bin, and the bins that
    are left share the other rows evenly, as in the bin finder of LightGBM (Ke et al. 2017).
    Edges lie between two neighbouring values of the training data, so ``value > edge`` never
    depends on the last digit of a value.

    Parameters
    ----------
    n_bins : int, default=32
        Most bins of a feature, beside bin 0; between 2 and 254.

    Attributes
    ----------
    bin_edges_ : list of ndarray of float64, one for each feature
        Strictly increasing and finite, at most ``n_bins - 1`` edges, 12 significant digits.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X is a DataFrame.
    """

    def __init__(self, n_bins: int = 32):
        self.n_bins = n_bins

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> FeatureBinner:
        """Find the edges of each feature.

        Parameters
        ----------
        X : array-like of float, shape (n, f)
            NaN is missing. Infinities are allowed and fall into the outer bins.
        y : ignored
        sample_weight : array-like of float, shape (n,), optional
            Not negative. A row of weight 2 counts as two rows, one of weight 0 as none.

        Raises
        ------
        ValueError
            If `n_bins` is not between 2 and 254, X is not a numeric matrix, or a weight is
            negative or not finite, or all are 0.
        """
        if not 2 <= self.n_bins <= MAX_BINS:
            raise ValueError(f"n_bins is {self.n_bins}; choose a number from 2 to {MAX_BINS}.")
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite=False)
        weight = None if sample_weight is None else checked_weights(sample_weight, len(X))
        self.bin_edges_ = [quantile_edges(column, int(self.n_bins), weight) for column in X.T]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Give the bin of each value.

        Parameters
        ----------
        X : array-like of float, shape (n, f)
            NaN and infinities are allowed.

        Returns
        -------
        ndarray of int64, shape (n, f)
            0 where the value is NaN, else 1 + the number of edges below the value.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        return bin_values(X, self.bin_edges_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def checked_weights(sample_weight: Any, row_count: int) -> np.ndarray:
    """Give the weights of rows as floats; ones where there are none.

    Raises
    ------
    ValueError
        If their number is not that of the rows, one is negative or not finite, or all are 0.
    """
    if sample_weight is None:
        return np.ones(row_count)
    weight = column_or_1d(sample_weight, dtype=np.float64)
    if len(weight) != row_count:
        raise ValueError(
            f"sample_weight has {len(weight)} numbers for {row_count} rows; give one for each row."
        )
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("sample_weight holds negative or infinite numbers; give weights >= 0.")
    if not weight.any():
        raise ValueError("sample_weight is zero for all rows; give some rows a weight above 0.")
    return weight


def bin_values(X: np.ndarray, bin_edges: Sequence[np.ndarray]) -> np.ndarray:
    """Give the bin of each value: 0 for NaN, else 1 + the number of edges below it.

    Parameters
    ----------
    X : ndarray of float64, shape (n, f)
    bin_edges : sequence of f increasing ndarrays

    Returns
    -------
    ndarray of int64, shape (n, f)
    """
    bins = np.empty(X.shape, dtype=np.int64)
    for position, edges in enumerate(bin_edges):
        column = X[:, position]
        bins[:, position] = 1 + np.searchsorted(edges, column, side="left")
        bins[np.isnan(column), position] = 0
    return bins


def quantile_edges(values: np.ndarray, n_bins: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Find the edges that cut values into at most `n_bins` bins of similar size.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        NaN and infinities do not count.
    n_bins : int
    weight : ndarray of float64, shape (n,), optional
        How many rows a value counts for; by default one.

    Returns
    -------
    ndarray of float64, shape (at most n_bins - 1,)
        Strictly increasing.
    """
    if weight is None:
        # To sort values takes a tenth of the time of sorting their places.
        distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
        counts = counts.astype(np.float64)
    else:
        counted = np.isfinite(values) & (weight > 0)
        distinct, places = np.unique(values[counted], return_inverse=True)
        counts = np.bincount(places, weights=weight[counted], minlength=len(distinct))
    fits = len(distinct) <= n_bins
    starts = np.arange(1, len(distinct)) if fits else _bin_starts(counts, n_bins)
    below, above = distinct[starts - 1], distinct[starts]
    edges = tables.round_significant(below / 2 + above / 2)
    # Two values that agree in 12 digits are one value: no edge tells them apart.
    differ = tables.round_significant(below) < tables.round_significant(above)
    return edges[differ & (below <= edges) & (edges < above)]


def _bin_starts(counts: np.ndarray, n_bins: int) -> np.ndarray:
    """Choose where new bins start among sorted distinct values with these counts."""
    heavy = _heavy_values(counts, n_bins)
    heavy_positions = np.flatnonzero(heavy)
    reached = np.cumsum(counts)  # rows up to and with each value
    light_left = counts[~heavy].sum()
    heavy_left = len(heavy_positions)
    starts: list[int] = []
    start = 0
    for bins_left in range(n_bins, 1, -1):
        before = reached[start - 1] if start else 0
        if heavy[start]:
            stop = start + 1
            heavy_left -= 1
        else:
            following = np.searchsorted(heavy_positions, start)
            limit = heavy_positions[following] if heavy_left else len(counts)
            target = before + light_left / max(1, bins_left - heavy_left)
            stop = min(int(np.searchsorted(reached, target)) + 1, len(counts))
            if stop - 1 > start and target - reached[stop - 2] <= reached[stop - 1] - target:
                stop -= 1
            stop = int(min(stop, limit))
            light_left -= reached[stop - 1] - before
        if stop >= len(counts):
            break
        starts.append(stop)
        start = stop
    return np.array(starts, dtype=np.int64)


def _heavy_values(counts: np.ndarray, n_bins: int) -> np.ndarray:
    """Mark the values with at least the rows of a mean bin, once heavier ones have their own."""
    heavy = np.zeros(len(counts), dtype=bool)
    while True:
        light = counts[~heavy]
        found = ~heavy & (counts * (n_bins - heavy.sum()) >= light.sum())
        if not found.any() or n_bins - heavy.sum() - found.sum() < 1:
            return heavy
        heavy |= found


def fit_feature_bins(
    training_rows: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit a bin set where one is due.

    A bin set is due when none with this settings hash is stored, when the newest is at least
    ``refit_interval_days`` old, or when there are now at least twice the rows it was fitted on.
    As of a date before the newest stored set nothing is due.

    Parameters
    ----------
    training_rows : pa.Table
        Columns as_of_date, customer_id and each feature (any numeric type, NULL is missing).
        Rows that share as_of_date and customer_id count once.
    stored : pa.Table or None
        The bin sets fitted so far, with the columns of the result; None for none.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        features (list of str), settings_hash, refit_interval_days, and optionally n_bins (32),
        code_version and is_empty ("True" fits nothing).

    Returns
    -------
    pa.Table
        `FEATURE_BINS_SCHEMA`: one row for each feature and bin from 0 to its number of bins.
        upper_edge is NULL for bin 0 and +inf for the last bin; training_share sums to 1 for each
        feature. No rows where nothing is due.

    Raises
    ------
    ValueError
        If a column or a setting is missing, or a feature is not numeric.
    """
    empty = FEATURE_BINS_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    features = tables.read_setting(settings, "features", list)
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    n_bins = tables.read_setting(settings, "n_bins", int, 32)
    row_count = _distinct_row_count(training_rows, features)
    if not _bins_are_due(stored, as_of_date, settings_hash, row_count, settings):
        return empty

    rows = _distinct_rows(training_rows, features)
    matrix = tables.feature_matrix(rows, features)
    binner = FeatureBinner(n_bins=n_bins).fit(matrix)
    bins = bin_values(matrix, binner.bin_edges_)
    bin_set_id = tables.version_hash(
        tables.read_setting(settings, "code_version", str, ""),
        settings_hash,
        as_of_date,
        tables.fingerprint(rows, ["as_of_date", "customer_id", *features]),
    )
    names = ["feature", "bin", "upper_edge", "training_share", "lowest_value", "highest_value"]
    columns: dict[str, list] = {name: [] for name in names}
    for position, feature in enumerate(features):
        edges = binner.bin_edges_[position].tolist()
        shares = np.bincount(bins[:, position], minlength=len(edges) + 2) / len(bins)
        columns["feature"] += [feature] * len(shares)
        columns["bin"] += range(len(shares))
        columns["upper_edge"] += [None, *edges, np.inf]
        columns["training_share"] += tables.round_significant(shares).tolist()
        values = matrix[:, position][~np.isnan(matrix[:, position])]
        limits = [values.min(), values.max()] if len(values) else [None, None]
        columns["lowest_value"] += [limits[0]] * len(shares)
        columns["highest_value"] += [limits[1]] * len(shares)
    row_count = len(columns["bin"])
    return pa.table(
        {
            "bin_set_id": [bin_set_id] * row_count,
            "fitted_as_of": [as_of_date] * row_count,
            "settings_hash": [settings_hash] * row_count,
            "training_row_count": [rows.num_rows] * row_count,
            **columns,
        },
        schema=FEATURE_BINS_SCHEMA,
    )


def newest_bin_set(
    feature_bins: pa.Table, *, settings_hash: str, as_of_date: datetime.date
) -> pa.Table | None:
    """Find the newest bin set of these settings that was fitted by a date.

    Of several sets of the newest date the one with the most training rows is the newest, as a set
    is fitted again on its date only when the rows have doubled.

    Returns
    -------
    pa.Table or None
        The rows of one bin_set_id, or None where there is none.
    """
    rows = tables.matching_rows(feature_bins, settings_hash=settings_hash)
    if rows is None:
        return None
    fitted = rows["fitted_as_of"].cast(pa.date32())
    rows = rows.filter(pc.less_equal(fitted, pa.scalar(as_of_date, pa.date32())))
    if not rows.num_rows:
        return None
    newest = rows.sort_by(
        [
            ("fitted_as_of", "descending"),
            ("training_row_count", "descending"),
            ("bin_set_id", "ascending"),
        ]
    )["bin_set_id"][0]
    return rows.filter(pc.equal(rows["bin_set_id"], newest))


def bin_set_edges(bin_set: pa.Table, features: Sequence[str]) -> list[np.ndarray]:
    """Read the edges of features from the rows of one bin set.

    Parameters
    ----------
    bin_set : pa.Table
        Columns feature, bin, upper_edge, in any row order.
    features : sequence of str, length f

    Returns
    -------
    list of f ndarrays of float64
        Without the NULL of bin 0 and the +inf of the last bin.

    Raises
    ------
    ValueError
        If a feature is missing, or its bins do not run from 0 to the last without a gap.
    """
    edges = []
    for feature in features:
        rows = bin_set.filter(pc.equal(bin_set["feature"], feature)).sort_by("bin")
        bins = rows["bin"].to_pylist()
        if bins != list(range(len(bins))) or len(bins) < 2:
            raise ValueError(
                f"the bins of feature {feature} are {bins}, and there has to be one row for each "
                "bin from 0 (missing) to the last; fit the bins again with this feature list."
            )
        edges.append(np.array(rows["upper_edge"].to_pylist()[1:-1], dtype=np.float64))
    return edges


def _distinct_row_count(training_rows: pa.Table, features: Sequence[str]) -> int:
    """Count the rows of `_distinct_rows`, without sorting any."""
    key = ["as_of_date", "customer_id"]
    tables.require_columns(training_rows, [*key, *features], "the training rows")
    rows = training_rows.select(key)
    rows = rows.set_column(0, "as_of_date", rows["as_of_date"].cast(pa.date32()))
    return rows.group_by(key).aggregate([]).num_rows


def _distinct_rows(training_rows: pa.Table, features: Sequence[str]) -> pa.Table:
    """Keep one row of each date and customer, sorted by them."""
    key = ["as_of_date", "customer_id"]
    rows = training_rows.select([*key, *features])
    rows = rows.set_column(0, "as_of_date", rows["as_of_date"].cast(pa.date32()))
    rows = rows.set_column(1, "customer_id", rows["customer_id"].cast(pa.string()))
    # The features join the sort so that the choice among unequal duplicates has one answer.
    rows = rows.sort_by([(name, "ascending") for name in rows.column_names])
    dates = tables.date_array(rows["as_of_date"])
    customers = rows["customer_id"].to_numpy()
    is_first = np.ones(rows.num_rows, dtype=bool)
    is_first[1:] = (dates[1:] != dates[:-1]) | (customers[1:] != customers[:-1])
    return rows.filter(pa.array(is_first))


def _bins_are_due(
    stored: pa.Table | None,
    as_of_date: datetime.date,
    settings_hash: str,
    row_count: int,
    settings: Mapping[str, Any],
) -> bool:
    newest = tables.newest_fit(stored, settings_hash=settings_hash)
    if newest is None:
        return True
    if as_of_date < newest:
        return False
    bin_set = newest_bin_set(stored, settings_hash=settings_hash, as_of_date=newest)
    return row_count >= 2 * bin_set["training_row_count"][0].as_py() or tables.fit_is_due(
        stored,
        as_of_date=as_of_date,
        settings_hash=settings_hash,
        refit_interval_days=tables.read_setting(settings, "refit_interval_days", int),
    )
