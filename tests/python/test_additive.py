import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score, roc_auc_score
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from coterie.additive import (
    PARTS,
    AdditiveClassifier,
    AdditiveRegressor,
    intercept_shift,
)
from coterie.binning import FeatureBinner, bin_values

ESTIMATORS = [AdditiveClassifier, AdditiveRegressor]


def known_to_fail(estimator):
    no_trees = "max_iter is the number of trees, and a spline has none"
    return (
        {"check_non_transformer_estimators_n_iter": no_trees} if estimator.parts == "spline" else {}
    )


@parametrize_with_checks(
    [estimator(parts=parts) for estimator in ESTIMATORS for parts in PARTS],
    expected_failed_checks=known_to_fail,
)
def test_the_estimators_are_scikit_learn_estimators(estimator, check):
    check(estimator)


def simulated(count=2000, seed=0):
    """Additive, non-linear, with missing values that carry meaning."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 6))
    X[:, 1] = rng.poisson(1.0, count)
    X[:, 2] = rng.lognormal(size=count)
    X[rng.random(count) < 0.2, 3] = np.nan
    return X, (rng.random(count) < expit(truth(X))).astype(int)


def truth(X):
    return (
        1.5 * np.abs(X[:, 0])
        - 1.0 * (X[:, 1] == 0)
        + 0.8 * np.log(X[:, 2])
        + np.where(np.isnan(X[:, 3]), -1.0, np.sin(2 * np.nan_to_num(X[:, 3])))
        - 1.5
    )


def simulated_amounts(count=2000, seed=0):
    X, _ = simulated(count, seed)
    return X, 100 + 10 * truth(X) + np.random.default_rng(seed + 1).normal(size=count)


@pytest.fixture(scope="module")
def fitted():
    return AdditiveClassifier().fit(*simulated())


@pytest.fixture(scope="module", params=ESTIMATORS, ids=lambda estimator: estimator.__name__)
def either(request):
    """Give an estimator class, and X and y for it."""
    data = simulated() if request.param is AdditiveClassifier else simulated_amounts()
    return request.param, *data


def raw_predictions(estimator, X):
    is_classifier = isinstance(estimator, AdditiveClassifier)
    return estimator.decision_function(X) if is_classifier else estimator.predict(X)


def bins_as_numbers(X):
    bins = bin_values(X, FeatureBinner().fit(X).bin_edges_).astype(float)
    bins[bins == 0] = np.nan
    return bins


def spline_columns(X):
    """Write the columns of the spline out, one row for each row of X."""
    columns = []
    for bins in bins_as_numbers(X).T:
        known = ~np.isnan(bins)
        values, places, counts = np.unique(bins[known], return_inverse=True, return_counts=True)
        rank = (np.cumsum(counts) - counts / 2) / known.sum()
        transformer = SplineTransformer(knots=np.linspace(0, 1, 5)[:, np.newaxis], degree=3)
        transformer.fit([[0.0], [1.0]])
        part = np.zeros((len(bins), 7))
        part[known] = transformer.transform(rank[places][:, np.newaxis])
        columns.append(part)
        if not known.all():
            columns.append(~known[:, np.newaxis] * 1.0)
        assert len(values) > 1
    return np.hstack(columns)


def test_two_groups_get_their_own_rates():
    X = np.repeat([0.0, 1.0], 500)[:, np.newaxis]
    y = np.concatenate([np.arange(500) < 100, np.arange(500) < 300])
    for part in ({"max_iter": 400, "l2_regularization": 0}, {"parts": "spline", "C": 1e6}):
        classifier = AdditiveClassifier(**{"parts": "boosting", **part}).fit(X, y)
        found = classifier.predict_proba([[0], [1]])[:, 1]
        np.testing.assert_allclose(found, [0.2, 0.6], atol=1e-5)
        assert classifier.intercept_ == pytest.approx((logit(0.2) + logit(0.6)) / 2, abs=1e-4)
    regressor = AdditiveRegressor(parts="spline", alpha=1e-9).fit(X, y)
    np.testing.assert_allclose(regressor.predict([[0], [1]]), [0.2, 0.6], atol=1e-6)
    assert regressor.intercept_ == pytest.approx(0.4)


def test_a_smooth_truth_is_found_by_each_part():
    X, y = simulated(8000, seed=4)
    X_test, _ = simulated(20_000, seed=5)
    error = {
        parts: np.std(
            AdditiveClassifier(parts=parts, max_iter=300, C=1.0).fit(X, y).decision_function(X_test)
            - truth(X_test)
        )
        for parts in PARTS
    }
    assert max(error.values()) < 0.35 * np.std(truth(X_test)), error
    assert error["blend"] < max(error["boosting"], error["spline"])


def test_the_blend_is_the_mean_of_its_parts(either):
    estimator, X, y = either
    blend, boosting, spline = (estimator(parts=parts).fit(X, y) for parts in PARTS)
    assert PARTS == ("blend", "boosting", "spline")
    for found, left, right in zip(blend.weights_, boosting.weights_, spline.weights_, strict=True):
        np.testing.assert_allclose(found, (left + right) / 2, atol=1e-9)
    mean = (raw_predictions(boosting, X) + raw_predictions(spline, X)) / 2
    np.testing.assert_allclose(raw_predictions(blend, X), mean, rtol=1e-9, atol=1e-8)
    assert np.abs(raw_predictions(boosting, X) - raw_predictions(spline, X)).max() > 0.1
    assert (blend.n_iter_, boosting.n_iter_, spline.n_iter_) == (150, 150, 0)


def test_the_boosted_part_is_the_boosting_it_was_read_from(either):
    estimator, X, y = either
    library = {
        AdditiveClassifier: HistGradientBoostingClassifier,
        AdditiveRegressor: HistGradientBoostingRegressor,
    }[estimator]
    bins = bins_as_numbers(X)
    booster = library(
        learning_rate=0.05,
        max_iter=150,
        max_leaf_nodes=3,
        min_samples_leaf=40,
        l2_regularization=1.0,
        interaction_cst="no_interactions",
        early_stopping=False,
    ).fit(bins, y)
    expected = getattr(booster, "decision_function", booster.predict)(bins)
    found = raw_predictions(estimator(parts="boosting").fit(X, y), X)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


def test_the_spline_part_is_the_penalised_regression_on_splines_of_the_ranks(either):
    estimator, X, y = either
    columns = spline_columns(X)
    if estimator is AdditiveClassifier:
        peer = LogisticRegression(C=0.2, solver="newton-cholesky", tol=1e-12).fit(columns, y)
        expected = peer.decision_function(columns)
    else:
        expected = Ridge(alpha=100.0).fit(columns, y).predict(columns)
    found = raw_predictions(estimator(parts="spline").fit(X, y), X)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_contributions_have_mean_0_in_training(either):
    estimator, X, y = either
    contributions = estimator().fit(X, y).contributions(X)
    np.testing.assert_allclose(contributions.mean(axis=0), 0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(X=arrays(np.float64, (5, 6), elements=st.floats()))
def test_contributions_and_intercept_are_the_log_odds_of_any_row(fitted, X):
    log_odds = fitted.contributions(X).sum(axis=1) + fitted.intercept_
    probability = fitted.predict_proba(X)
    np.testing.assert_array_equal(fitted.decision_function(X), log_odds)
    np.testing.assert_allclose(logit(probability[:, 1]), log_odds, atol=1e-9)
    np.testing.assert_allclose(probability.sum(axis=1), 1)


@pytest.mark.parametrize("parts", PARTS)
def test_what_is_missing_has_its_own_weight(parts):
    rng = np.random.default_rng(0)
    is_missing = rng.random(4000) < 0.3
    X = np.where(is_missing, np.nan, rng.normal(size=4000))[:, np.newaxis]
    y = rng.random(4000) < np.where(is_missing, 0.8, 0.2)
    classifier = AdditiveClassifier(parts=parts).fit(X, y)
    probability = classifier.predict_proba(X)[:, 1]
    assert probability[is_missing].mean() == pytest.approx(y[is_missing].mean(), abs=0.04)
    assert probability[~is_missing].mean() == pytest.approx(y[~is_missing].mean(), abs=0.02)


@pytest.mark.parametrize("parts", PARTS)
def test_a_missing_value_that_training_never_saw_is_neutral(parts):
    X, y = simulated()
    X = X[:, :2]
    classifier = AdditiveClassifier(parts=parts).fit(X, y)
    assert [weights[0] for weights in classifier.weights_] == [0.0, 0.0]
    assert classifier.decision_function([[np.nan, np.nan]])[0] == classifier.intercept_


@pytest.mark.parametrize("parts", PARTS)
def test_a_column_that_is_constant_or_has_no_values_weighs_nothing(either, parts):
    estimator, X, y = either
    X = X.copy()
    X[:, 4] = 7.0
    X[:, 5] = np.nan
    edges = [*FeatureBinner().fit(X).bin_edges_[:4], [1.0, 9.0], [0.0]]
    for found in (estimator(parts=parts), estimator(parts=parts, bin_edges=edges)):
        found.fit(X, y)
        assert not found.weights_[4].any()
        assert not found.weights_[5].any()
        assert np.abs(found.weights_[0]).max() > 0.1
    assert [len(weights) for weights in found.weights_[4:]] == [4, 3]


def test_columns_that_all_say_nothing_leave_the_rate():
    y = np.arange(100) < 30
    for parts in PARTS:
        classifier = AdditiveClassifier(parts=parts).fit(np.ones((100, 2)), y)
        assert classifier.predict_proba([[1, 1]])[0, 1] == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("parts", PARTS)
def test_given_edges_are_kept_and_an_unseen_bin_follows_its_neighbours(parts):
    rng = np.random.default_rng(0)
    X = rng.choice([0.0, 1.0, 3.0, 4.0], 4000)[:, np.newaxis]
    y = rng.random(4000) < expit(X[:, 0] - 2)
    edges = [[-1.0, 0.5, 1.5, 2.5, 3.5, 50.0]]
    classifier = AdditiveClassifier(bin_edges=edges, parts=parts).fit(X, y)
    np.testing.assert_array_equal(classifier.bin_edges_[0], edges[0])
    below, low, middle, gap, upper, high, above = classifier.weights_[0][1:]
    assert (below, above) == (low, high)
    assert low < middle <= gap <= upper < high


@pytest.mark.parametrize("edges", [[[1.0]], [[1.0, 1.0], [0.0]], [[2.0, np.inf], [0.0]]])
def test_edges_that_do_not_fit_are_refused(edges):
    X, y = simulated()
    with pytest.raises(ValueError, match="bin_edges"):
        AdditiveClassifier(bin_edges=edges).fit(X[:, :2], y)


def test_unknown_parts_are_refused():
    with pytest.raises(ValueError, match="choose one of blend, boosting, spline"):
        AdditiveClassifier(parts="stumps").fit(*simulated())


@pytest.mark.parametrize("parts", PARTS)
def test_a_weight_is_a_number_of_equal_rows(either, parts):
    estimator, X, y = either
    weight = np.random.default_rng(2).integers(0, 4, len(y))
    # Leaves are counted in rows, whatever they weigh.
    unfitted = estimator(parts=parts, min_samples_leaf=1)
    weighted = clone(unfitted).fit(X, y, sample_weight=weight)
    repeated = clone(unfitted).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    for left, right in zip(weighted.bin_edges_, repeated.bin_edges_, strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(
        raw_predictions(weighted, X), raw_predictions(repeated, X), rtol=1e-5, atol=1e-5
    )
    assert (
        np.abs(raw_predictions(clone(unfitted).fit(X, y), X) - raw_predictions(weighted, X)).max()
        > 0.01
    )


@pytest.mark.parametrize("parts", PARTS)
def test_row_order_and_threads_change_no_weight(either, parts):
    estimator, X, y = either
    order = np.random.default_rng(1).permutation(len(X))
    with threadpool_limits(1):
        one = estimator(parts=parts).fit(X, y)
    with threadpool_limits(2):
        other = estimator(parts=parts, random_state=7).fit(X[order], y[order])
    assert other.to_table().equals(one.to_table())


def test_weights_have_twelve_significant_digits(fitted):
    numbers = [fitted.intercept_, *np.concatenate(fitted.weights_)]
    assert all(number == float(f"{number:.12g}") for number in numbers)


@pytest.mark.parametrize("use_names", [True, False])
def test_a_stored_table_predicts_exactly_as_its_estimator(either, use_names):
    import pandas as pd

    estimator, X, y = either
    X = np.hstack([X, X])  # from x10 on, names do not sort as numbers do
    if use_names:
        X = pd.DataFrame(X, columns=list("lkjihgfedcba"))
    direct = estimator().fit(X, y)
    table = direct.to_table()
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    features = list(X.columns) if use_names else None
    for read in (
        estimator.from_table(table),
        estimator.from_table(shuffled, features=features),
    ):
        np.testing.assert_array_equal(raw_predictions(read, X), raw_predictions(direct, X))
        np.testing.assert_array_equal(read.predict(X), direct.predict(X))
        assert read.to_table().equals(table)
    again = clone(read).fit(X, y)
    assert again.bin_edges_[0].tolist() == direct.bin_edges_[0].tolist()


def test_a_table_that_is_no_estimator_is_refused(fitted):
    table = fitted.to_table()
    with pytest.raises(ValueError, match="2 intercepts"):
        AdditiveClassifier.from_table(
            pa.concat_tables(
                [table, table.set_column(4, "intercept", pa.array([9.0] * table.num_rows))]
            )
        )
    with pytest.raises(ValueError, match="bins of feature x0"):
        AdditiveClassifier.from_table(table.slice(1))
    with pytest.raises(ValueError, match="x3"):
        AdditiveClassifier.from_table(table, features=["x3"])
    with pytest.raises(ValueError, match="no column weight"):
        AdditiveClassifier.from_table(table.drop_columns("weight"))


def test_weights_from_elsewhere_are_an_estimator():
    weights = [np.array([0.0, -1.0, 1.0])]
    classifier = AdditiveClassifier.from_weights([[5.0]], weights, 0.5)
    found = classifier.decision_function([[np.nan], [4.0], [6.0]])
    np.testing.assert_array_equal(found, [0.5, -0.5, 1.5])
    regressor = AdditiveRegressor.from_weights([[5.0]], weights, 0.5)
    np.testing.assert_array_equal(regressor.predict([[np.nan], [4.0], [6.0]]), [0.5, -0.5, 1.5])
    for estimator in (AdditiveClassifier, AdditiveRegressor):
        with pytest.raises(ValueError, match="two weights more than edges"):
            estimator.from_weights([[5.0, 6.0]], weights, 0.5)


@pytest.mark.parametrize("parts", ["blend", "boosting"])
def test_the_losses_by_number_of_trees_are_those_of_fits_with_as_many(either, parts):
    estimator, X, y = either
    train, late = slice(0, 1500), slice(1500, None)
    unfitted = estimator(parts=parts, max_iter=7)
    losses = unfitted.losses_by_max_iter(X[train], y[train], X[late], y[late], [60, 5, 20])
    assert list(losses) == [5, 20, 60]
    for max_iter, loss in losses.items():
        found = estimator(parts=parts, max_iter=max_iter).fit(X[train], y[train])
        expected = (
            log_loss(y[late], found.predict_proba(X[late])[:, 1])
            if estimator is AdditiveClassifier
            else np.mean((y[late] - found.predict(X[late])) ** 2)
        )
        assert loss == pytest.approx(expected, rel=1e-9)
    assert losses[60] < losses[5]
    assert unfitted.max_iter == 7
    assert not hasattr(unfitted, "weights_")


def test_the_recalibrated_mean_is_the_observed_rate(fitted):
    X, y = simulated(seed=1)
    classifier = AdditiveClassifier.from_table(fitted.to_table())
    late = (y == 1) | (np.arange(len(y)) % 4 == 0)
    classifier.recalibrate_intercept(X[late], y[late])
    assert classifier.predict_proba(X[late])[:, 1].mean() == pytest.approx(y[late].mean())
    assert classifier.intercept_ > fitted.intercept_
    with pytest.raises(ValueError, match="one class only"):
        classifier.recalibrate_intercept(X[:2], [1, 1])
    with pytest.raises(ValueError, match="holds the class 2"):
        classifier.recalibrate_intercept(X[:2], [1, 2])


@given(
    arrays(np.float64, st.integers(2, 30), elements=st.floats(-30, 30)),
    st.integers(1, 10),
)
def test_the_shift_meets_the_rate_from_anywhere(log_odds, positives):
    outcomes = np.arange(len(log_odds)) < min(positives, len(log_odds) - 1)
    shifted = expit(log_odds + intercept_shift(log_odds, outcomes))
    assert shifted.mean() == pytest.approx(outcomes.mean(), abs=1e-8)


def test_accuracy_matches_a_small_lightgbm_on_additive_data():
    lightgbm = pytest.importorskip("lightgbm")
    X, y = simulated(8000, seed=2)
    X_test, y_test = simulated(40_000, seed=3)
    peer = lightgbm.LGBMClassifier(
        num_leaves=6,
        n_estimators=150,
        learning_rate=0.05,
        colsample_bytree=0.7,
        subsample=0.8,
        subsample_freq=1,
        min_child_samples=40,
        n_jobs=1,
        random_state=0,
        verbose=-1,
    ).fit(X, y)
    # So strong a signal wants a weaker penalty than that of shops, and more trees.
    ours = AdditiveClassifier(max_iter=300, C=1.0).fit(X, y).predict_proba(X_test)[:, 1]
    theirs = peer.predict_proba(X_test)[:, 1]
    assert roc_auc_score(y_test, ours) > roc_auc_score(y_test, theirs) - 0.005
    assert log_loss(y_test, ours) < log_loss(y_test, theirs) + 0.005


def test_amounts_are_predicted_where_they_are_additive():
    X, y = simulated_amounts(4000, seed=6)
    X_test, y_test = simulated_amounts(4000, seed=7)
    found = AdditiveRegressor(max_iter=300, alpha=1.0).fit(X, y).predict(X_test)
    assert r2_score(y_test, found) > 0.95
