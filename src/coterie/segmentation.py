"""Group customers into a few segments; the fitted form is one table of centers.

k-means (Lloyd 1982) on log-transformed, scaled and clipped features. The number of segments is
the elbow of the inertia curve (Satopaa et al. 2011). Segments are ordered by their centers, so
that the same data gives the same codes whatever the order of the rows or the seed.
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from coterie import tables

logger = logging.getLogger("coterie")

SEGMENTS_SCHEMA = pa.schema(
    [
        ("segmentation_name", pa.string()),
        ("segmentation_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("settings_hash", pa.string()),
        ("training_row_count", pa.int64()),
        ("segment_code", pa.string()),
        ("segment_name", pa.string()),
        ("description", pa.string()),
        ("training_customer_count", pa.int64()),
        ("training_share", pa.float64()),
        ("radius", pa.float64()),
        ("feature", pa.string()),
        ("center", pa.float64()),
        ("location", pa.float64()),
        ("scale", pa.float64()),
        ("clip", pa.float64()),
        ("typical_value", pa.float64()),
    ]
)

# The inertia curve of the elbow runs over these numbers of clusters.
ELBOW_CLUSTERS = (2, 10)
# The interquartile range of a normal distribution in standard deviations.
NORMAL_IQR = 1.349
# Share of the inertia by which a random start has to be better than the splits.
SAME_INERTIA = 1e-3
# Distance of a center from the mean of the centers, in scaled units, that gives a name.
NOTABLE_DISTANCE = 0.25

ROLE_PREFIXES = {
    "recency": "days_since_last_order",
    "frequency": "order_count",
    "monetary": "net_amount",
}
# Shares of all customers below the typical value of a segment, for the words of its name.
RECENT_STANDING = 0.4
LATE_STANDING = 0.5
REGULAR_STANDING = 0.65
HIGH_SPEND_STANDING = 0.85


class CustomerSegmenter(
    ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator
):
    """k-means on features that are log-transformed, scaled and clipped.

    Each value x becomes ``clip((sign(x) log(1 + |x|) - location) / scale)``. Equal rows count as
    one row with a weight. Every number of clusters starts from the clusters of the number before,
    each of them split in turn, and from `n_init` k-means++ draws (Arthur & Vassilvitskii 2007);
    the least inertia wins, a draw only where it is lower by one in a thousand.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
        "auto" takes the elbow: the largest distance of the inertia curve below its chord over
        2 to 10 clusters, kept within `min_clusters` and `max_clusters`.
    min_clusters, max_clusters : int, default=4 and 6
        Bounds for "auto".
    scaling : {"robust", "standard"}, default="robust"
        Median and interquartile range, or mean and standard deviation. Where the interquartile
        range is 0, 1.349 standard deviations take its place; a constant feature has scale 1.
    clip : float, default=3.0
        Largest absolute scaled value.
    n_init : int, default=10
        k-means++ draws beside the splits.
    random_state : int or None, default=0
        Seed of these draws.

    Attributes
    ----------
    cluster_centers_ : ndarray of float64, shape (n_clusters_, f)
        Scaled values, ordered by the last feature, highest first, then by the others.
    location_, scale_ : ndarray of float64, shape (f,)
        Log-transformed values.
    n_clusters_ : int
        Fewer than asked for where there are fewer distinct rows.
    labels_ : ndarray of int64, shape (n,)
    inertia_ : float
        Sum of squared distances of the training rows to their centers.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X is a DataFrame.
    """

    def __init__(
        self,
        n_clusters: int | str = "auto",
        min_clusters: int = 4,
        max_clusters: int = 6,
        scaling: str = "robust",
        clip: float = 3.0,
        n_init: int = 10,
        random_state: int | None = 0,
    ):
        self.n_clusters = n_clusters
        self.min_clusters = min_clusters
        self.max_clusters = max_clusters
        self.scaling = scaling
        self.clip = clip
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> CustomerSegmenter:
        """Find the segments.

        Parameters
        ----------
        X : array-like of float, shape (n, f)
            Raw values, none missing.
        y : ignored

        Raises
        ------
        ValueError
            If a parameter is out of range, or X has missing or infinite values.
        """
        self._check_parameters()
        X = validate_data(self, X, dtype=np.float64)
        rows, counts = np.unique(X + 0.0, axis=0, return_counts=True)
        counts //= np.gcd.reduce(counts)  # data repeated as a whole is the same data
        self.location_, self.scale_ = _location_and_scale(rows, counts, self.scaling)
        # Rows closer than k-means can tell apart in double precision are one row.
        scaled = np.round(self._scaled(rows), 7) + 0.0
        scaled, members = np.unique(scaled, axis=0, return_inverse=True)
        weight = np.bincount(members.ravel(), weights=counts)
        with threadpool_limits(1):
            centers = self._centers(scaled, weight)
        # Highest value of the last feature first, then of the first, the second, ...
        order = np.lexsort([*-centers.T[-2::-1], -centers.T[-1]])
        self.cluster_centers_ = tables.round_significant(centers[order])
        used = np.unique(self._distances(X).argmin(axis=1))
        self.cluster_centers_ = self.cluster_centers_[used]
        self.n_clusters_ = len(used)
        distances = self._distances(X)
        self.labels_ = distances.argmin(axis=1)
        nearest = np.sort(distances.min(axis=1))  # a sum that does not depend on the row order
        self.inertia_ = float(tables.round_significant((nearest**2).sum()))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Give the segment of the nearest center, the first on ties; int64, shape (n,)."""
        return self._checked_distances(X).argmin(axis=1)

    def transform(self, X: Any) -> np.ndarray:
        """Give the distances to all centers in scaled units, shape (n, n_clusters_)."""
        return self._checked_distances(X)

    def _checked_distances(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self._distances(validate_data(self, X, reset=False, dtype=np.float64))

    @property
    def _n_features_out(self) -> int:
        return self.n_clusters_

    def _check_parameters(self) -> None:
        if self.n_clusters != "auto" and not (
            isinstance(self.n_clusters, int | np.integer) and self.n_clusters >= 1
        ):
            raise ValueError(f'n_clusters is {self.n_clusters!r}; give "auto" or a number from 1.')
        if not 1 <= self.min_clusters <= self.max_clusters:
            raise ValueError(
                f"min_clusters is {self.min_clusters} and max_clusters {self.max_clusters}; "
                "choose 1 <= min_clusters <= max_clusters."
            )
        if self.scaling not in ("robust", "standard"):
            raise ValueError(f'scaling is {self.scaling!r}; choose "robust" or "standard".')
        if not self.clip > 0:
            raise ValueError(f"clip is {self.clip}; choose a number above 0.")
        if self.n_init < 0:
            raise ValueError(f"n_init is {self.n_init}; choose 0 or more.")

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        scaled = (signed_log1p(X) - self.location_) / self.scale_
        return np.clip(scaled, -self.clip, self.clip) + 0.0

    def _distances(self, X: np.ndarray) -> np.ndarray:
        scaled = self._scaled(X)
        squares = np.zeros((len(X), len(self.cluster_centers_)))
        for position, center in enumerate(self.cluster_centers_.T):
            squares += (scaled[:, [position]] - center) ** 2
        return np.sqrt(squares)

    def _centers(self, scaled: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Find the centers for the chosen number of clusters."""
        is_auto = self.n_clusters == "auto"
        largest = max(self.max_clusters, ELBOW_CLUSTERS[1]) if is_auto else self.n_clusters
        centers = np.average(scaled, axis=0, weights=weight)[np.newaxis]
        fits = [(_inertia(scaled, weight, centers), centers)]
        while len(fits) < min(largest, len(scaled)):
            fits.append(self._best_fit(scaled, weight, fits[-1][1]))
        if not is_auto:
            return fits[-1][1]
        first, last = ELBOW_CLUSTERS
        n_clusters = elbow([inertia for inertia, _ in fits[first - 1 : last]], first)
        n_clusters = int(np.clip(n_clusters, self.min_clusters, self.max_clusters))
        return fits[min(n_clusters, len(fits)) - 1][1]

    def _best_fit(
        self, scaled: np.ndarray, weight: np.ndarray, fewer: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Fit one cluster more than `fewer` has, and give the least inertia and its centers."""
        n_clusters = len(fewer) + 1
        # tol=0 runs until no row changes its cluster, so that starts which lead to the same
        # clusters end with the same centers.
        lloyd = {"n_clusters": n_clusters, "tol": 0, "max_iter": 1000}
        fits = [
            KMeans(init=start, n_init=1, random_state=0, **lloyd).fit(scaled, sample_weight=weight)
            for start in _split_each(scaled, weight, fewer)
        ]
        if self.n_init:
            drawn = KMeans(n_init=self.n_init, random_state=self.random_state, **lloyd)
            fits.append(drawn.fit(scaled, sample_weight=weight))
        ranked = []
        for fit in fits:
            centers = fit.cluster_centers_[np.lexsort(fit.cluster_centers_.T)]
            inertia = float(tables.round_significant(_inertia(scaled, weight, centers), 9))
            ranked.append((inertia, centers.tolist()))
        split_count = len(ranked) - bool(self.n_init)
        inertia, centers = min(ranked[:split_count])
        # Starts that end within a hair of each other found the same clusters but for a row or
        # two; then the splits win, so that the seed does not decide over these rows.
        for drawn_inertia, drawn_centers in ranked[split_count:]:
            if drawn_inertia < (1 - SAME_INERTIA) * inertia:
                inertia, centers = drawn_inertia, drawn_centers
        return inertia, np.array(centers)


def signed_log1p(values: np.ndarray) -> np.ndarray:
    """Give ``sign(x) log(1 + |x|)``, which is log1p for values from 0 and odd below."""
    return np.sign(values) * np.log1p(np.abs(values))


def elbow(inertias: Sequence[float], first: int = 2) -> int:
    """Find the number of clusters at the elbow of an inertia curve.

    Parameters
    ----------
    inertias : sequence of float
        Inertia for `first`, ``first + 1``, ... clusters.
    first : int

    Returns
    -------
    int
        Where the curve, scaled to the unit square, lies furthest below its chord; the fewest
        clusters on ties, and `first` for a curve without a fall.
    """
    curve = np.asarray(inertias, dtype=np.float64)
    if len(curve) < 3 or curve[0] <= curve[-1]:
        return first
    fallen = (curve - curve[-1]) / (curve[0] - curve[-1])
    chord = 1 - np.linspace(0, 1, len(curve))
    return first + int(np.argmax(tables.round_significant(chord - fallen, 9)))


def _location_and_scale(
    rows: np.ndarray, counts: np.ndarray, scaling: str
) -> tuple[np.ndarray, np.ndarray]:
    """Give location and scale of each feature of the log-transformed rows with counts."""
    logs = signed_log1p(rows)
    mean = np.average(logs, axis=0, weights=counts)
    deviation = np.sqrt(np.average((logs - mean) ** 2, axis=0, weights=counts))
    # The deviation of a constant is a rounding error, not a scale.
    deviation[np.ptp(logs, axis=0) == 0] = 0.0
    if scaling == "standard":
        location, scale = mean, deviation
    else:
        quartiles = np.array([_quartiles(column, counts) for column in logs.T])
        location = quartiles[:, 1]
        scale = quartiles[:, 2] - quartiles[:, 0]
        scale = np.where(scale > 0, scale, NORMAL_IQR * deviation)
    scale = np.where(scale > 0, scale, 1.0)
    return tables.round_significant(location), tables.round_significant(scale)


def _quartiles(values: np.ndarray, counts: np.ndarray) -> list[float]:
    """Give the quartiles of values with counts: averaged inverted distribution function."""
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(counts[order])
    quartiles = []
    for quarter in (1, 2, 3):
        position = int(np.searchsorted(4 * reached, quarter * reached[-1]))
        is_between = 4 * reached[position] == quarter * reached[-1]
        quartiles.append(float((values[position] + values[position + int(is_between)]) / 2))
    return quartiles


def _nearest(scaled: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    squares = ((scaled[:, np.newaxis, :] - centers) ** 2).sum(axis=2)
    return squares.argmin(axis=1), squares.min(axis=1)


def _inertia(scaled: np.ndarray, weight: np.ndarray, centers: np.ndarray) -> float:
    return float(weight @ _nearest(scaled, centers)[1])


def _split_each(scaled: np.ndarray, weight: np.ndarray, centers: np.ndarray) -> list[np.ndarray]:
    """Give one start for each cluster, split along its widest feature."""
    labels, _ = _nearest(scaled, centers)
    starts = []
    for label, center in enumerate(centers):
        members, counts = scaled[labels == label], weight[labels == label]
        if len(members) < 2:
            continue
        variance = np.average((members - center) ** 2, axis=0, weights=counts)
        widest = int(variance.argmax())
        step = np.zeros_like(center)
        step[widest] = np.sqrt(variance[widest])
        starts.append(np.vstack([np.delete(centers, label, axis=0), center - step, center + step]))
    return starts


def fit_segments(
    sample: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit a segmentation where one is due.

    Parameters
    ----------
    sample : pa.Table
        Columns customer_id and each feature (any numeric type, no NULL).
    stored : pa.Table or None
        Columns segmentation_name, fitted_as_of, settings_hash of the versions fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        segmentation_name, features (list of str), settings_hash, refit_interval_days, and
        optionally code_version, is_empty ("True" fits nothing), n_clusters ("auto" or a number),
        min_clusters (4), max_clusters (6), scaling ("robust"), clip (3.0), min_customer_count
        (50) and feature_words ({feature: {"noun": words}}) for names and descriptions.

    Returns
    -------
    pa.Table
        `SEGMENTS_SCHEMA`: one row for each segment and feature. center is in scaled units,
        location and scale in log-transformed ones, radius is the 75th percentile of the distance
        of the members to their center, typical_value is the median of the members. No rows where
        nothing is due, or where there are fewer than min_customer_count customers.

    Raises
    ------
    ValueError
        If a column or a setting is missing, a feature has NULL or infinite values, or a customer
        occurs twice.
    """
    empty = SEGMENTS_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not sample.num_rows:
        return empty
    name = tables.read_setting(settings, "segmentation_name", str)
    features = tables.read_setting(settings, "features", list)
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    min_customer_count = tables.read_setting(settings, "min_customer_count", int, 50)
    is_due = tables.fit_is_due(
        stored,
        as_of_date=as_of_date,
        settings_hash=settings_hash,
        refit_interval_days=tables.read_setting(settings, "refit_interval_days", int),
        segmentation_name=name,
    )
    if not is_due:
        return empty
    if sample.num_rows < min_customer_count:
        logger.info("%s: %d customers are too few, no fit", name, sample.num_rows)
        return empty

    customers, X = _read_sample(sample, features)
    segmenter = _segmenter(settings).fit(X)
    logger.info(
        "%s: fitted %d segments as of %s on %d customers",
        name,
        segmenter.n_clusters_,
        as_of_date,
        len(X),
    )
    version = tables.version_hash(
        tables.read_setting(settings, "code_version", str, ""),
        settings_hash,
        name,
        as_of_date,
        tables.fingerprint(customers, ["customer_id", *features]),
    )
    labels = segmenter.labels_
    members = [X[labels == label] for label in range(segmenter.n_clusters_)]
    typical = np.array([np.median(rows, axis=0) for rows in members])
    words = tables.read_setting(settings, "feature_words", dict, {})
    names = segment_names(features, typical, X, segmenter.cluster_centers_, feature_words=words)
    distances = segmenter.transform(X)

    fitted_tables = []
    for label, rows in enumerate(members):
        share = len(rows) / len(X)
        constants = {
            "segmentation_name": name,
            "segmentation_version": version,
            "fitted_as_of": as_of_date,
            "settings_hash": settings_hash,
            "training_row_count": len(X),
            "segment_code": f"segment_{label + 1}",
            "segment_name": names[label],
            "description": segment_description(
                features, typical[label], share, feature_words=words
            ),
            "training_customer_count": len(rows),
            "training_share": float(tables.round_significant(share)),
            "radius": float(
                tables.round_significant(np.quantile(distances[labels == label, label], 0.75))
            ),
            "clip": segmenter.clip,
        }
        columns = {column: [value] * len(features) for column, value in constants.items()}
        columns["feature"] = features
        columns["center"] = segmenter.cluster_centers_[label]
        columns["location"] = segmenter.location_
        columns["scale"] = segmenter.scale_
        columns["typical_value"] = tables.round_significant(typical[label])
        fitted_tables.append(pa.table(columns, schema=SEGMENTS_SCHEMA))
    return pa.concat_tables(fitted_tables).combine_chunks()


def _read_sample(sample: pa.Table, features: list[str]) -> tuple[pa.Table, np.ndarray]:
    """Read customers and their features, sorted by customer."""
    tables.require_columns(sample, ["customer_id", *features], "the sample of customers")
    customers = sample.select(["customer_id", *features])
    customers = customers.set_column(
        0, "customer_id", customers["customer_id"].cast(pa.string())
    ).sort_by("customer_id")
    tables.refuse_duplicates(customers, ["customer_id"], "the sample of customers")
    X = tables.feature_matrix(customers, features)
    for feature, column in zip(features, X.T, strict=True):
        if not np.isfinite(column).all():
            raise ValueError(
                f"the column {feature} has NULL or infinite values, and a segmentation needs a "
                "number for each customer; fill them before, or take the column out of features."
            )
    return customers, X


def _segmenter(settings: Mapping[str, Any]) -> CustomerSegmenter:
    n_clusters = settings.get("n_clusters") or "auto"
    if n_clusters != "auto":
        n_clusters = tables.read_setting(settings, "n_clusters", int)
    return CustomerSegmenter(
        n_clusters=n_clusters,
        min_clusters=tables.read_setting(settings, "min_clusters", int, 4),
        max_clusters=tables.read_setting(settings, "max_clusters", int, 6),
        scaling=tables.read_setting(settings, "scaling", str, "robust"),
        clip=tables.read_setting(settings, "clip", float, 3.0),
    )


def segment_names(
    features: Sequence[str],
    typical: np.ndarray,
    X: np.ndarray,
    centers: np.ndarray,
    *,
    feature_words: Mapping[str, Mapping[str, str]] | None = None,
) -> list[str]:
    """Name segments by what sets them apart.

    Where the features hold a recency (days_since_last_order...), a frequency (order_count...) and
    a monetary value (net_amount...), names are those of the trade, such as "Loyal high spenders";
    otherwise the two features furthest from the mean give the name, such as "High sessions, low
    returns". Segments that would be named alike get the feature that tells them apart.

    Parameters
    ----------
    features : sequence of str, length f
    typical : ndarray of float64, shape (k, f)
        Raw values of each segment.
    X : ndarray of float64, shape (n, f)
        Raw values of all customers.
    centers : ndarray of float64, shape (k, f)
        Scaled values.
    feature_words : mapping, optional
        ``{feature: {"noun": words}}``; a feature without words is called by its name.

    Returns
    -------
    list of k different str
    """
    words = feature_words or {}
    roles = _roles(features)
    if len(roles) == len(ROLE_PREFIXES):
        standing = np.array(
            [_standing(column, values) for column, values in zip(X.T, typical.T, strict=True)]
        ).T
        names = [
            _rfm_name(features, roles, values, places)
            for values, places in zip(typical, standing, strict=True)
        ]
    else:
        apart = centers - centers.mean(axis=0)
        names = [_generic_name(features, distances, words) for distances in apart]
    return _tell_apart(names, features, centers, words)


def segment_description(
    features: Sequence[str],
    typical: np.ndarray,
    share: float,
    *,
    feature_words: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Describe a segment in one sentence with numbers.

    Parameters
    ----------
    features : sequence of str, length f
    typical : ndarray of float64, shape (f,)
        Raw values of the segment.
    share : float
        Of the customers the segmentation was fitted on, 0 to 1.
    feature_words : mapping, optional
        As for `segment_names`.

    Returns
    -------
    str
    """
    percent = f"{100 * share:.0f} %" if share >= 0.005 else "under 1 %"
    values = dict(zip(features, typical.tolist(), strict=True))
    roles = _roles(features)
    others = [feature for feature in features if feature not in roles.values()]
    sentence = "Typically"
    if len(roles) == len(ROLE_PREFIXES):
        window = _window_days(roles["frequency"])
        sentence += (
            f" last ordered {_count(values[roles['recency']], 'day')} ago, with "
            f"{_count(values[roles['frequency']], 'order')} and a net amount of "
            f"{_number(values[roles['monetary']])}"
        )
        sentence += f" in the last {window} days" if window else ""
    else:
        others = list(features)
    if others:
        numbers = [f"{_noun(name, feature_words or {})} {_number(values[name])}" for name in others]
        sentence += ", " if len(others) < len(features) else " "
        sentence += ", ".join(numbers)
    return f"{sentence}; {percent} of active customers."


def _roles(features: Sequence[str]) -> dict[str, str]:
    """Find the features that hold recency, frequency and monetary value."""
    return {
        role: feature
        for role, prefix in ROLE_PREFIXES.items()
        for feature in features
        if feature.startswith(prefix)
    }


def _standing(column: np.ndarray, values: np.ndarray) -> list[float]:
    """Give the share of all customers below each value, ties counted half."""
    return [float(((column < value).mean() + (column <= value).mean()) / 2) for value in values]


def _rfm_name(
    features: Sequence[str], roles: Mapping[str, str], values: np.ndarray, standing: np.ndarray
) -> str:
    position = {role: list(features).index(feature) for role, feature in roles.items()}
    days = values[position["recency"]]
    orders = values[position["frequency"]]
    recency = standing[position["recency"]]
    if orders < 2:
        if recency <= RECENT_STANDING:
            return "Recent one-time buyers"
        return "Lapsing one-time buyers" if recency >= LATE_STANDING else "One-time buyers"
    is_regular = orders >= 3 and standing[position["frequency"]] >= REGULAR_STANDING
    is_high_spender = standing[position["monetary"]] >= HIGH_SPEND_STANDING
    # Silent for longer than the usual gap between two orders, and not among the most recent.
    is_late = days * orders > (_window_days(roles["frequency"]) or 365)
    is_late = is_late and recency > RECENT_STANDING
    if is_regular:
        kind = "high spenders" if is_high_spender else "regulars"
        return f"{'Slipping' if is_late else 'Loyal'} {kind}"
    if is_late:
        return "Lapsing repeat buyers"
    return f"{'Recent' if recency <= RECENT_STANDING else 'Occasional'} repeat buyers"


def _generic_name(
    features: Sequence[str], distances: np.ndarray, words: Mapping[str, Mapping[str, str]]
) -> str:
    furthest = np.argsort(-np.abs(tables.round_significant(distances, 9)), kind="stable")[:2]
    parts = [
        f"{'high' if distances[position] > 0 else 'low'} {_noun(features[position], words)}"
        for position in furthest
        if abs(distances[position]) >= NOTABLE_DISTANCE
    ]
    return _capitalised(", ".join(parts)) if parts else "Average customers"


def _tell_apart(
    names: list[str],
    features: Sequence[str],
    centers: np.ndarray,
    words: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """Add to equal names the feature on which their centers differ most."""
    apart = list(names)
    for name in dict.fromkeys(names):
        alike = [k for k, other in enumerate(names) if other == name]
        if len(alike) == 1:
            continue
        position = int(np.ptp(tables.round_significant(centers[alike], 9), axis=0).argmax())
        ranked = sorted(alike, key=lambda k: (-centers[k, position], k))
        grades = _grades(features[position], words)
        for rank, k in enumerate(ranked):
            if rank in (0, len(ranked) - 1) or len(ranked) == 3:
                apart[k] = f"{name}, {grades[0 if rank == 0 else 2 if k == ranked[-1] else 1]}"
            else:
                apart[k] = f"{name}, {grades[1]} {rank}"
    return apart


def _grades(feature: str, words: Mapping[str, Mapping[str, str]]) -> tuple[str, str, str]:
    """Give the words for the highest, a middle and the lowest value of a feature."""
    role = next((r for r, prefix in ROLE_PREFIXES.items() if feature.startswith(prefix)), None)
    if role == "recency":
        return "longer ago", "some time ago", "more recent"
    if role == "frequency":
        return "more orders", "some orders", "fewer orders"
    noun = "spend" if role == "monetary" else _noun(feature, words)
    return f"higher {noun}", f"medium {noun}", f"lower {noun}"


def _noun(feature: str, words: Mapping[str, Mapping[str, str]]) -> str:
    noun = (words.get(feature) or {}).get("noun")
    return noun or re.sub(r"_\d+d$", "", feature).replace("_", " ")


def _window_days(feature: str) -> int | None:
    """Read the days of the look-back at the end of a feature's name."""
    found = re.search(r"_(\d+)d$", feature)
    return int(found.group(1)) if found else None


def _count(value: float, noun: str) -> str:
    number = _number(value)
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 10 or value == int(value) else 1 if abs(value) >= 1 else 2
    return f"{value:,.{digits}f}"


def _capitalised(words: str) -> str:
    return words[:1].upper() + words[1:]
