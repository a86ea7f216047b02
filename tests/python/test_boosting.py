"""Sums over rows by bin, and the boosting that reads nothing else."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from coterie.boosting import AdditiveBoosting, LogLoss, SquaredError
from coterie.onehot import OneHotBins

SETTINGS = {
    "learning_rate": 0.1,
    "max_leaf_nodes": 3,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
}


def simulated(count=3000, seed=0):
    """Give bins with missing values, bins that no row has, and columns that say the same."""
    rng = np.random.default_rng(seed)
    bins = rng.integers(1, 9, size=(count, 5))
    bins[:, 1] = np.where(rng.random(count) < 0.7, 1, bins[:, 1])
    bins[rng.random(count) < 0.3, 2] = 0
    bins[:, 3] = 2 * bins[:, 3]
    bins[:, 4] = np.where(bins[:, 2] == 0, 1, 2)
    target = rng.random(count) < 1 / (1 + np.exp(1 - 0.3 * bins[:, 0] + (bins[:, 2] == 0)))
    return bins, target.astype(np.float64), rng.uniform(0.2, 2.0, count)


def columns_of(bins):
    return OneHotBins(bins, np.cumsum([0, 10, 10, 10, 20, 4]))


def test_sums_and_look_ups_are_those_of_columns_of_ones():
    bins, _, weight = simulated()
    columns = columns_of(bins)
    ones = np.zeros((len(bins), 54))
    for position, start in enumerate(columns.offsets[:-1]):
        ones[np.arange(len(bins)), start + bins[:, position]] = 1
    np.testing.assert_array_equal(columns.row_counts, ones.sum(axis=0))
    np.testing.assert_allclose(columns.sums(weight), weight @ ones, rtol=1e-12)
    weights = np.random.default_rng(1).normal(size=54)
    np.testing.assert_allclose(columns.look_up(weights), ones @ weights, rtol=1e-10, atol=1e-12)
    pairs = ones.T @ (weight[:, np.newaxis] * ones)
    for position in range(5):
        start, stop = columns.offsets[position : position + 2]
        found = columns.pair_sums(position, weight)
        np.testing.assert_allclose(found, pairs[start:stop, start:], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("max_leaf_nodes", [2, 3, 6])
@pytest.mark.parametrize("loss", [LogLoss(), SquaredError()], ids=["log", "squared"])
def test_the_trees_are_those_of_the_library(loss, max_leaf_nodes):
    settings = {**SETTINGS, "max_leaf_nodes": max_leaf_nodes}
    is_classifier = isinstance(loss, LogLoss)
    library = HistGradientBoostingClassifier if is_classifier else HistGradientBoostingRegressor
    bins, target, weight = simulated()
    target = target if is_classifier else target * bins[:, 3] + np.sqrt(bins[:, 0])
    values = np.where(bins == 0, np.nan, bins)
    peer = library(
        **settings, max_iter=60, interaction_cst="no_interactions", early_stopping=False
    ).fit(values, target, sample_weight=weight)
    columns = columns_of(bins)
    stages = list(AdditiveBoosting(columns, **settings).stages(target, weight, loss, 60))
    # The bins that no row has are between others, and look like the nearest.
    unseen = bins.copy()
    unseen[:, 3] = np.arange(len(bins)) % 18 + 1
    predicted = peer.staged_decision_function if is_classifier else peer.staged_predict
    for rows in (bins, unseen):
        expected = list(predicted(np.where(rows == 0, np.nan, rows)))
        for stage in (1, 30, 60):
            intercept, weights = stages[stage - 1]
            found = intercept + weights[columns.offsets[:-1] + rows].sum(axis=1)
            np.testing.assert_allclose(found, expected[stage - 1].ravel(), rtol=1e-6, atol=1e-6)


def test_rows_in_another_order_give_the_same_trees():
    bins, target, weight = simulated()
    order = np.random.default_rng(2).permutation(len(bins))
    found = [
        list(
            AdditiveBoosting(columns_of(bins[rows]), **SETTINGS).stages(
                target[rows], weight[rows], LogLoss(), 100
            )
        )[-1][1]
        for rows in (np.arange(len(bins)), order)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-12)


def test_of_columns_that_say_the_same_the_first_is_split():
    bins, target, weight = simulated()
    twice = OneHotBins(bins[:, [0, 0]], np.array([0, 10, 20]))
    *_, (_, weights) = AdditiveBoosting(twice, **SETTINGS).stages(target, weight, LogLoss(), 50)
    assert np.ptp(weights[1:9]) > 0.5
    assert not weights[10:].any()


def test_what_cannot_be_split_stays_at_the_rate():
    bins, target, weight = simulated(count=30)
    for _, weights in AdditiveBoosting(columns_of(bins), **SETTINGS).stages(
        target, weight, LogLoss(), 5
    ):
        assert not weights.any()


@pytest.mark.parametrize("name", SETTINGS)
def test_parameters_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is -1"):
        AdditiveBoosting(columns_of(simulated()[0]), **{**SETTINGS, name: -1})
