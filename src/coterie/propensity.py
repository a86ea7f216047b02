"""Learn the probability of an outcome; the fitted form is one table of weights per bin.

The log-odds of a customer are an intercept plus one weight for each feature, looked up by the bin
of its value. Boosted trees that each split on one feature (Lou et al. 2012, "Intelligible models
for classification and regression") learn the weights; the table of weights is the estimator.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)
from threadpoolctl import threadpool_limits

from coterie import tables
from coterie.binning import (
    MAX_BINS,
    FeatureBinner,
    bin_set_edges,
    bin_values,
    newest_bin_set,
)

logger = logging.getLogger("coterie")

PROPENSITY_WEIGHTS_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("data_through", pa.date32()),
        ("horizon_days", pa.int64()),
        ("settings_hash", pa.string()),
        ("settings", pa.string()),
        ("training_fingerprint", pa.string()),
        ("training_row_count", pa.int64()),
        ("positive_count", pa.int64()),
        ("origin_count", pa.int64()),
        ("first_origin", pa.date32()),
        ("last_origin", pa.date32()),
        ("max_iter", pa.int64()),
        ("calibration", pa.string()),
        ("bin_set_id", pa.string()),
        ("intercept", pa.float64()),
        ("feature", pa.string()),
        ("bin", pa.int64()),
        ("weight", pa.float64()),
    ]
)

PROPENSITY_BACKTEST_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("origin", pa.date32()),
        ("scorer_name", pa.string()),
        ("customer_id", pa.string()),
        ("outcome", pa.int64()),
        ("probability", pa.float64()),
        ("training_row_count", pa.int64()),
        ("training_positive_count", pa.int64()),
    ]
)

# The origins one year back: 12 and 13 steps of 30 days.
SEASON_DAYS = (360, 390)
# Without a year of history a horizon up to this takes the intercept of the newest origin.
NEWEST_ORIGIN_HORIZON_DAYS = 30
# An intercept is taken from at least this many positives and as many negatives.
CALIBRATION_COUNT = 50
# Iterations where the training origins are too few to choose.
DEFAULT_MAX_ITER = 150
# Rows of prior weight that pull the rate of an RFM cell to the base rate.
RFM_CELL_PRIOR_COUNT = 10
PROBABILITY_LIMITS = (1e-6, 1 - 1e-6)


class AdditiveClassifier(ClassifierMixin, BaseEstimator):
    """Binary classifier whose log-odds are an intercept plus one weight for each feature's bin.

    Features are cut into bins, gradient boosting without interactions is fitted on the bins (bin 0
    as its missing value, which joins either side of a split), and the shape of each feature is
    read off by predicting one row per bin. From then on the table of weights is the estimator:
    `predict_proba` evaluates nothing else.

    Parameters
    ----------
    n_bins : int, default=32
        Most bins of a feature, beside bin 0 for missing values; unused with `bin_edges`.
    bin_edges : list of array-like, one for each feature, default=None
        Increasing edges to use; None fits a `FeatureBinner`.
    learning_rate : float, default=0.05
    max_iter : int, default=150
        Number of trees.
    max_leaf_nodes : int, default=3
    min_samples_leaf : int, default=40
        Rows.
    l2_regularization : float, default=1.0
    random_state : int or None, default=0
        Passed to the boosting, which draws nothing at these settings.

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
        The second class is the positive one.
    bin_edges_ : list of ndarray of float64, one for each feature
    weights_ : list of ndarray of float64, one for each feature
        ``weights_[j][b]`` is the contribution of bin b of feature j to the log-odds, with mean 0
        over the training rows. A missing value that training never saw weighs 0.
    intercept_ : float
        Log-odds.
    n_iter_ : int
        Number of trees; not known to an estimator that was read from a table.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X is a DataFrame.
    """

    def __init__(
        self,
        n_bins: int = 32,
        bin_edges: Sequence[Any] | None = None,
        learning_rate: float = 0.05,
        max_iter: int = 150,
        max_leaf_nodes: int = 3,
        min_samples_leaf: int = 40,
        l2_regularization: float = 1.0,
        random_state: int | None = 0,
    ):
        self.n_bins = n_bins
        self.bin_edges = bin_edges
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
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
            Not negative. The bins do not depend on it.

        Raises
        ------
        ValueError
            If y does not hold exactly two classes, or `bin_edges` does not fit X.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False)
        weight = _checked_weights(sample_weight, y)
        self.classes_, target = _encoded_classes(y, weight)
        if self.bin_edges is None:
            edges = FeatureBinner(n_bins=self.n_bins).fit(X).bin_edges_
        else:
            edges = _checked_edges(self.bin_edges, X.shape[1])
        self.bin_edges_ = edges
        bins = bin_values(X, edges)
        with threadpool_limits(1):
            booster = self._booster().fit(_missing_as_nan(bins), target, sample_weight=weight)
            self._read_off(booster, bins, weight)
        self.n_iter_ = booster.n_iter_
        return self

    def _booster(self) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            random_state=self.random_state,
            max_bins=255,
            interaction_cst="no_interactions",
            early_stopping=False,
        )

    def _read_off(
        self, booster: HistGradientBoostingClassifier, bins: np.ndarray, weight: np.ndarray
    ) -> None:
        """Read the shape of each feature by predicting one row per bin, all others in bin 1."""
        bin_counts = [len(edges) + 2 for edges in self.bin_edges_]
        offsets = np.cumsum([0, *bin_counts])
        probes = np.ones((offsets[-1] + 1, len(bin_counts)), dtype=np.int64)
        for position, bin_count in enumerate(bin_counts):
            probes[offsets[position] : offsets[position + 1], position] = np.arange(bin_count)
        log_odds = booster.decision_function(_missing_as_nan(probes))
        reference = float(log_odds[-1])
        intercept = reference
        self.weights_ = []
        for position, bin_count in enumerate(bin_counts):
            shape = log_odds[offsets[position] : offsets[position + 1]] - reference
            share = np.bincount(bins[:, position], weights=weight, minlength=bin_count)
            mean = float(share @ shape / weight.sum())
            intercept += mean
            weights = tables.round_significant(shape - mean)
            if share[0] == 0:
                weights[0] = 0.0
            self.weights_.append(weights)
        self.intercept_ = float(tables.round_significant(intercept))

    def contributions(self, X: Any) -> np.ndarray:
        """Give what each feature adds to the log-odds.

        Parameters
        ----------
        X : array-like of float, shape (n, f)

        Returns
        -------
        ndarray of float64, shape (n, f)
            ``intercept_`` plus the sum of a row is its `decision_function`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        bins = bin_values(X, self.bin_edges_)
        found = np.empty(X.shape, dtype=np.float64)
        for position, weights in enumerate(self.weights_):
            found[:, position] = weights[bins[:, position]]
        return found

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
        edges = bin_set_edges(table, features)
        estimator = cls(bin_edges=edges)
        estimator.classes_ = np.asarray(classes)
        estimator.n_features_in_ = len(features)
        if list(features) != generic:
            estimator.feature_names_in_ = np.asarray(features, dtype=object)
        estimator.bin_edges_ = edges
        estimator.weights_ = [
            table.filter(pc.equal(table["feature"], feature)).sort_by("bin")["weight"].to_numpy()
            for feature in features
        ]
        estimator.intercept_ = intercepts[0]
        return estimator

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags


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


def fit_propensity_weights(
    training_rows: pa.Table,
    feature_bins: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit each model that is due, and return its weights as rows.

    Parameters
    ----------
    training_rows : pa.Table
        Columns model_name, as_of_date (the origin), customer_id, outcome (0 or 1; rows with NULL
        are left out) and each feature. Rows whose outcome window reaches beyond `as_of_date` are
        left out.
    feature_bins : pa.Table
        Stored bin sets (`coterie.binning.FEATURE_BINS_SCHEMA`); the newest with
        ``bin_settings_hash`` that was fitted by `as_of_date` is used.
    stored : pa.Table or None
        Columns model_name, fitted_as_of, settings_hash of the versions fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        features (list of str), horizons ({model_name: days}), settings_hash, bin_settings_hash,
        refit_interval_days, and optionally code_version, is_empty ("True" fits nothing), n_bins
        (32), learning_rate (.05), max_leaf_nodes (3), min_samples_leaf (40), l2_regularization
        (1.0), max_iter_candidates ([80, 150, 300]), min_positive_count and min_negative_count
        (200).

    Returns
    -------
    pa.Table
        `PROPENSITY_WEIGHTS_SCHEMA`: one row for each model, feature and bin. A model with too few
        positives or negatives, or that is not due, has no rows.

    Raises
    ------
    ValueError
        If a column, a setting or a bin is missing, an outcome is not 0 or 1, a customer occurs
        twice at one origin of a model, or no bins of these settings were ever fitted.
    """
    empty = PROPENSITY_WEIGHTS_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    learner = _Learner.from_settings(settings)
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    refit_interval_days = tables.read_setting(settings, "refit_interval_days", int)
    due = [
        model_name
        for model_name in _model_names(training_rows)
        if tables.fit_is_due(
            stored,
            as_of_date=as_of_date,
            settings_hash=settings_hash,
            refit_interval_days=refit_interval_days,
            model_name=model_name,
        )
    ]
    if not due:
        return empty
    bin_set = _bin_set(feature_bins, as_of_date, settings)
    if bin_set is None:
        return empty
    bin_set_id = bin_set["bin_set_id"][0].as_py()
    edges = bin_set_edges(bin_set, learner.features)

    fitted_tables = []
    for model_name in due:
        horizon_days = _horizon(settings, model_name)
        rows = _read_rows(training_rows, model_name, learner.features)
        rows = rows.take(rows.is_closed_by(as_of_date, horizon_days))
        if not learner.has_enough(rows.outcome):
            logger.info(
                "%s: %d positives in %d rows are too few, no fit",
                model_name,
                rows.outcome.sum(),
                len(rows.outcome),
            )
            continue
        fit = learner.fit(rows, as_of_date, horizon_days, bin_edges=edges)
        logger.info(
            "%s: fitted as of %s on %d rows with %d positives, %d iterations, calibration %s",
            model_name,
            as_of_date,
            len(rows.outcome),
            rows.outcome.sum(),
            fit.max_iter,
            fit.calibration,
        )
        training_fingerprint = tables.fingerprint(
            rows.table, ["as_of_date", "customer_id", "outcome", *learner.features]
        )
        model_version = tables.version_hash(
            tables.read_setting(settings, "code_version", str, ""),
            settings_hash,
            model_name,
            as_of_date,
            training_fingerprint,
        )
        weights = fit.classifier.to_table()
        origins = np.unique(rows.origin)
        constants = {
            "model_name": model_name,
            "model_version": model_version,
            "fitted_as_of": as_of_date,
            "data_through": tables.as_date(settings.get("data_through")) or as_of_date,
            "horizon_days": horizon_days,
            "settings_hash": settings_hash,
            "settings": tables.canonical_json({**asdict(learner), "horizon_days": horizon_days}),
            "training_fingerprint": training_fingerprint,
            "training_row_count": len(rows.outcome),
            "positive_count": int(rows.outcome.sum()),
            "origin_count": len(origins),
            "first_origin": origins[0].item(),
            "last_origin": origins[-1].item(),
            "max_iter": fit.max_iter,
            "calibration": fit.calibration,
            "bin_set_id": bin_set_id,
            "intercept": fit.classifier.intercept_,
        }
        names = np.repeat(learner.features, [len(w) for w in fit.classifier.weights_])
        fitted_tables.append(
            pa.table(
                {
                    **{name: [value] * len(names) for name, value in constants.items()},
                    "feature": names.tolist(),
                    "bin": weights["bin"],
                    "weight": weights["weight"],
                },
                schema=PROPENSITY_WEIGHTS_SCHEMA,
            )
        )
    return pa.concat_tables([empty, *fitted_tables]).combine_chunks()


def backtest_propensity(
    training_rows: pa.Table,
    weights: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Predict past origins, each with what could have been learned before it.

    Each model whose newest version was fitted by `as_of_date` and has no stored back-test is
    tested on its newest complete origins. For each of them the bins, the iterations, the weights
    and the intercept are learned anew from the origins whose outcome window had closed by it. The
    scorers `base_rate` and `rfm_cell` take their intercept from the same rows as the model.

    Parameters
    ----------
    training_rows : pa.Table
        As for `fit_propensity_weights`, with the column rfm_cell (text).
    weights : pa.Table
        Columns model_name, model_version, fitted_as_of, settings_hash of the fitted versions.
    stored : pa.Table or None
        Column model_version of the back-tests done so far.
    as_of_date : date or None
        None (no data yet) tests nothing.
    settings : mapping
        As for `fit_propensity_weights`, and optionally max_test_origins (4).

    Returns
    -------
    pa.Table
        `PROPENSITY_BACKTEST_SCHEMA`: one row for each model, test origin, scorer (`model`,
        `base_rate`, `rfm_cell`) and customer of the test origin, sorted by these. An origin that
        has too few positives or negatives before it is left out.

    Raises
    ------
    ValueError
        If a column or a setting is missing, an outcome is not 0 or 1, or a customer occurs twice
        at one origin of a model.
    """
    empty = PROPENSITY_BACKTEST_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    learner = _Learner.from_settings(settings)
    max_test_origins = tables.read_setting(settings, "max_test_origins", int, 4)
    versions = _untested_versions(weights, stored, as_of_date, settings)

    tested = []
    for model_name, model_version in versions.items():
        horizon_days = _horizon(settings, model_name)
        rows = _read_rows(training_rows, model_name, learner.features, with_rfm_cell=True)
        rows = rows.take(rows.is_closed_by(as_of_date, horizon_days))
        for origin in np.unique(rows.origin)[-max_test_origins:]:
            train = rows.take(rows.is_closed_by(origin, horizon_days))
            test = rows.take(rows.origin == origin)
            if not learner.has_enough(train.outcome):
                logger.info("%s: too few outcomes before %s, not tested", model_name, origin)
                continue
            probabilities = _fold_probabilities(learner, train, test, origin, horizon_days)
            logger.info(
                "%s: tested at %s on %d customers, trained on %d rows",
                model_name,
                origin,
                len(test.outcome),
                len(train.outcome),
            )
            tested += [
                pa.table(
                    {
                        "model_name": [model_name] * len(test.outcome),
                        "model_version": [model_version] * len(test.outcome),
                        "origin": [origin.item()] * len(test.outcome),
                        "scorer_name": [scorer_name] * len(test.outcome),
                        "customer_id": test.table["customer_id"],
                        "outcome": test.outcome,
                        "probability": tables.round_significant(
                            np.clip(probability, *PROBABILITY_LIMITS)
                        ),
                        "training_row_count": [len(train.outcome)] * len(test.outcome),
                        "training_positive_count": [int(train.outcome.sum())] * len(test.outcome),
                    },
                    schema=PROPENSITY_BACKTEST_SCHEMA,
                )
                for scorer_name, probability in sorted(probabilities.items())
            ]
    return pa.concat_tables([empty, *tested]).combine_chunks()


@dataclass(frozen=True)
class _Rows:
    """The labelled rows of one model, sorted by origin and customer."""

    table: pa.Table
    origin: np.ndarray  # datetime64[D], shape (n,)
    outcome: np.ndarray  # int64, shape (n,)
    X: np.ndarray  # float64, shape (n, f)

    def take(self, mask: np.ndarray) -> _Rows:
        return _Rows(
            table=self.table.filter(pa.array(mask)),
            origin=self.origin[mask],
            outcome=self.outcome[mask],
            X=self.X[mask],
        )

    def is_closed_by(self, date: Any, horizon_days: int) -> np.ndarray:
        """Mark the rows whose outcome window had ended by a date."""
        return self.origin + np.timedelta64(horizon_days, "D") <= np.datetime64(date, "D")


@dataclass(frozen=True)
class _Fit:
    """A calibrated classifier and how it came to be."""

    classifier: AdditiveClassifier
    max_iter: int
    calibration: str
    calibration_rows: np.ndarray  # bool, shape (n,)


@dataclass(frozen=True)
class _Learner:
    """The settings of learning; one definition of a fit for final fits and back-tests."""

    features: list[str]
    n_bins: int
    learning_rate: float
    max_leaf_nodes: int
    min_samples_leaf: int
    l2_regularization: float
    max_iter_candidates: list[int]
    min_positive_count: int
    min_negative_count: int

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> _Learner:
        candidates = tables.read_setting(settings, "max_iter_candidates", list, [80, 150, 300])
        return cls(
            features=tables.read_setting(settings, "features", list),
            n_bins=tables.read_setting(settings, "n_bins", int, 32),
            learning_rate=tables.read_setting(settings, "learning_rate", float, 0.05),
            max_leaf_nodes=tables.read_setting(settings, "max_leaf_nodes", int, 3),
            min_samples_leaf=tables.read_setting(settings, "min_samples_leaf", int, 40),
            l2_regularization=tables.read_setting(settings, "l2_regularization", float, 1.0),
            max_iter_candidates=sorted({int(candidate) for candidate in candidates}),
            min_positive_count=tables.read_setting(settings, "min_positive_count", int, 200),
            min_negative_count=tables.read_setting(settings, "min_negative_count", int, 200),
        )

    def has_enough(self, outcome: np.ndarray) -> bool:
        positives = int(outcome.sum())
        negatives = len(outcome) - positives
        return positives >= max(1, self.min_positive_count) and negatives >= max(
            1, self.min_negative_count
        )

    def fit(
        self,
        rows: _Rows,
        as_of: Any,
        horizon_days: int,
        bin_edges: list[np.ndarray] | None = None,
    ) -> _Fit:
        """Choose the iterations, fit on all rows, and take the intercept from the right ones."""
        if bin_edges is None:
            bin_edges = FeatureBinner(n_bins=self.n_bins).fit(rows.X).bin_edges_
        max_iter = self.choose_max_iter(rows, horizon_days, bin_edges)
        classifier = self.classifier(bin_edges, max_iter).fit(rows.X, rows.outcome)
        calibration, mask = calibration_rows(rows.origin, rows.outcome, as_of, horizon_days)
        if calibration != "none":
            classifier.recalibrate_intercept(rows.X[mask], rows.outcome[mask])
        return _Fit(classifier, max_iter, calibration, mask)

    def classifier(self, bin_edges: list[np.ndarray], max_iter: int) -> AdditiveClassifier:
        return AdditiveClassifier(
            n_bins=self.n_bins,
            bin_edges=bin_edges,
            learning_rate=self.learning_rate,
            max_iter=max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
        )

    def choose_max_iter(self, rows: _Rows, horizon_days: int, bin_edges: list[np.ndarray]) -> int:
        """Choose the candidate with the least log loss on the newest origin, the fewest on ties.

        The trees are grown on the origins whose outcome window had closed by it. The first trees
        of a longer fit are the trees of a shorter one, so one fit tries all candidates.
        """
        newest = rows.origin.max()
        early = rows.take(rows.is_closed_by(newest, horizon_days))
        late = rows.take(rows.origin == newest)
        if not self.has_enough(early.outcome) or len(np.unique(late.outcome)) < 2:
            return DEFAULT_MAX_ITER
        booster = self.classifier(bin_edges, self.max_iter_candidates[-1])._booster()
        losses = {}
        with threadpool_limits(1):
            booster.fit(_missing_as_nan(bin_values(early.X, bin_edges)), early.outcome)
            late_bins = _missing_as_nan(bin_values(late.X, bin_edges))
            stages = booster.staged_predict_proba(late_bins)
            for iteration, probability in enumerate(stages, start=1):
                if iteration in self.max_iter_candidates:
                    loss = log_loss(late.outcome, probability[:, 1])
                    losses[iteration] = float(tables.round_significant(loss))
        return min(losses, key=lambda iteration: (losses[iteration], iteration))


def calibration_rows(
    origin: np.ndarray, outcome: np.ndarray, as_of: Any, horizon_days: int
) -> tuple[str, np.ndarray]:
    """Choose the training rows whose rate sets the intercept.

    With a year of history the origins 12 and 13 steps of 30 days back, which see the season that
    the scores will meet; else the newest origin for a horizon of up to 30 days; else none. Either
    needs 50 positives and 50 negatives.

    Parameters
    ----------
    origin : ndarray of datetime64[D], shape (n,)
    outcome : ndarray of 0/1, shape (n,)
    as_of : date
        The date whose customers will be scored.
    horizon_days : int

    Returns
    -------
    name : str
        ``season``, ``newest_origin`` or ``none``.
    rows : ndarray of bool, shape (n,)
        The chosen rows; all rows where the name is ``none``.
    """
    as_of = np.datetime64(as_of, "D")
    season = as_of - np.array(SEASON_DAYS, dtype="timedelta64[D]")
    mask = np.isin(origin, season)
    if np.isin(season, origin).all() and _can_calibrate(outcome[mask]):
        return "season", mask
    if horizon_days <= NEWEST_ORIGIN_HORIZON_DAYS:
        mask = origin == origin.max()
        if _can_calibrate(outcome[mask]):
            return "newest_origin", mask
    return "none", np.ones(len(origin), dtype=bool)


def _can_calibrate(outcome: np.ndarray) -> bool:
    positives = int(outcome.sum())
    return min(positives, len(outcome) - positives) >= CALIBRATION_COUNT


def _fold_probabilities(
    learner: _Learner, train: _Rows, test: _Rows, origin: Any, horizon_days: int
) -> dict[str, np.ndarray]:
    """Predict the rows of a test origin with each scorer."""
    fit = learner.fit(train, origin, horizon_days)
    base_rate = train.outcome.mean()
    cell_rates = _cell_rates(train, base_rate)
    log_odds = {
        "base_rate": lambda rows: np.full(len(rows.outcome), logit(base_rate)),
        "rfm_cell": lambda rows: logit(
            [cell_rates.get(cell, base_rate) for cell in rows.table["rfm_cell"].to_pylist()]
        ),
    }
    probabilities = {"model": fit.classifier.predict_proba(test.X)[:, 1]}
    calibration = train.take(fit.calibration_rows)
    for scorer_name, scorer in log_odds.items():
        shift = 0.0
        if fit.calibration != "none":
            shift = intercept_shift(scorer(calibration), calibration.outcome)
        probabilities[scorer_name] = expit(scorer(test) + shift)
    return probabilities


def _cell_rates(train: _Rows, base_rate: float) -> dict[str | None, float]:
    """Give the positive rate of each RFM cell, pulled to the base rate by a few prior rows."""
    cells = pa.table({"rfm_cell": train.table["rfm_cell"], "outcome": train.outcome})
    cells = cells.group_by("rfm_cell").aggregate([("outcome", "sum"), ("outcome", "count")])
    return {
        cell["rfm_cell"]: (cell["outcome_sum"] + RFM_CELL_PRIOR_COUNT * base_rate)
        / (cell["outcome_count"] + RFM_CELL_PRIOR_COUNT)
        for cell in cells.to_pylist()
    }


def _untested_versions(
    weights: pa.Table,
    stored: pa.Table | None,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
) -> dict[str, str]:
    """Find the newest version of each model, unless it is of a later date or already tested."""
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    rows = tables.matching_rows(weights, settings_hash=settings_hash)
    if rows is None:
        return {}
    tested = set(stored["model_version"].to_pylist()) if stored is not None else set()
    versions = {}
    key = ["model_name", "fitted_as_of", "model_version"]
    tables.require_columns(rows, key, "the table of weights")
    found = rows.select(key).group_by(key).aggregate([])
    for row in found.sort_by([(name, "ascending") for name in key]).to_pylist():
        versions[row["model_name"]] = row
    return {
        model_name: row["model_version"]
        for model_name, row in versions.items()
        if tables.as_date(row["fitted_as_of"]) <= as_of_date and row["model_version"] not in tested
    }


def _model_names(training_rows: pa.Table) -> list[str]:
    tables.require_columns(training_rows, ["model_name"], "the training rows")
    return sorted(set(training_rows["model_name"].drop_null().to_pylist()))


def _horizon(settings: Mapping[str, Any], model_name: str) -> int:
    horizons = {k: v["horizon_days"] for k, v in tables.read_setting(settings, "predictions", dict).items()}
    if model_name not in horizons:
        raise ValueError(
            f"the setting horizons has no days for the model {model_name}; add them, or leave the "
            "rows of this model out."
        )
    return int(horizons[model_name])


def _bin_set(
    feature_bins: pa.Table, as_of_date: datetime.date, settings: Mapping[str, Any]
) -> pa.Table | None:
    """Find the bin set to learn on; None where all bin sets of the settings are newer."""
    settings_hash = tables.read_setting(settings, "bin_settings_hash", str)
    if tables.newest_fit(feature_bins, settings_hash=settings_hash) is None:
        raise ValueError(
            f"no feature bins have the settings hash {settings_hash} of bin_settings_hash; fit "
            "the feature bins before the weights, with the same settings."
        )
    bin_set = newest_bin_set(feature_bins, settings_hash=settings_hash, as_of_date=as_of_date)
    if bin_set is None:
        logger.info("no feature bins were fitted by %s, no fit", as_of_date)
    return bin_set


def _read_rows(
    training_rows: pa.Table,
    model_name: str,
    features: Sequence[str],
    with_rfm_cell: bool = False,
) -> _Rows:
    """Read the labelled rows of one model, sorted by origin and customer."""
    name = "the training rows"
    columns = ["as_of_date", "customer_id", "outcome", *features]
    columns += ["rfm_cell"] if with_rfm_cell else []
    tables.require_columns(training_rows, ["model_name", *columns], name)
    rows = training_rows.filter(pc.equal(training_rows["model_name"], model_name))
    rows = rows.filter(rows["outcome"].is_valid()).select(columns)
    for column, data_type in [
        ("as_of_date", pa.date32()),
        ("customer_id", pa.string()),
        *([("rfm_cell", pa.string())] if with_rfm_cell else []),
    ]:
        position = columns.index(column)
        rows = rows.set_column(position, column, rows[column].cast(data_type))
    tables.refuse_duplicates(rows, ["as_of_date", "customer_id"], f"{name} of {model_name}")
    rows = rows.sort_by([("as_of_date", "ascending"), ("customer_id", "ascending")])
    outcome = tables.feature_matrix(rows, ["outcome"])[:, 0]
    if not np.isin(outcome, [0, 1]).all():
        raise ValueError(f"the column outcome of {model_name} holds other values than 0 and 1.")
    return _Rows(
        table=rows,
        origin=tables.date_array(rows["as_of_date"]),
        outcome=outcome.astype(np.int64),
        X=tables.feature_matrix(rows, features),
    )


def _missing_as_nan(bins: np.ndarray) -> np.ndarray:
    """Give bins as the boosting takes them: it learns at each split which side bin 0 belongs to.

    A column without any value stays at the constant 0, as the boosting cannot take it.
    """
    return np.where((bins == 0) & (bins > 0).any(axis=0), np.nan, bins)


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


def _checked_weights(sample_weight: Any, y: np.ndarray) -> np.ndarray:
    if sample_weight is None:
        return np.ones(len(y))
    weight = column_or_1d(sample_weight, dtype=np.float64)
    check_consistent_length(weight, y)
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("sample_weight holds negative or infinite numbers; give weights >= 0.")
    if not weight.any():
        raise ValueError("sample_weight is zero for all rows; give some rows a weight above 0.")
    return weight


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
