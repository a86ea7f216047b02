"""The bins of rows as columns of ones: sums over the rows of each bin, and look-ups by bin.

Half of all values lie in the commonest bin of their feature (the zeros of a count). Rows of these
bins are not listed: their sum is that of all rows less that of the others. Other rows are listed
once for two features, by the cells of their bins.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

# Rows of a cell of two features, on average, from which on it pays to add them up first.
MIN_CELL_ROWS = 8


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
        self.bins = np.ascontiguousarray(bins.T, dtype=np.uint8)
        self.offsets = offsets
        self.row_count = len(bins)
        counts = [
            np.bincount(feature, minlength=size)
            for feature, size in zip(self.bins, np.diff(offsets), strict=True)
        ]
        self.row_counts = np.concatenate(counts)
        self._commonest = offsets[:-1] + [count.argmax() for count in counts]

        cells = [self._cells(features) for features in self._pairs()]
        rows = np.concatenate([rows for rows, _, _ in cells])
        cell_counts = np.concatenate([counts for _, counts, _ in cells])
        self._listed = csr_matrix(
            (np.ones(len(rows)), rows, np.concatenate([[0], np.cumsum(cell_counts)])),
            shape=(len(cell_counts), self.row_count),
        )
        # The bins of each cell, but for commonest ones.
        cell_bins = np.concatenate([cell_bins for _, _, cell_bins in cells])
        is_counted = ~np.isin(cell_bins, self._commonest)
        places = np.repeat(np.arange(len(cell_bins)), cell_bins.shape[1]).reshape(cell_bins.shape)
        self._cells_of_bins = csr_matrix(
            (np.ones(is_counted.sum()), (cell_bins[is_counted], places[is_counted])),
            shape=(offsets[-1], len(cell_counts)),
        )

    def _pairs(self) -> list[tuple[int, int]]:
        """Pair features whose commonest bins hold alike many rows; one that stays alone is twice.

        Where there are many rows, two features are listed at once, by the cells of both.
        """
        sizes = np.diff(self.offsets)
        order = np.argsort(-self.row_counts[self._commonest], kind="stable").tolist()
        pairs = []
        while order:
            first = order.pop(0)
            is_paired = order and sizes[first] * sizes[order[0]] <= self.row_count / MIN_CELL_ROWS
            pairs.append((first, order.pop(0) if is_paired else first))
        return pairs

    def _cells(self, features: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """List the rows of each cell of two features, but those of their commonest bins.

        Gives the rows by cell, the number of rows of each cell, and its two bins, shape (cells, 2).
        """
        one, other = features
        size = np.diff(self.offsets)[other]
        # Two bytes hold every cell, and are sorted without comparing.
        cells = self.bins[one].astype(np.uint16) * np.uint16(size) + self.bins[other]
        counts = np.bincount(cells)
        ends = np.cumsum(counts)
        commonest = self._commonest - self.offsets[:-1]
        left_out = commonest[one] * size + commonest[other]
        order = np.argsort(cells, kind="stable")
        if left_out < len(counts):
            order = np.delete(order, np.s_[ends[left_out] - counts[left_out] : ends[left_out]])
            counts[left_out] = 0
        filled = np.flatnonzero(counts)
        cell_bins = np.column_stack(
            [self.offsets[one] + filled // size, self.offsets[other] + filled % size]
        )
        if one == other:
            cell_bins[:, 1] = self._commonest[one]
        return order, counts[filled], cell_bins

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Add up the values of the rows of each bin.

        Parameters
        ----------
        values : ndarray of float64, shape (n,)

        Returns
        -------
        ndarray of float64, shape (b,)
        """
        found = self._cells_of_bins @ (self._listed @ values)
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
        return self._listed.T @ (self._cells_of_bins.T @ differences) + commonest.sum()

    def pair_sums(self, position: int, values: np.ndarray, step: int = 1) -> np.ndarray:
        """Add up the values of the rows of each pair of bins, of one feature and of one after it.

        Parameters
        ----------
        position : int
            Of the one feature.
        values : ndarray of float64, shape (n,)
        step : int
            Only every so many rows count.

        Returns
        -------
        ndarray of float64, shape (bins of the feature, bins of it and all after it)
        """
        sizes = np.diff(self.offsets)
        bins, values = self.bins[position:, ::step], values[::step]
        widest = sizes[position:].max()
        first = bins[0].astype(np.int64) * widest
        found = []
        for feature, size in zip(bins, sizes[position:], strict=True):
            pairs = np.bincount(first + feature, weights=values, minlength=sizes[position] * widest)
            found.append(pairs.reshape(sizes[position], widest)[:, :size])
        return np.hstack(found)
