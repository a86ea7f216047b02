"""Additive estimators whose fitted form is one table of weights over the bins of features.

A prediction is an intercept plus one weight for each feature, looked up by the bin of its value.
Two learners give the weights, and their average is kept: boosted trees that each split on one
feature (Lou et al. 2012, "Intelligible models for classification and regression"), and penalised
cubic splines of the ranks of the values (Eilers & Marx 1996, "Flexible smoothing with B-splines
and penalties", here with a ridge penalty), evaluated on the same bins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import brentq, minimize
from scipy.sparse import block_diag
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from coterie import tables
from coterie.binning import (
    MAX_BINS,
    FeatureBinner,
    bin_set_edges,
    bin_values,
    checked_weights,
)
from coterie.boosting import AdditiveBoosting, LogLoss, Loss, SquaredError
from coterie.onehot import OneHotBins
from coterie.threads import one_thread

PARTS = ("blend", "boosting", "spline")

# Rows that tell the curvature of a loss, at least.
_CURVATURE_ROW_COUNT = 8192
# Decimals of a classifier's weights.
WEIGHT_DECIMALS = 9


class _AdditiveEstimator(BaseEstimator, ABC):
    """What the estimators share: bins, the two parts, the table, and its contributions.

    A subclass stores the parameters, and says what its boosting and its spline minimise.
    """

    _boosting_loss: Loss

    @abstractmethod
    def _spline_coefficients(
        self, design: _SplineDesign, target: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """Give the intercept and one coefficient for each column of the design."""

    def _fit(self, X: np.ndarray, target: np.ndarray, weight: np.ndarray) -> None:
        """Learn the table from numbers that were checked."""
        columns, target, weight = self._prepare(X, target, weight)
        found = []
        # One thread: sums over rows would differ in their last bits from count to count.
        with one_thread():
            if self.parts != "spline":
                found += self._boosted_stages(columns, target, weight, [self.max_iter])
            if self.parts != "boosting":
                found.append(self._spline_part(columns, target, weight))
            self._keep(found, columns.sums(weight))
        self.n_iter_ = 0 if self.parts == "spline" else self.max_iter

    def _prepare(
        self, X: np.ndarray, target: np.ndarray, weight: np.ndarray
    ) -> tuple[OneHotBins, np.ndarray, np.ndarray]:
        """Give bins, target and weight of the rows that count, in an order of their own."""
        if self.parts not in PARTS:
            raise ValueError(f"parts is {self.parts!r}; choose one of {', '.join(PARTS)}.")
        counts = weight > 0
        if not counts.all():
            X, target, weight = X[counts], target[counts], weight[counts]
        if self.bin_edges is None:
            binner = FeatureBinner(n_bins=self.n_bins).fit(X, sample_weight=weight)
            self.bin_edges_ = binner.bin_edges_
        else:
            self.bin_edges_ = _checked_edges(self.bin_edges, X.shape[1])
        bins = bin_values(X, self.bin_edges_).astype(np.uint8)
        # Sums follow the order of the rows in their last bits. Sorted by all that is learned from,
        # rows that change places are equal rows.
        order = _content_order(bins, target, weight)
        return OneHotBins(bins[order], self._offsets()), target[order], weight[order]

    def _boosted_stages(
        self, columns: OneHotBins, target: np.ndarray, weight: np.ndarray, stages: Sequence[int]
    ) -> Iterable[np.ndarray]:
        """Give the raw weights of the boosting after each of these numbers of trees."""
        boosting = AdditiveBoosting(
            columns,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
        )
        found = boosting.stages(target, weight, self._boosting_loss, max(stages))
        for stage, (intercept, weights) in enumerate(found, start=1):
            if stage in stages:
                yield np.concatenate([[intercept], weights])

    def _spline_part(
        self, columns: OneHotBins, target: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """Give the raw weights of the spline."""
        design = _SplineDesign(columns, weight, self.n_knots, self.degree)
        coefficients = self._spline_coefficients(design, target, weight)
        return np.concatenate([coefficients[:1], design.basis @ coefficients[1:]])

    def _keep(self, parts: Sequence[np.ndarray], bin_weight: np.ndarray) -> None:
        """Make the average of some raw weights the table, each feature with mean 0 in training.

        `bin_weight` is what the rows of each bin weigh together.
        """
        raw = np.mean(parts, axis=0)
        intercept = raw[0]
        self.weights_ = []
        for start, stop in pairwise(self._offsets()):
            shape = raw[1 + start : 1 + stop]
            share = bin_weight[start:stop]
            mean = share @ shape / share.sum()
            intercept += mean
            weights = self._rounded(shape - mean)
            if share[0] == 0:
                weights[0] = 0.0
            if np.count_nonzero(share) == 1:
                weights[:] = 0.0
            self.weights_.append(weights)
        self.intercept_ = float(tables.round_significant(intercept))

    def _rounded(self, weights: np.ndarray) -> np.ndarray:
        return tables.round_significant(weights)

    def _offsets(self) -> np.ndarray:
        """Give where the bins of each feature start among the bins of all, and where they end."""
        return np.cumsum([0, *(len(edges) + 2 for edges in self.bin_edges_)])

    def _losses(
        self,
        X: np.ndarray,
        target: np.ndarray,
        X_late: np.ndarray,
        late_target: np.ndarray,
        candidates: Sequence[int],
        sample_weight: Any,
    ) -> dict[int, float]:
        """Give the loss on later rows by the number of trees.

        The first trees of a longer fit are the trees of a shorter one, so one fit tries all.
        """
        trial = type(self)(**{**self.get_params(deep=False), "max_iter": max(candidates)})
        columns, target, weight = trial._prepare(X, target, checked_weights(sample_weight, len(X)))
        late_bins = bin_values(X_late, trial.bin_edges_)
        losses = {}
        with one_thread():
            bin_weight = columns.sums(weight)
            others = []
            if trial.parts == "blend":
                others.append(trial._spline_part(columns, target, weight))
            stages = sorted(set(candidates))
            for stage, part in zip(
                stages, trial._boosted_stages(columns, target, weight, stages), strict=True
            ):
                trial._keep([part, *others], bin_weight)
                raw = trial._look_up(late_bins).sum(axis=1) + trial.intercept_
                losses[stage] = trial._loss(late_target, raw)
        return losses

    def contributions(self, X: Any) -> np.ndarray:
        """Give what each feature adds to the prediction, on the scale on which weights add up.

        Parameters
        ----------
        X : array-like of float, shape (n, f)

        Returns
        -------
        ndarray of float64, shape (n, f)
            ``intercept_`` plus the sum of a row is the log-odds of a classifier and the prediction
            of a regressor.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        return self._look_up(bin_values(X, self.bin_edges_))

    def _look_up(self, bins: np.ndarray) -> np.ndarray:
        found = np.empty(bins.shape, dtype=np.float64)
        for position, weights in enumerate(self.weights_):
            found[:, position] = weights[bins[:, position]]
        return found

    def to_table(self) -> pa.Table:
        """Write the fitted estimator as a table.

        Returns
        -------
        pa.Table
            Columns feature, bin, upper_edge, weight and intercept (the same on each row); one row
            for each feature and bin. Features of a nameless matrix are called x0, x1, ...
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", _generic_names(self.n_features_in_))
        columns: dict[str, list] = {"feature": [], "bin": [], "upper_edge": [], "weight": []}
        for name, edges, weights in zip(names, self.bin_edges_, self.weights_, strict=True):
            columns["feature"] += [str(name)] * len(weights)
            columns["bin"] += range(len(weights))
            columns["upper_edge"] += [None, *edges.tolist(), np.inf]
            columns["weight"] += weights.tolist()
        columns["intercept"] = [self.intercept_] * len(columns["bin"])
        return pa.table(
            columns,
            schema=pa.schema(
                [
                    ("feature", pa.string()),
                    ("bin", pa.int64()),
                    ("upper_edge", pa.float64()),
                    ("weight", pa.float64()),
                    ("intercept", pa.float64()),
                ]
            ),
        )

    @classmethod
    def _of_weights(
        cls, bin_edges: Sequence[np.ndarray], weights: Sequence[np.ndarray], intercept: float
    ) -> Any:
        edges = _checked_edges(bin_edges, len(weights))
        for position, (found, feature_edges) in enumerate(zip(weights, edges, strict=True)):
            if len(found) != len(feature_edges) + 2:
                raise ValueError(
                    f"feature {position} has {len(found)} weights and {len(feature_edges)} edges; "
                    "give two weights more than edges."
                )
        estimator = cls(bin_edges=edges)
        estimator.n_features_in_ = len(edges)
        estimator.bin_edges_ = edges
        estimator.weights_ = list(weights)
        estimator.intercept_ = intercept
        return estimator

    @classmethod
    def _read_table(cls, table: pa.Table, features: Sequence[str] | None) -> Any:
        columns = ["feature", "bin", "upper_edge", "weight", "intercept"]
        tables.require_columns(table, columns, "the table of weights")
        named = list(dict.fromkeys(table["feature"].to_pylist()))
        generic = _generic_names(len(named)).tolist()
        if features is None:
            features = generic if set(named) == set(generic) else named
        if set(features) != set(named):
            raise ValueError(
                f"the table of weights holds the features {named}, not {list(features)}; "
                "name the same features."
            )
        intercepts = table["intercept"].unique().to_pylist()
        if len(intercepts) != 1:
            raise ValueError(
                f"the table of weights has {len(intercepts)} intercepts; keep the rows of one "
                "model version."
            )
        weights = [
            table.filter(pc.equal(table["feature"], feature)).sort_by("bin")["weight"].to_numpy()
            for feature in features
        ]
        estimator = cls._of_weights(bin_set_edges(table, features), weights, intercepts[0])
        if list(features) != generic:
            estimator.feature_names_in_ = np.asarray(features, dtype=object)
        return estimator

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class AdditiveClassifier(ClassifierMixin, _AdditiveEstimator):
    """Binary classifier whose log-odds are an intercept plus one weight for each feature's bin.

    Features are cut into bins. Gradient boosting without interactions is fitted on the bins (bin 0
    as its missing value, which joins either side of a split), and the shape of each feature is
    read off by predicting one row per bin. A logistic regression is fitted on B-splines of the
    mean rank of each bin, with an indicator for bin 0. The average of both, in log-odds, is the
    table of weights, and from then on the table is the estimator: `predict_proba` evaluates
    nothing else.

    A feature that is constant or has no value weighs 0.

    Parameters
    ----------
    parts : {"blend", "boosting", "spline"}, default="blend"
        What the weights come from.
    n_bins : int, default=32
        Most bins of a feature, beside bin 0 for missing values; unused with `bin_edges`.
    bin_edges : list of array-like, one for each feature, default=None
        Increasing edges to use; None fits a `FeatureBinner`.
    learning_rate : float, default=0.05
        Of the boosting.
    max_iter : int, default=150
        Number of trees.
    max_leaf_nodes : int, default=3
        Of a tree.
    min_samples_leaf : int, default=40
        Rows of a leaf.
    l2_regularization : float, default=1.0
        Of the boosting.
    n_knots : int, default=5
        Of the spline, even over the ranks.
    degree : int, default=3
        Of the spline.
    C : float, default=0.2
        Inverse penalty of the spline, as in `sklearn.linear_model.LogisticRegression`.
    random_state : int or None, default=0
        Unused, as nothing is drawn at random.

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
        The second class is the positive one.
    bin_edges_ : list of ndarray of float64, one for each feature
    weights_ : list of ndarray of float64, one for each feature
        ``weights_[j][b]`` is the contribution of bin b of feature j to the log-odds, with mean 0
        over the training rows, in whole billionths. A missing value that training never saw weighs
        0.
    intercept_ : float
        Log-odds.
    n_iter_ : int
        Number of trees; not known to an estimator that was read from a table.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X is a DataFrame.
    """

    _boosting_loss = LogLoss()

    def __init__(
        self,
        parts: str = "blend",
        n_bins: int = 32,
        bin_edges: Sequence[Any] | None = None,
        learning_rate: float = 0.05,
        max_iter: int = 150,
        max_leaf_nodes: int = 3,
        min_samples_leaf: int = 40,
        l2_regularization: float = 1.0,
        n_knots: int = 5,
        degree: int = 3,
        C: float = 0.2,
        random_state: int | None = 0,
    ):
        self.parts = parts
        self.n_bins = n_bins
        self.bin_edges = bin_edges
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.n_knots = n_knots
        self.degree = degree
        self.C = C
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdditiveClassifier:
        """Learn the weights.

        Parameters
        ----------
        X : array-like of float, shape (n, f)
            NaN is missing.
        y : array-like, shape (n,)
            Two classes.
        sample_weight : array-like of float, shape (n,), optional
            Not negative. A row of weight 2 counts as two rows, except in `min_samples_leaf`.

        Raises
        ------
        ValueError
            If y does not hold exactly two classes, `parts` is unknown, or `bin_edges` does not
            fit X.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False)
        weight = checked_weights(sample_weight, len(y))
        self.classes_, target = _encoded_classes(y, weight)
        self._fit(X, target, weight)
        return self

    def _rounded(self, weights: np.ndarray) -> np.ndarray:
        # Whole billionths add up exactly, in whatever order and engine.
        return np.round(weights, WEIGHT_DECIMALS) + 0.0

    def _spline_coefficients(
        self, design: _SplineDesign, target: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        return _logistic_coefficients(design, target, weight, penalty=1 / self.C)

    def _loss(self, target: np.ndarray, raw: np.ndarray) -> float:
        return float(tables.round_significant(log_loss(target, expit(raw))))

    def decision_function(self, X: Any) -> np.ndarray:
        """Give the log-odds of the second class, shape (n,)."""
        return self.contributions(X).sum(axis=1) + self.intercept_

    def predict_proba(self, X: Any) -> np.ndarray:
        """Give the probabilities of both classes, shape (n, 2)."""
        log_odds = self.decision_function(X)
        return np.column_stack([expit(-log_odds), expit(log_odds)])

    def predict(self, X: Any) -> np.ndarray:
        """Give the more probable class, shape (n,)."""
        is_positive = self.decision_function(X) > 0
        return self.classes_[is_positive.astype(np.int64)]

    def losses_by_max_iter(
        self,
        X: Any,
        y: Any,
        X_late: Any,
        y_late: Any,
        candidates: Sequence[int],
        sample_weight: Any = None,
    ) -> dict[int, float]:
        """Give the log loss on other rows by the number of trees, all from one fit.

        Parameters
        ----------
        X : array-like of float, shape (n, f)
        y : array-like of 0 and 1, shape (n,)
        X_late : array-like of float, shape (m, f)
        y_late : array-like of 0 and 1, shape (m,)
            Both have to occur.
        candidates : sequence of int
            Numbers of trees.
        sample_weight : array-like of float, shape (n,), optional
            Of the rows that are learned from.

        Returns
        -------
        dict of int to float
            This estimator stays as it was.
        """
        X, X_late = np.asarray(X, dtype=np.float64), np.asarray(X_late, dtype=np.float64)
        y, y_late = np.asarray(y), np.asarray(y_late)
        return self._losses(X, y, X_late, y_late, candidates, sample_weight)

    def recalibrate_intercept(self, X: Any, y: Any) -> AdditiveClassifier:
        """Shift the intercept until the mean probability equals the observed rate on some rows.

        Parameters
        ----------
        X : array-like of float, shape (n, f)
        y : array-like, shape (n,)
            Both classes have to occur.

        Returns
        -------
        AdditiveClassifier
            This estimator, with another ``intercept_``.

        Raises
        ------
        ValueError
            If y holds only one class, or a class that training did not see.
        """
        log_odds = self.decision_function(X)
        y = column_or_1d(y)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y holds the class {unknown[0]}, and the classifier was fitted on "
                f"{self.classes_.tolist()}; give outcomes of the same classes."
            )
        shift = intercept_shift(log_odds, y == self.classes_[1])
        self.intercept_ = float(tables.round_significant(self.intercept_ + shift))
        return self

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        *,
        features: Sequence[str] | None = None,
        classes: Sequence[Any] = (0, 1),
    ) -> AdditiveClassifier:
        """Make a stored table an estimator again.

        Parameters
        ----------
        table : pa.Table
            The columns of `to_table`, rows in any order.
        features : sequence of str, optional
            The order of the columns of X. By default x0, x1, ... in the order of their numbers,
            or else the order in which the table names the features.
        classes : sequence of two classes
            The second is the positive one.

        Raises
        ------
        ValueError
            If a column or a bin is missing, or the intercept is not one number.
        """
        estimator = cls._read_table(table, features)
        estimator.classes_ = np.asarray(classes)
        return estimator

    @classmethod
    def from_weights(
        cls,
        bin_edges: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        intercept: float,
        classes: Sequence[Any] = (0, 1),
    ) -> AdditiveClassifier:
        """Make an estimator of weights that were found elsewhere.

        Parameters
        ----------
        bin_edges : sequence of f increasing ndarrays
        weights : sequence of f ndarrays
            One weight more than bins, that of a missing value first.
        intercept : float
            Log-odds.
        classes : sequence of two classes
            The second is the positive one.

        Raises
        ------
        ValueError
            If the edges are not increasing, or a feature has not one weight for each bin.
        """
        estimator = cls._of_weights(bin_edges, weights, intercept)
        estimator.classes_ = np.asarray(classes)
        return estimator

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class AdditiveRegressor(RegressorMixin, _AdditiveEstimator):
    """Regressor whose prediction is an intercept plus one weight for each feature's bin.

    As `AdditiveClassifier`, with squared loss: the boosting minimises it, and the spline is a
    ridge regression.

    Parameters
    ----------
    parts : {"blend", "boosting", "spline"}, default="blend"
        What the weights come from.
    n_bins : int, default=32
        Most bins of a feature, beside bin 0 for missing values; unused with `bin_edges`.
    bin_edges : list of array-like, one for each feature, default=None
        Increasing edges to use; None fits a `FeatureBinner`.
    learning_rate : float, default=0.05
        Of the boosting.
    max_iter : int, default=150
        Number of trees.
    max_leaf_nodes : int, default=3
        Of a tree.
    min_samples_leaf : int, default=40
        Rows of a leaf.
    l2_regularization : float, default=1.0
        Of the boosting.
    n_knots : int, default=5
        Of the spline, even over the ranks.
    degree : int, default=3
        Of the spline.
    alpha : float, default=100.0
        Penalty of the spline, as in `sklearn.linear_model.Ridge`.
    random_state : int or None, default=0
        Unused, as nothing is drawn at random.

    Attributes
    ----------
    bin_edges_ : list of ndarray of float64, one for each feature
    weights_ : list of ndarray of float64, one for each feature
        ``weights_[j][b]`` is the contribution of bin b of feature j to the prediction, in the unit
        of y, with mean 0 over the training rows. A missing value that training never saw weighs 0.
    intercept_ : float
        In the unit of y.
    n_iter_ : int
        Number of trees; not known to an estimator that was read from a table.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X is a DataFrame.
    """

    _boosting_loss = SquaredError()

    def __init__(
        self,
        parts: str = "blend",
        n_bins: int = 32,
        bin_edges: Sequence[Any] | None = None,
        learning_rate: float = 0.05,
        max_iter: int = 150,
        max_leaf_nodes: int = 3,
        min_samples_leaf: int = 40,
        l2_regularization: float = 1.0,
        n_knots: int = 5,
        degree: int = 3,
        alpha: float = 100.0,
        random_state: int | None = 0,
    ):
        self.parts = parts
        self.n_bins = n_bins
        self.bin_edges = bin_edges
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.n_knots = n_knots
        self.degree = degree
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> AdditiveRegressor:
        """Learn the weights.

        Parameters
        ----------
        X : array-like of float, shape (n, f)
            NaN is missing.
        y : array-like of float, shape (n,)
        sample_weight : array-like of float, shape (n,), optional
            Not negative. A row of weight 2 counts as two rows, except in `min_samples_leaf`.

        Raises
        ------
        ValueError
            If y is not finite, `parts` is unknown, or `bin_edges` does not fit X.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False, y_numeric=True)
        self._fit(X, y.astype(np.float64), checked_weights(sample_weight, len(y)))
        return self

    def _spline_coefficients(
        self, design: _SplineDesign, target: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        return _ridge_coefficients(design, target, weight, penalty=self.alpha)

    def _loss(self, target: np.ndarray, raw: np.ndarray) -> float:
        return float(tables.round_significant(mean_squared_error(target, raw)))

    def predict(self, X: Any) -> np.ndarray:
        """Give the predictions in the unit of y, shape (n,)."""
        return self.contributions(X).sum(axis=1) + self.intercept_

    def losses_by_max_iter(
        self,
        X: Any,
        y: Any,
        X_late: Any,
        y_late: Any,
        candidates: Sequence[int],
        sample_weight: Any = None,
    ) -> dict[int, float]:
        """Give the mean squared error on other rows by the number of trees, all from one fit.

        Parameters
        ----------
        X : array-like of float, shape (n, f)
        y : array-like of float, shape (n,)
        X_late : array-like of float, shape (m, f)
        y_late : array-like of float, shape (m,)
        candidates : sequence of int
            Numbers of trees.
        sample_weight : array-like of float, shape (n,), optional
            Of the rows that are learned from.

        Returns
        -------
        dict of int to float
            This estimator stays as it was.
        """
        X, X_late = np.asarray(X, dtype=np.float64), np.asarray(X_late, dtype=np.float64)
        y = np.asarray(y, dtype=np.float64)
        return self._losses(X, y, X_late, y_late, candidates, sample_weight)

    @classmethod
    def from_table(
        cls, table: pa.Table, *, features: Sequence[str] | None = None
    ) -> AdditiveRegressor:
        """Make a stored table an estimator again.

        Parameters
        ----------
        table : pa.Table
            The columns of `to_table`, rows in any order.
        features : sequence of str, optional
            The order of the columns of X. By default x0, x1, ... in the order of their numbers,
            or else the order in which the table names the features.

        Raises
        ------
        ValueError
            If a column or a bin is missing, or the intercept is not one number.
        """
        return cls._read_table(table, features)

    @classmethod
    def from_weights(
        cls, bin_edges: Sequence[np.ndarray], weights: Sequence[np.ndarray], intercept: float
    ) -> AdditiveRegressor:
        """Make an estimator of weights that were found elsewhere.

        Parameters
        ----------
        bin_edges : sequence of f increasing ndarrays
        weights : sequence of f ndarrays
            One weight more than bins, that of a missing value first.
        intercept : float
            In the unit of y.

        Raises
        ------
        ValueError
            If the edges are not increasing, or a feature has not one weight for each bin.
        """
        return cls._of_weights(bin_edges, weights, intercept)


def intercept_shift(log_odds: np.ndarray, outcomes: np.ndarray) -> float:
    """Find the shift of the log-odds that makes the mean probability the observed rate.

    Parameters
    ----------
    log_odds : ndarray of float64, shape (n,)
    outcomes : ndarray of bool or 0/1, shape (n,)

    Returns
    -------
    float
        Log-odds to add.

    Raises
    ------
    ValueError
        If the outcomes are all equal: no finite shift exists.
    """
    rate = float(np.mean(outcomes)) if len(outcomes) else 0.0
    if not 0 < rate < 1:
        raise ValueError(
            "the rows to calibrate on have one class only; give rows with both outcomes."
        )
    # At these two shifts every probability lies on one side of the rate.
    lower = float(logit(rate) - log_odds.max())
    upper = float(logit(rate) - log_odds.min())
    if upper - lower < 1e-12:
        return lower
    return float(brentq(lambda shift: expit(log_odds + shift).mean() - rate, lower, upper))


class _SplineDesign:
    """The columns of the spline, as look-ups: rows to bins, and bins to B-spline values.

    All rows of a bin have the same columns, so no more is written out than the bins need: `basis`
    gives the columns of each bin. A bin stands at the mean rank of its rows between 0 and 1 (its
    quantile), an empty one between its neighbours.
    """

    def __init__(self, columns: OneHotBins, weight: np.ndarray, n_knots: int, degree: int):
        self.weight = weight
        self.columns = columns
        knots = np.linspace(0, 1, n_knots)[:, np.newaxis]
        splines = SplineTransformer(knots=knots, n_knots=n_knots, degree=degree).fit(knots)
        share = columns.sums(weight) / weight.sum()
        shares = np.split(share, columns.offsets[1:-1])
        ranks = [_mean_ranks(share) for share in shares]
        # All features at once, as each call checks its input at length.
        values = splines.transform(np.concatenate(ranks)[:, np.newaxis])
        values = np.split(values, np.cumsum([len(rank) for rank in ranks])[:-1])
        self._blocks = [
            _basis_columns(share, value) for share, value in zip(shares, values, strict=True)
        ]
        self.basis = block_diag(self._blocks, format="csr")

    def gram(self, step: int = 1) -> np.ndarray:
        """Give the weighted products of all pairs of columns, a column of ones as the first.

        Only every `step` rows count, for as many.
        """
        column_count = self.basis.shape[1]
        gram = np.zeros((column_count + 1, column_count + 1))
        gram[0, 0] = self.weight[::step].sum()
        first = 1
        for position, block in enumerate(self._blocks):
            stop = first + block.shape[1]
            pairs = self.columns.pair_sums(position, self.weight, step)
            later = self.basis[self.columns.offsets[position] :, first - 1 :]
            gram[0, first:stop] = pairs[:, : len(block)].sum(axis=1) @ block
            gram[first:stop, first:] = (block.T @ pairs) @ later
            first = stop
        gram *= self.weight.sum() / gram[0, 0]
        return np.triu(gram) + np.triu(gram, 1).T

    def predict(self, coefficients: np.ndarray) -> np.ndarray:
        """Give the sum of the columns times the coefficients for each row."""
        return self.columns.look_up(self.basis @ coefficients[1:]) + coefficients[0]

    def gradient(self, residuals: np.ndarray) -> np.ndarray:
        """Give the sum over the rows of the columns times the residuals."""
        sums = self.basis.T @ self.columns.sums(residuals)
        return np.concatenate([[residuals.sum()], sums])


def _mean_ranks(share: np.ndarray) -> np.ndarray:
    """Give the mean rank, from 0 to 1, of the rows of each bin of a feature but bin 0.

    An empty bin lies between its neighbours.
    """
    filled = np.flatnonzero(share[1:])
    present = share[1:] / max(share[1:].sum(), np.finfo(float).tiny)
    rank = np.cumsum(present) - present / 2
    return np.interp(np.arange(len(rank)), filled, rank[filled]) if len(filled) else rank


def _basis_columns(share: np.ndarray, splines: np.ndarray) -> np.ndarray:
    """Give the columns of the bins of one feature; none where one bin holds all rows.

    `splines` holds those of the bins but bin 0.
    """
    if np.count_nonzero(share) < 2:
        return np.zeros((len(share), 0))
    columns = np.zeros((len(share), 0))
    if np.count_nonzero(share[1:]) > 1:
        columns = np.vstack([np.zeros(splines.shape[1]), splines])
    if share[0] > 0:
        columns = np.column_stack([columns, np.arange(len(share)) == 0])
    return columns


def _ridge_coefficients(
    design: _SplineDesign, target: np.ndarray, weight: np.ndarray, penalty: float
) -> np.ndarray:
    """Minimise the weighted squared error plus the penalty; the intercept is free."""
    penalties = _penalties(design, penalty)
    # About its mean, a target far from 0 loses no digits.
    mean = weight @ target / weight.sum()
    system = design.gram() + np.diag(penalties)
    coefficients = cho_solve(cho_factor(system), design.gradient(weight * (target - mean)))
    coefficients[0] += mean
    return coefficients


def _logistic_coefficients(
    design: _SplineDesign, target: np.ndarray, weight: np.ndarray, penalty: float
) -> np.ndarray:
    """Minimise the weighted log loss plus the penalty; the intercept is free.

    The columns overlap, so the coordinates are turned to those in which the curvature at the base
    rate is 1 in all directions: there L-BFGS needs few steps. A part of the rows tells it well
    enough; the minimum is that of all of them.
    """
    penalties = _penalties(design, penalty)
    rate = weight @ target / weight.sum()
    step = max(1, len(weight) // _CURVATURE_ROW_COUNT)
    factor = cholesky(rate * (1 - rate) * design.gram(step) + np.diag(penalties))

    def loss(turned: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = solve_triangular(factor, turned)
        log_odds = design.predict(coefficients)
        # Through the smaller of both odds: nothing overflows, and NumPy's own functions are fast.
        odds = np.exp(-np.abs(log_odds))
        value = weight @ (np.log1p(odds) + np.maximum(log_odds, 0) - target * log_odds)
        value += penalties @ coefficients**2 / 2
        probability = np.where(log_odds > 0, 1.0, odds) / (1 + odds)
        gradient = design.gradient(weight * (probability - target)) + penalties * coefficients
        return value, solve_triangular(factor, gradient, trans="T")

    start = np.zeros(len(penalties))
    start[0] = logit(rate)
    found = minimize(
        loss,
        factor @ start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 500, "gtol": 1e-7, "ftol": 0, "maxcor": 20},
    )
    return solve_triangular(factor, found.x)


def _penalties(design: _SplineDesign, penalty: float) -> np.ndarray:
    return np.concatenate([[0.0], np.full(design.basis.shape[1], penalty)])


def _content_order(bins: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sort rows by their bins, target and weight, compared as bytes."""
    content = np.column_stack(
        [
            bins,
            np.asarray(target, dtype=np.float64)[:, np.newaxis].view(np.uint8),
            weight[:, np.newaxis].view(np.uint8),
        ]
    )
    keys = np.ascontiguousarray(content).view(np.dtype((np.void, content.shape[1]))).ravel()
    return np.argsort(keys, kind="stable")


def _generic_names(count: int) -> np.ndarray:
    return np.array([f"x{position}" for position in range(count)], dtype=object)


def _encoded_classes(y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the two classes, and y as 0 and 1."""
    check_classification_targets(y)
    target_type = type_of_target(y, input_name="y")
    classes, target = np.unique(y, return_inverse=True)
    if len(classes) > 2:
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{target_type}; keep two classes."
        )
    if len(np.unique(target[weight > 0])) < 2:
        raise ValueError("y has one class only; give rows of two classes with positive weights.")
    return classes, target


def _checked_edges(bin_edges: Sequence[Any], feature_count: int) -> list[np.ndarray]:
    edges = [np.asarray(feature_edges, dtype=np.float64) for feature_edges in bin_edges]
    if len(edges) != feature_count:
        raise ValueError(
            f"bin_edges has edges for {len(edges)} features, and X has {feature_count} features; "
            "give one list of edges for each feature."
        )
    for position, feature_edges in enumerate(edges):
        if len(feature_edges) >= MAX_BINS or not (
            np.isfinite(feature_edges).all() and (np.diff(feature_edges) > 0).all()
        ):
            raise ValueError(
                f"bin_edges of feature {position} have to be finite, increasing and fewer than "
                f"{MAX_BINS}; fit them with FeatureBinner."
            )
    return edges
