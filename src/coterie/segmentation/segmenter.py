"""The estimator: features in, segments out, whatever the algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from coterie import tables
from coterie.segmentation import clusters, scaling
from coterie.segmentation.clusters import ALGORITHMS, ELBOW_CLUSTERS, Clusters
from coterie.threads import one_thread

# Digits to which scores are compared: sums of the same terms in another order are ties.
SCORE_DIGITS = 9
# Rarer levels of a category are folded into one.
MIN_LEVEL_SHARE = 0.01
# Share of the inertia by which fresh clusters have to be better than those that go on.
CLEARLY_BETTER = 0.05


class CustomerSegmenter(
    ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator
):
    """Clusters of features that are log-transformed, scaled, clipped and weighted.

    A number x becomes ``z = clip((sign(x) log(1 + |x|) - location) / scale)``, a category one
    column for each of its levels. Each algorithm ends as centers with weights, and assigns by

        score_k = offset_k + sum over columns ((z - center_k) weight_k)^2

    the least score rounded to 9 digits, the first segment on ties. So a table of centers and SQL
    assign exactly as `predict` does.

    k-means (Lloyd 1982) starts for every number of clusters from the clusters of the number
    before, each of them split in turn, and from `n_init` k-means++ draws (Arthur & Vassilvitskii
    2007); the least inertia wins, a draw only where it is clearly lower. Equal rows count as one
    row with a weight. Starts are searched for on at most 5,000 rows, those of Ward and HDBSCAN on
    2,000 rows, chosen evenly along their order.

    Parameters
    ----------
    n_clusters : int or "auto", default="auto"
        "auto" takes the elbow: the largest distance of the k-means inertia curve below its chord
        over 2 to 10 clusters, kept within `min_clusters` and `max_clusters`. HDBSCAN finds its
        own number.
    min_clusters, max_clusters : int, default=4 and 6
        Bounds for "auto".
    algorithm : str, default="kmeans"
        kmeans, bisecting_kmeans (Steinbach, Karypis & Kumar 2000), gaussian_mixture (diagonal
        covariances), ward (Ward 1963) or hdbscan (Campello, Moulavi & Sander 2013). Bisection and
        Ward find starts, which k-means then moves until they stand.
    scaling : {"robust", "standard"}, default="robust"
        Median and interquartile range of the mid-distribution function (Ma, Genton & Parzen
        2011), or mean and standard deviation; a constant feature has scale 1.
    clip : float, default=3.0
        Largest absolute scaled value.
    families : mapping of str to str, optional
        ``{feature: family}``. A feature weighs the root of the weight of its family over the
        number of its features. Features that are not named are families of their own.
    family_weights : mapping of str to float, optional
        ``{family: weight}``, 1 where not named.
    categories : sequence of str or int, optional
        Names (or positions) of the features that hold text.
    max_levels : int, default=10
        Levels of a category beside the rest.
    n_init : int, default=10
        k-means++ draws beside the splits.
    random_state : int or None, default=0
        Seed of these draws.

    Attributes
    ----------
    cluster_centers_ : ndarray of float64, shape (n_clusters_, p)
        Scaled values; for a category the shares of its levels, a column each. Ordered by the last
        column, highest first, then by the others.
    center_weights_ : ndarray of float64, shape (n_clusters_, p)
    score_offsets_ : ndarray of float64, shape (n_clusters_,)
    max_distances_ : ndarray of float64, shape (n_clusters_,)
        Infinite for all algorithms but hdbscan.
    location_, scale_ : ndarray of float64, shape (f,)
        Log-transformed values; 0 and 1 for a category.
    levels_ : dict of int to list of str
        By the position of a category, the last for the rest.
    n_clusters_ : int
        Fewer than asked for where there are fewer distinct rows.
    labels_ : ndarray of int64, shape (n,)
        -1 beyond the reach of every cluster of hdbscan.
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
        algorithm: str = "kmeans",
        scaling: str = "robust",
        clip: float = 3.0,
        families: Mapping[str, str] | None = None,
        family_weights: Mapping[str, float] | None = None,
        categories: Sequence[str | int] | None = None,
        max_levels: int = 10,
        n_init: int = 10,
        random_state: int | None = 0,
    ):
        self.n_clusters = n_clusters
        self.min_clusters = min_clusters
        self.max_clusters = max_clusters
        self.algorithm = algorithm
        self.scaling = scaling
        self.clip = clip
        self.families = families
        self.family_weights = family_weights
        self.categories = categories
        self.max_levels = max_levels
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> CustomerSegmenter:
        """Find the segments.

        Parameters
        ----------
        X : array-like, shape (n, f)
            Raw values, none missing; a text of a category may be None.
        y : ignored

        Raises
        ------
        ValueError
            If a parameter is out of range, or X has missing or infinite values.
        """
        self._check_parameters()
        raw = self._read(X, reset=True)
        self.levels_ = {
            position: scaling.top_levels(raw[:, position], self.max_levels, MIN_LEVEL_SHARE)
            for position in self._category_positions()
        }
        coded = self._coded(raw)
        rows, counts = distinct_rows(coded)
        self._fit_scaling(rows, counts)
        n_clusters = self.n_clusters
        if n_clusters == "auto":
            n_clusters = self.elbow_order(rows, counts)[0]
        self._set_clusters(self._find(rows, counts, n_clusters), coded)
        return self

    def fit_like(
        self, previous: CustomerSegmenter, X: Any, *, is_warm: bool = True
    ) -> CustomerSegmenter:
        """Find the segments in the scaling of an earlier fit, and as many.

        Parameters
        ----------
        previous : CustomerSegmenter
            Fitted on the same features.
        X : array-like, shape (n, f)
        is_warm : bool
            Whether to start from the centers of `previous` and nothing else, and to move them half
            of the way only, as evolutionary k-means does (Chakrabarti, Kumar & Tomkins 2006).
        """
        self._check_parameters()
        raw = self._read(X, reset=True)
        self.levels_ = dict(previous.levels_)
        self.location_, self.scale_ = previous.location_, previous.scale_
        coded = self._coded(raw)
        rows, counts = distinct_rows(coded)
        start = previous.clusters_ if is_warm else None
        found = self._find(rows, counts, previous.n_clusters_, start=start)
        # Centers that go on keep their order, and so their codes.
        self._set_clusters(found, coded, is_ordered=not is_warm or self.algorithm == "hdbscan")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Give the segment of the least score, the first on ties; int64, shape (n,).

        -1 for a row beyond the reach of the nearest cluster (hdbscan only).
        """
        check_is_fitted(self)
        return self._labels(self._scores(self._coded(self._read(X))))

    def transform(self, X: Any) -> np.ndarray:
        """Give the distances to all centers, roots of ``score - offset``; (n, n_clusters_)."""
        check_is_fitted(self)
        return self._distances(self._scores(self._coded(self._read(X))))

    def code(self, X: Any) -> np.ndarray:
        """Give raw numbers, and the positions of levels in place of texts; float64, (n, f)."""
        check_is_fitted(self)
        return self._coded(self._read(X))

    def assign(self, coded: np.ndarray) -> np.ndarray:
        """Give the segments of rows from `code`, as `predict` does; int64, shape (n,)."""
        return self._labels(self._scores(coded))

    def elbow_order(self, rows: np.ndarray, counts: np.ndarray) -> list[int]:
        """Rank the numbers of clusters within the bounds, the elbow first.

        Parameters
        ----------
        rows : ndarray of float64, shape (n, f)
            Different raw rows, categories by the positions of their levels, as from
            `distinct_rows`.
        counts : ndarray, shape (n,)
        """
        first, last = ELBOW_CLUSTERS
        last = max(last, self.max_clusters)
        columns = self._columns(rows) * self._column_weights()
        columns, counts = _merged(np.round(columns, 7), counts)
        with one_thread():
            curve = clusters.inertia_curve(columns, counts, last)
        curve = curve[first - 1 : ELBOW_CLUSTERS[1]]
        heights = clusters.elbow_heights(curve)
        chosen = int(np.clip(clusters.elbow(curve, first), self.min_clusters, self.max_clusters))
        bounds = range(self.min_clusters, self.max_clusters + 1)
        others = sorted(
            (k for k in bounds if k != chosen),
            key=lambda k: (-heights[k - first] if 0 <= k - first < len(heights) else 0.0, k),
        )
        return [chosen, *others]

    @property
    def clusters_(self) -> Clusters:
        """What assigns rows."""
        return Clusters(
            self.cluster_centers_,
            self.center_weights_,
            self.score_offsets_,
            self.max_distances_,
        )

    def level_contributions(self) -> dict[int, np.ndarray]:
        """Give what each level of a category adds to the scores, shape (k, number of levels)."""
        contributions, column = {}, 0
        for position in range(self.n_features_in_):
            levels = self.levels_.get(position)
            if levels is None:
                column += 1
                continue
            part = slice(column, column + len(levels))
            centers, weights = self.cluster_centers_[:, part], self.center_weights_[:, part]
            squares = ((np.eye(len(levels))[:, np.newaxis] - centers) * weights) ** 2
            contributions[position] = tables.round_significant(squares.sum(axis=2).T)
            column += len(levels)
        return contributions

    @property
    def _n_features_out(self) -> int:
        return self.n_clusters_

    # ---- from X to columns ----------------------------------------------------------------------

    def _read(self, X: Any, *, reset: bool = False) -> np.ndarray:
        if not self.categories:
            return validate_data(self, X, reset=reset, dtype=np.float64) + 0.0
        raw = validate_data(self, X, reset=reset, dtype=object, ensure_all_finite=False)
        numbers = [
            position
            for position in range(raw.shape[1])
            if position not in set(self._category_positions())
        ]
        if not np.isfinite(raw[:, numbers].astype(np.float64)).all():
            raise ValueError("X has missing or infinite numbers; fill them before.")
        return raw

    def _names(self) -> list[str]:
        names = getattr(self, "feature_names_in_", None)
        return [f"x{k}" for k in range(self.n_features_in_)] if names is None else names.tolist()

    def _category_positions(self) -> list[int]:
        names = self._names()
        positions = []
        for category in self.categories or ():
            if isinstance(category, str) and category not in names:
                raise ValueError(f"categories names {category}, which X does not have.")
            positions.append(names.index(category) if isinstance(category, str) else category)
        return sorted(positions)

    def _coded(self, raw: np.ndarray) -> np.ndarray:
        """Give raw numbers, and the positions of levels in place of texts."""
        if not self.levels_:
            return raw
        coded = np.empty(raw.shape, dtype=np.float64)
        for position in range(raw.shape[1]):
            levels = self.levels_.get(position)
            coded[:, position] = (
                raw[:, position].astype(np.float64) + 0.0
                if levels is None
                else scaling.level_numbers(raw[:, position], levels)
            )
        return coded

    def _columns(self, coded: np.ndarray) -> np.ndarray:
        """Scale and clip numbers, and give each level a column; shape (n, p)."""
        logs = scaling.signed_log1p(coded)
        scaled = np.clip((logs - self.location_) / self.scale_, -self.clip, self.clip) + 0.0
        if not self.levels_:
            return scaled
        parts = []
        for position, column in enumerate(scaled.T):
            levels = self.levels_.get(position)
            if levels is None:
                parts.append(column[:, np.newaxis])
            else:
                parts.append(np.eye(len(levels))[coded[:, position].astype(np.intp)])
        return np.hstack(parts)

    def _column_weights(self) -> np.ndarray:
        weights = scaling.feature_weights(
            self._names(), self.families or {}, self.family_weights or {}
        )
        return np.concatenate(
            [
                np.full(len(self.levels_.get(position, [None])), weight)
                for position, weight in enumerate(weights)
            ]
        )

    # ---- fitting --------------------------------------------------------------------------------

    def _fit_scaling(self, rows: np.ndarray, counts: np.ndarray) -> None:
        self.location_, self.scale_ = scaling.location_and_scale(rows, counts, self.scaling)
        for position in self.levels_:
            self.location_[position], self.scale_[position] = 0.0, 1.0

    def _find(
        self,
        rows: np.ndarray,
        counts: np.ndarray,
        n_clusters: int,
        start: Clusters | None = None,
    ) -> Clusters:
        # Rows closer than k-means can tell apart in double precision are one row.
        columns, counts = _merged(np.round(self._columns(rows), 7), counts)
        with one_thread():
            return clusters.find_clusters(
                columns,
                counts,
                self._column_weights(),
                n_clusters,
                algorithm=self.algorithm,
                n_init=self.n_init,
                random_state=self.random_state,
                start=start,
            )

    def _set_clusters(self, found: Clusters, coded: np.ndarray, is_ordered: bool = True) -> None:
        if is_ordered:
            # Highest value of the last column first, then of the first, the second, ...
            keys = tables.round_significant(found.centers, 9)
            found = found.take(np.lexsort([*-keys.T[-2::-1], -keys.T[-1]]))
        self._keep(found.rounded())
        labels = self._labels(self._scores(coded))
        used = np.unique(labels[labels >= 0])
        if 0 < len(used) < self.n_clusters_:
            self._keep(self.clusters_.take(used))
        scores = self._scores(coded)
        self.labels_ = self._labels(scores)
        # A sum that does not depend on the row order.
        distances = np.sort(self._distances(scores)[np.arange(len(coded)), scores.argmin(axis=1)])
        self.inertia_ = float(tables.round_significant((distances**2).sum()))

    def _keep(self, found: Clusters) -> None:
        self.cluster_centers_ = found.centers
        self.center_weights_ = found.weights
        self.score_offsets_ = found.offsets
        self.max_distances_ = found.max_distances
        self.n_clusters_ = len(found.centers)

    def _scores(self, coded: np.ndarray) -> np.ndarray:
        """Give the scores as SQL finds them: number by number, then what levels add."""
        logs = scaling.signed_log1p(coded)
        scaled = np.clip((logs - self.location_) / self.scale_, -self.clip, self.clip) + 0.0
        scores = np.tile(self.score_offsets_, (len(coded), 1))
        contributions, column = self.level_contributions(), 0
        for position in range(self.n_features_in_):
            if position in contributions:
                scores += contributions[position].T[coded[:, position].astype(np.intp)]
                column += len(self.levels_[position])
                continue
            apart = scaled[:, [position]] - self.cluster_centers_[:, column]
            scores += (apart * self.center_weights_[:, column]) ** 2
            column += 1
        return scores

    def _labels(self, scores: np.ndarray) -> np.ndarray:
        labels = np.round(scores, SCORE_DIGITS).argmin(axis=1)
        nearest = self._distances(scores)[np.arange(len(scores)), labels]
        return np.where(nearest > self.max_distances_[labels], -1, labels)

    def _distances(self, scores: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(scores - self.score_offsets_, 0))

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
        if self.algorithm not in ALGORITHMS:
            raise ValueError(
                f"algorithm is {self.algorithm!r}; choose one of {', '.join(ALGORITHMS)}."
            )
        if self.scaling not in ("robust", "standard"):
            raise ValueError(f'scaling is {self.scaling!r}; choose "robust" or "standard".')
        if not self.clip > 0:
            raise ValueError(f"clip is {self.clip}; choose a number above 0.")
        if self.max_levels < 1:
            raise ValueError(f"max_levels is {self.max_levels}; choose 1 or more.")
        if self.n_init < 0:
            raise ValueError(f"n_init is {self.n_init}; choose 0 or more.")


def distinct_rows(coded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the different rows in order and how often each is there.

    Data repeated as a whole is the same data: counts are divided by what divides them all.
    """
    rows, counts = np.unique(coded, axis=0, return_counts=True)
    return rows, counts // np.gcd.reduce(counts)


def refitted_on(
    segmenter: CustomerSegmenter,
    rows: np.ndarray,
    counts: np.ndarray,
    start: Clusters | None = None,
) -> CustomerSegmenter:
    """Fit on rows with other counts, with as many clusters; levels of categories stay.

    Parameters
    ----------
    segmenter : CustomerSegmenter
        Fitted.
    rows : ndarray of float64, shape (n, f)
        As from `distinct_rows`.
    counts : ndarray, shape (n,)
        0 leaves a row out.
    start : Clusters, optional
        Go on from these in the scaling of `segmenter`, as `CustomerSegmenter.fit_like` does.
        Without them, scaling and clusters are found from nothing.
    """
    is_drawn = counts > 0
    rows, counts = rows[is_drawn], counts[is_drawn]
    other = clone(segmenter)
    other.n_features_in_ = segmenter.n_features_in_
    if hasattr(segmenter, "feature_names_in_"):
        other.feature_names_in_ = segmenter.feature_names_in_
    other.levels_ = segmenter.levels_
    if start is None:
        other._fit_scaling(rows, counts)
    else:
        other.location_, other.scale_ = segmenter.location_, segmenter.scale_
    other._keep(other._find(rows, counts, segmenter.n_clusters_, start))
    return other


def _merged(columns: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    columns, members = np.unique(columns + 0.0, axis=0, return_inverse=True)
    return columns, np.bincount(members.ravel(), weights=counts)
