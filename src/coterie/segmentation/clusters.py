"""Find clusters among weighted rows; each algorithm ends as centers with weights and offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, BisectingKMeans, KMeans
from sklearn.mixture import GaussianMixture

from coterie import tables

ALGORITHMS = ("kmeans", "bisecting_kmeans", "gaussian_mixture", "ward", "hdbscan")

# The inertia curve of the elbow runs over these numbers of clusters.
ELBOW_CLUSTERS = (2, 10)
# Rows on which starts are searched for; the clusters themselves are fitted on all rows.
SEARCH_ROWS = 5_000
# Rows of the algorithms whose cost grows with the square of the rows.
PAIRWISE_ROWS = 2_000
# Share of the inertia by which a random start has to be better than the splits.
SAME_INERTIA = 0.001
# Share of its old place in the new place of a center that goes on, and the most steps of it.
MEMORY = 0.5
MAX_MOVES = 300
# Variance that a mixture adds, in squared scaled units: clipped values pile up in one place.
MIN_VARIANCE = 1e-2
# HDBSCAN: the smallest cluster as a share of the rows, and the share of its members within reach.
MIN_CLUSTER_SHARE = 0.05
MEMBERS_WITHIN_REACH = 0.95


@dataclass(frozen=True)
class Clusters:
    """What assigns rows: ``score_k = offset_k + sum(((z - center_k) weight_k)^2)``, least wins.

    Attributes
    ----------
    centers : ndarray of float64, shape (k, p)
        Unweighted columns.
    weights : ndarray of float64, shape (k, p)
    offsets : ndarray of float64, shape (k,)
    max_distances : ndarray of float64, shape (k,)
        Root of ``score - offset`` beyond which a row belongs to no cluster; infinite for no limit.
    """

    centers: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    max_distances: np.ndarray

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Give the score of each row and cluster, shape (n, k)."""
        scores = np.tile(self.offsets, (len(rows), 1))
        for position in range(rows.shape[1]):
            apart = rows[:, [position]] - self.centers[:, position]
            scores += (apart * self.weights[:, position]) ** 2
        return scores

    def take(self, positions: np.ndarray | Sequence[int]) -> Clusters:
        """Keep some clusters, in this order."""
        positions = np.asarray(positions, dtype=np.intp)
        return Clusters(
            self.centers[positions],
            self.weights[positions],
            self.offsets[positions],
            self.max_distances[positions],
        )

    def rounded(self) -> Clusters:
        """Round what is stored."""
        return Clusters(
            *(
                tables.round_significant(part)
                for part in (self.centers, self.weights, self.offsets, self.max_distances)
            )
        )


def from_centers(centers: np.ndarray, column_weights: np.ndarray) -> Clusters:
    """Give the clusters of the nearest centers; `centers` hold weighted columns."""
    count = len(centers)
    return Clusters(
        centers / column_weights,
        np.tile(column_weights, (count, 1)),
        np.zeros(count),
        np.full(count, np.inf),
    )


def find_clusters(
    rows: np.ndarray,
    counts: np.ndarray,
    column_weights: np.ndarray,
    n_clusters: int,
    *,
    algorithm: str,
    n_init: int,
    random_state: int | None,
    start: Clusters | None = None,
) -> Clusters:
    """Find a number of clusters.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, p)
        Different rows in a fixed order, unweighted columns.
    counts : ndarray, shape (n,)
        How many customers each row stands for.
    column_weights : ndarray of float64, shape (p,)
    n_clusters : int
        HDBSCAN finds its own number.
    algorithm : str
        One of `ALGORITHMS`.
    n_init, random_state
        Random starts beside the splits, and their seed.
    start : Clusters, optional
        Start from these and from nothing else, and stay near to them. HDBSCAN has no start.

    Returns
    -------
    Clusters
        At most `n_clusters`.
    """
    weighted = rows * column_weights
    n_clusters = min(n_clusters, len(rows))
    if len(rows) == 1 or (n_clusters == 1 and algorithm != "hdbscan"):
        center = np.average(weighted, axis=0, weights=counts)
        return from_centers(center[np.newaxis], column_weights)
    if algorithm == "hdbscan":
        return _dense_clusters(weighted, counts, column_weights)
    if algorithm == "gaussian_mixture":
        return _mixture(weighted, counts, column_weights, n_clusters, n_init, random_state, start)
    if start is not None:
        moved = _evolved(weighted, counts, start.centers * column_weights)
        return from_centers(moved, column_weights)
    if algorithm == "ward":
        centers = _ward_centers(weighted, counts, n_clusters)
    elif algorithm == "bisecting_kmeans":
        centers = _bisected_centers(weighted, counts, n_clusters, n_init, random_state)
    else:
        centers = _searched_centers(weighted, counts, n_clusters, n_init, random_state)
    # Ward and bisection are starts, too (Punj & Stewart 1983): a center is the mean of those
    # that are nearest to it, so that a refit on the same data finds the same centers.
    return from_centers(_lloyd(weighted, counts, centers), column_weights)


def inertia_curve(rows: np.ndarray, counts: np.ndarray, largest: int) -> list[float]:
    """Give the inertia of 1 to `largest` clusters of weighted rows, found by splits alone."""
    rows, counts = bounded_rows(rows, counts, SEARCH_ROWS)
    return [_inertia(rows, counts, centers) for centers in _split_chain(rows, counts, largest)]


def elbow_heights(inertias: Sequence[float]) -> np.ndarray:
    """Give how far an inertia curve lies below its chord, both scaled to the unit square."""
    curve = np.asarray(inertias, dtype=np.float64)
    if len(curve) < 3 or curve[0] <= curve[-1]:
        return np.zeros(len(curve))
    fallen = (curve - curve[-1]) / (curve[0] - curve[-1])
    chord = 1 - np.linspace(0, 1, len(curve))
    return tables.round_significant(chord - fallen, 9)


def elbow(inertias: Sequence[float], first: int = 2) -> int:
    """Find the number of clusters at the elbow of an inertia curve (Satopaa et al. 2011).

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
    return first + int(np.argmax(elbow_heights(inertias))) if len(inertias) else first


def bounded_rows(rows: np.ndarray, counts: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Thin rows out to at most `limit`: evenly along their order, by how many each stands for.

    Rows in a fixed order give a fixed choice; no seed is drawn.
    """
    if len(rows) <= limit:
        return rows, counts
    reached = np.cumsum(counts)
    steps = (np.arange(limit) + 0.5) * (reached[-1] / limit)
    kept, hits = np.unique(np.searchsorted(reached, steps), return_counts=True)
    return rows[kept], hits


def repeated_rows(rows: np.ndarray, counts: np.ndarray, limit: int) -> np.ndarray:
    """Give at most `limit` single rows, for what cannot read counts."""
    total = int(np.sum(counts))
    if total > limit:
        reached = np.cumsum(counts)
        steps = (np.arange(limit) + 0.5) * (reached[-1] / limit)
        return rows[np.searchsorted(reached, steps)]
    return np.repeat(rows, np.asarray(counts, dtype=np.int64), axis=0)


# ---- k-means ------------------------------------------------------------------------------------


def _lloyd(rows: np.ndarray, counts: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Move centers until no row changes its cluster (Lloyd 1982)."""
    # tol=0 runs until no row changes its cluster, so that starts which lead to the same clusters
    # end with the same centers.
    model = KMeans(len(start), init=start, n_init=1, tol=0, max_iter=1000, random_state=0)
    return model.fit(rows, sample_weight=counts).cluster_centers_


def _evolved(rows: np.ndarray, counts: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Move centers with their members, but only a part of the way (Chakrabarti et al. 2006).

    Inertia is flat around its minimum: centers that may move freely drift a long way for nothing,
    and take customers along who did not change.
    """
    centers, labels = start, None
    for _ in range(MAX_MOVES):
        nearest = _nearest(rows, centers)[0]
        if labels is not None and (nearest == labels).all():
            break
        labels, centers = nearest, start.copy()
        sizes = np.bincount(labels, weights=counts, minlength=len(start))
        for position in range(rows.shape[1]):
            sums = np.bincount(labels, counts * rows[:, position], minlength=len(start))
            means = sums / np.maximum(sizes, 1)
            step = np.where(sizes > 0, means - start[:, position], 0)
            centers[:, position] += (1 - MEMORY) * step
    return centers


def _searched_centers(
    rows: np.ndarray, counts: np.ndarray, n_clusters: int, n_init: int, random_state: int | None
) -> np.ndarray:
    """Find the centers of least inertia from splits and random draws, on a bounded set of rows."""
    rows, counts = bounded_rows(rows, counts, SEARCH_ROWS)
    centers = _split_chain(rows, counts, n_clusters)[-1]
    if not n_init or n_clusters < 2:
        return centers
    model = KMeans(n_clusters, n_init=n_init, tol=0, max_iter=1000, random_state=random_state)
    drawn = model.fit(rows, sample_weight=counts).cluster_centers_
    # Starts that end within a hair of each other found the same clusters but for a row or two;
    # then the splits win, so that the seed does not decide over these rows.
    is_better = _inertia(rows, counts, drawn) < (1 - SAME_INERTIA) * _inertia(rows, counts, centers)
    return drawn if is_better else centers


def _split_chain(rows: np.ndarray, counts: np.ndarray, largest: int) -> list[np.ndarray]:
    """Give centers for 1, 2, ... clusters: each number starts from the one before it.

    Every cluster is split in turn along its widest feature, and the split that ends with the
    least inertia stays.
    """
    centers = np.average(rows, axis=0, weights=counts)[np.newaxis]
    chain = [centers]
    while len(chain) < min(largest, len(rows)):
        ranked = []
        for start in _split_each(rows, counts, chain[-1]):
            centers = _lloyd(rows, counts, start)
            centers = centers[np.lexsort(centers.T)]
            inertia = float(tables.round_significant(_inertia(rows, counts, centers), 9))
            ranked.append((inertia, centers.tolist()))
        chain.append(np.array(min(ranked)[1]))
    return chain


def _split_each(rows: np.ndarray, counts: np.ndarray, centers: np.ndarray) -> list[np.ndarray]:
    """Give one start for each cluster, split along its widest feature."""
    labels, _ = _nearest(rows, centers)
    starts = []
    for label, center in enumerate(centers):
        members, weights = rows[labels == label], counts[labels == label]
        if len(members) < 2:
            continue
        variance = np.average((members - center) ** 2, axis=0, weights=weights)
        widest = int(variance.argmax())
        step = np.zeros_like(center)
        step[widest] = np.sqrt(variance[widest])
        starts.append(np.vstack([np.delete(centers, label, axis=0), center - step, center + step]))
    return starts


def _nearest(rows: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    squares = np.zeros((len(rows), len(centers)))
    for position in range(rows.shape[1]):
        squares += (rows[:, [position]] - centers[:, position]) ** 2
    return squares.argmin(axis=1), squares.min(axis=1)


def _inertia(rows: np.ndarray, counts: np.ndarray, centers: np.ndarray) -> float:
    return float(counts @ _nearest(rows, centers)[1])


# ---- other algorithms ---------------------------------------------------------------------------


def _bisected_centers(
    rows: np.ndarray, counts: np.ndarray, n_clusters: int, n_init: int, random_state: int | None
) -> np.ndarray:
    """Halve the cluster of the largest inertia again and again (Steinbach et al. 2000)."""
    rows, counts = bounded_rows(rows, counts, SEARCH_ROWS)
    model = BisectingKMeans(
        n_clusters, n_init=max(n_init, 1), tol=0, max_iter=1000, random_state=random_state
    )
    return model.fit(rows, sample_weight=counts).cluster_centers_


def _ward_centers(rows: np.ndarray, counts: np.ndarray, n_clusters: int) -> np.ndarray:
    """Join the pair of clusters that adds the least variance, until few are left (Ward 1963)."""
    single = repeated_rows(rows, counts, PAIRWISE_ROWS)
    n_clusters = min(n_clusters, len(np.unique(single, axis=0)))
    labels = AgglomerativeClustering(n_clusters, linkage="ward").fit_predict(single)
    return np.array([single[labels == label].mean(axis=0) for label in range(n_clusters)])


def _mixture(
    rows: np.ndarray,
    counts: np.ndarray,
    column_weights: np.ndarray,
    n_clusters: int,
    n_init: int,
    random_state: int | None,
    start: Clusters | None,
) -> Clusters:
    """Fit a mixture of normal distributions with diagonal covariances by EM (Dempster 1977).

    A score is -2 log(share times density), less the constant of the number of columns.
    """
    single = repeated_rows(rows, counts, SEARCH_ROWS)
    if start is None:
        first = from_centers(
            _searched_centers(rows, counts, n_clusters, n_init, random_state), column_weights
        )
        precisions = None
    else:
        first, precisions = start, (start.weights / column_weights) ** 2
    labels = first.scores(single / column_weights).argmin(axis=1)
    shares = np.maximum(np.bincount(labels, minlength=len(first.centers)) / len(single), 1e-6)
    model = GaussianMixture(
        len(first.centers),
        covariance_type="diag",
        tol=1e-6,
        max_iter=1000,
        reg_covar=MIN_VARIANCE,
        means_init=first.centers * column_weights,
        weights_init=shares / shares.sum(),
        precisions_init=precisions,
        random_state=0,
    )
    model.fit(single)
    offsets = -np.log(model.precisions_).sum(axis=1) - 2 * np.log(model.weights_)
    return Clusters(
        model.means_ / column_weights,
        np.sqrt(model.precisions_) * column_weights,
        offsets,
        np.full(len(offsets), np.inf),
    )


def _dense_clusters(rows: np.ndarray, counts: np.ndarray, column_weights: np.ndarray) -> Clusters:
    """Find dense clusters, and how far they reach (Campello et al. 2013)."""
    single = repeated_rows(rows, counts, PAIRWISE_ROWS)
    smallest = max(2, min(len(single), round(MIN_CLUSTER_SHARE * len(single))))
    labels = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(single)
    if not (labels >= 0).any():
        labels = np.zeros(len(single), dtype=np.int64)
    centers = np.array([single[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    reach = np.array(
        [
            np.quantile(
                np.sqrt(((single[labels == label] - center) ** 2).sum(axis=1)),
                MEMBERS_WITHIN_REACH,
            )
            for label, center in enumerate(centers)
        ]
    )
    found = from_centers(centers, column_weights)
    return Clusters(found.centers, found.weights, found.offsets, reach)
