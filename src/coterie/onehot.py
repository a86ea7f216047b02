"""The bins of rows as columns of ones: sums over the rows of each bin, and look-ups by bin.

Half of all values lie in the commonest bin of their feature (the zeros of a count). Rows of these
bins are not listed: their sum is that of all rows less that of the others.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix


class OneHotBins:
    """Which rows lie in which bins.

    Parameters
    ----------
    bins : ndarray of int, shape (n, f)
    offsets : ndarray of int, shape (f + 1,)
        Where the bins of each feature start among the bins of all, and where they end; b in all.

    Attributes
    ----------
    bins : ndarray of uint8, shape (f, n)
    offsets : ndarray of int, shape (f + 1,)
    row_count : int
    row_counts : ndarray of int64, shape (b,)
        Rows of each bin.
    """

    def __init__(self, bins: np.ndarray, offsets: np.ndarray):
        self.bins = np.ascontiguousarray(bins.T.astype(np.uint8))
        self.offsets = offsets
        self.row_count = len(bins)
        counts, rows = [], []
        for feature, (start, stop) in zip(self.bins, pairwise(offsets), strict=True):
            count = np.bincount(feature, minlength=stop - start)
            ends = np.cumsum(count)
            commonest = count.argmax()
            order = np.argsort(feature, kind="stable")
            rows += [order[: ends[commonest] - count[commonest]], order[ends[commonest] :]]
            counts.append(count)
        self.row_counts = np.concatenate(counts)
        self._commonest = offsets[:-1] + [count.argmax() for count in counts]
        listed_counts = self.row_counts.copy()
        listed_counts[self._commonest] = 0
        rows = np.concatenate(rows)
        self._listed = csr_matrix(
            (np.ones(len(rows)), rows, np.concatenate([[0], np.cumsum(listed_counts)])),
            shape=(offsets[-1], self.row_count),
        )

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Add up the values of the rows of each bin.

        Parameters
        ----------
        values : ndarray of float64, shape (n,)

        Returns
        -------
        ndarray of float64, shape (b,)
        """
        found = self._listed @ values
        found[self._commonest] = values.sum() - np.add.reduceat(found, self.offsets[:-1])
        return found

    def look_up(self, weights: np.ndarray) -> np.ndarray:
        """Add up the weights of the bins of each row.

        Parameters
        ----------
        weights : ndarray of float64, shape (b,)

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        commonest = weights[self._commonest]
        differences = weights - np.repeat(commonest, np.diff(self.offsets))
        return self._listed.T @ differences + commonest.sum()

    def pair_sums(self, position: int, values: np.ndarray) -> np.ndarray:
        """Add up the values of the rows of each pair of bins, of one feature and of one after it.

        Parameters
        ----------
        position : int
            Of the one feature.
        values : ndarray of float64, shape (n,)

        Returns
        -------
        ndarray of float64, shape (bins of the feature, bins of it and all after it)
        """
        sizes = np.diff(self.offsets)
        first = self.bins[position].astype(np.int64)
        found = []
        for feature, size in zip(self.bins[position:], sizes[position:], strict=True):
            pairs = np.bincount(
                first * size + feature, weights=values, minlength=sizes[position] * size
            )
            found.append(pairs.reshape(sizes[position], size))
        return np.hstack(found)
