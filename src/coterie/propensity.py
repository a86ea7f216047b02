"""Learn the probability of an outcome; the fitted form is one table of weights per bin.

The log-odds of a customer are an intercept plus one weight for each feature, looked up by the bin
of its value (`coterie.additive`). Here is what makes predictions of it: which rows are learned
from, what learns where there are few, where the intercept comes from, and how the past is tested.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from joblib import Parallel, delayed
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from coterie import tables
from coterie.additive import WEIGHT_DECIMALS, AdditiveClassifier, intercept_shift
from coterie.binning import FeatureBinner, bin_set_edges, bin_values, newest_bin_set

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
        ("learner", pa.string()),
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

BASELINE_RATES_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("scorer_name", pa.string()),
        ("rfm_cell", pa.string()),
        ("probability", pa.float64()),
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
# The horizon's own probability of any purchase by BG/NBD, beside the features.
NBD_COLUMN = "nbd_purchase_probability"
# The feature on whose bins it is served.
NBD_FEATURE = "nbd_purchase_probability_90d"


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
        left out. Optionally nbd_purchase_probability, the probability by BG/NBD of any purchase in
        the horizon, which learned from no outcome.
    feature_bins : pa.Table
        Stored bin sets (`coterie.binning.FEATURE_BINS_SCHEMA`); the newest with
        ``bin_settings_hash`` that was fitted by `as_of_date` is used.
    stored : pa.Table or None
        Columns model_name, fitted_as_of, settings_hash of the versions fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        features (list of str), predictions ({model_name: {"horizon_days": days, "is_purchase":
        whether the outcome is a purchase, "left_out_features": list of str}}), settings_hash,
        bin_settings_hash, refit_interval_days, and optionally code_version, is_empty ("True" fits
        nothing), n_bins (32), learning_rate (.05), max_leaf_nodes (3), min_samples_leaf (40),
        l2_regularization (1.0), max_iter_candidates ([80, 150, 300]), spline_c (.2),
        half_life_days (200; 0 lets all origins count alike),
        min_positive_count and min_negative_count (200), min_rows_to_boost (1000),
        min_positives_to_learn (300).

    Returns
    -------
    pa.Table
        `PROPENSITY_WEIGHTS_SCHEMA`: one row for each model, feature and bin; features that a model
        leaves out weigh 0. A model with too few positives or negatives, or that is not due, has
        no rows. The column learner says where the weights come from: ``additive`` (boosting and
        spline), ``spline`` (fewer than min_rows_to_boost rows or min_positives_to_learn
        positives), or ``nbd`` (fewer than min_positives_to_learn positives of a purchase: the
        probability by BG/NBD alone, looked up on the bins of nbd_purchase_probability_90d).

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

    learnable = []
    for model_name in due:
        prediction = _Prediction.from_settings(settings, model_name)
        rows = _read_rows(training_rows, model_name, learner.features, prediction)
        rows = rows.take(rows.is_closed_by(as_of_date, prediction.horizon_days))
        if learner.has_enough(rows.outcome):
            learnable.append((model_name, prediction, rows))
        else:
            logger.info(
                "%s: %d positives in %d rows are too few, no fit",
                model_name,
                rows.outcome.sum(),
                len(rows.outcome),
            )
    fits = _in_parallel(
        (learner.fit, rows, as_of_date, prediction, edges) for _, prediction, rows in learnable
    )
    fitted_tables = [
        _weights_table(fit, rows, model_name, prediction, learner, as_of_date, settings, bin_set_id)
        for (model_name, prediction, rows), fit in zip(learnable, fits, strict=True)
    ]
    return pa.concat_tables([empty, *fitted_tables]).combine_chunks()


def _weights_table(
    fit: _Fit,
    rows: _Rows,
    model_name: str,
    prediction: _Prediction,
    learner: _Learner,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
    bin_set_id: str,
) -> pa.Table:
    """Write one fitted model as the rows of a version."""
    logger.info(
        "%s: fitted as of %s on %d rows with %d positives, learner %s, %d iterations, "
        "calibration %s",
        model_name,
        as_of_date,
        len(rows.outcome),
        rows.outcome.sum(),
        fit.learner,
        fit.max_iter,
        fit.calibration,
    )
    used = [name for name in learner.features if name not in prediction.left_out_features]
    used += [NBD_COLUMN] if fit.learner == "nbd" else []
    training_fingerprint = tables.fingerprint(
        rows.table, ["as_of_date", "customer_id", "outcome", *used]
    )
    settings_hash = tables.read_setting(settings, "settings_hash", str)
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
        "horizon_days": prediction.horizon_days,
        "settings_hash": settings_hash,
        "settings": tables.canonical_json({**asdict(learner), **asdict(prediction)}),
        "training_fingerprint": training_fingerprint,
        "training_row_count": len(rows.outcome),
        "positive_count": int(rows.outcome.sum()),
        "origin_count": len(origins),
        "first_origin": origins[0].item(),
        "last_origin": origins[-1].item(),
        "learner": fit.learner,
        "max_iter": fit.max_iter,
        "calibration": fit.calibration,
        "bin_set_id": bin_set_id,
        "intercept": fit.classifier.intercept_,
    }
    names = np.repeat(learner.features, [len(w) for w in fit.classifier.weights_])
    return pa.table(
        {
            **{name: [value] * len(names) for name, value in constants.items()},
            "feature": names.tolist(),
            "bin": weights["bin"],
            "weight": weights["weight"],
        },
        schema=PROPENSITY_WEIGHTS_SCHEMA,
    )


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
    tested on its newest complete origins. For each of them the bins, the learner, the iterations,
    the weights and the intercept are learned anew from the origins whose outcome window had closed
    by it. The other scorers take their intercept from the same rows as the model.

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
        As for `fit_propensity_weights`, and optionally max_test_origins (4) and max_test_row_count
        (20000): of an origin with more customers those whose id has the lowest MD5 are tested, so
        that the customers of one origin are those of the next.

    Returns
    -------
    pa.Table
        `PROPENSITY_BACKTEST_SCHEMA`: one row for each model, test origin, scorer (`model`,
        `base_rate`, `rfm_cell`, and `bg_nbd` where the outcome is a purchase and the training rows
        hold nbd_purchase_probability) and customer of the test origin, sorted by these. An origin
        that has too few positives or negatives before it is left out.

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
    max_test_row_count = tables.read_setting(settings, "max_test_row_count", int, 20_000)
    versions = _untested_versions(weights, stored, as_of_date, settings)

    folds = []
    for model_name, model_version in versions.items():
        prediction = _Prediction.from_settings(settings, model_name)
        rows = _read_rows(
            training_rows, model_name, learner.features, prediction, with_rfm_cell=True
        )
        rows = rows.take(rows.is_closed_by(as_of_date, prediction.horizon_days))
        for origin in np.unique(rows.origin)[-max_test_origins:]:
            train = rows.take(rows.is_closed_by(origin, prediction.horizon_days))
            test = _sampled(rows.take(rows.origin == origin), max_test_row_count)
            if learner.has_enough(train.outcome):
                folds.append((model_name, model_version, prediction, train, test, origin))
            else:
                logger.info("%s: too few outcomes before %s, not tested", model_name, origin)
    predicted = _in_parallel(
        (_fold_probabilities, learner, prediction, train, test, origin)
        for _, _, prediction, train, test, origin in folds
    )
    tested = []
    for (model_name, model_version, _, train, test, origin), probabilities in zip(
        folds, predicted, strict=True
    ):
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


def fit_baseline_rates(
    training_rows: pa.Table,
    weights: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Learn the rates that stand beside the newest version of each model, as its tests do.

    Parameters
    ----------
    training_rows, weights, stored, as_of_date, settings
        As for `backtest_propensity`.

    Returns
    -------
    pa.Table
        `BASELINE_RATES_SCHEMA`: for each version one row of the scorer ``base_rate``, and of
        ``rfm_cell`` one for each cell of the training rows. The row without a cell is the rate of
        customers in any other cell. Probabilities have the level of the origins that set the
        intercept of the model.

    Raises
    ------
    ValueError
        If a column or a setting is missing, an outcome is not 0 or 1, or a customer occurs twice
        at one origin of a model.
    """
    empty = BASELINE_RATES_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    features = tables.read_setting(settings, "features", list)
    found = []
    for model_name, model_version in _untested_versions(
        weights, stored, as_of_date, settings
    ).items():
        prediction = _Prediction.from_settings(settings, model_name)
        rows = _read_rows(training_rows, model_name, features, prediction, with_rfm_cell=True)
        rows = rows.take(rows.is_closed_by(as_of_date, prediction.horizon_days))
        if not 0 < rows.outcome.sum() < len(rows.outcome):
            continue
        calibration = calibration_rows(
            rows.origin, rows.outcome, as_of_date, prediction.horizon_days
        )
        baselines = _Baselines.fit(rows, *calibration)
        cells = [None, *sorted(baselines.cell_rates)]
        for scorer_name, scored_cells in [("base_rate", [None]), ("rfm_cell", cells)]:
            probability = expit(baselines.log_odds(scorer_name, scored_cells))
            found.append(
                pa.table(
                    {
                        "model_name": [model_name] * len(scored_cells),
                        "model_version": [model_version] * len(scored_cells),
                        "scorer_name": [scorer_name] * len(scored_cells),
                        "rfm_cell": scored_cells,
                        "probability": tables.round_significant(
                            np.clip(probability, *PROBABILITY_LIMITS)
                        ),
                    },
                    schema=BASELINE_RATES_SCHEMA,
                )
            )
    return pa.concat_tables([empty, *found]).combine_chunks()


@dataclass(frozen=True)
class _Prediction:
    """What is predicted by one model."""

    horizon_days: int
    is_purchase: bool
    left_out_features: list[str]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], model_name: str) -> _Prediction:
        predictions = tables.read_setting(settings, "predictions", dict)
        if model_name not in predictions:
            raise ValueError(
                f"the setting predictions does not hold the model {model_name}; add it, or leave "
                "the rows of this model out."
            )
        found = predictions[model_name]
        return cls(
            horizon_days=tables.read_setting(found, "horizon_days", int),
            is_purchase=tables.is_true(found.get("is_purchase")),
            left_out_features=tables.read_setting(found, "left_out_features", list, []),
        )


def _in_parallel(calls: Iterable[tuple]) -> list:
    """Call functions with their arguments, some at a time, and give the results in their order.

    Each fit runs under one thread by itself, so that its result does not depend on how many run.
    """
    with threadpool_limits(1):
        return Parallel(n_jobs=-1, prefer="threads")(
            delayed(function)(*arguments) for function, *arguments in calls
        )


@dataclass(frozen=True)
class _Rows:
    """The labelled rows of one model, sorted by origin and customer."""

    table: pa.Table
    origin: np.ndarray  # datetime64[D], shape (n,)
    outcome: np.ndarray  # int64, shape (n,)
    X: np.ndarray  # float64, shape (n, f)
    nbd: np.ndarray  # float64, shape (n,), NaN where there is no probability by BG/NBD

    def take(self, mask: np.ndarray) -> _Rows:
        return _Rows(
            table=self.table.filter(pa.array(mask)),
            origin=self.origin[mask],
            outcome=self.outcome[mask],
            X=self.X[mask],
            nbd=self.nbd[mask],
        )

    def is_closed_by(self, date: Any, horizon_days: int) -> np.ndarray:
        """Mark the rows whose outcome window had ended by a date."""
        return self.origin + np.timedelta64(horizon_days, "D") <= np.datetime64(date, "D")

    def has_nbd(self) -> bool:
        return bool(np.isfinite(self.nbd).any())


@dataclass(frozen=True)
class _Fit:
    """A calibrated classifier and how it came to be."""

    classifier: AdditiveClassifier
    learner: str
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
    spline_c: float
    half_life_days: int
    min_positive_count: int
    min_negative_count: int
    min_rows_to_boost: int
    min_positives_to_learn: int

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
            spline_c=tables.read_setting(settings, "spline_c", float, 0.2),
            half_life_days=tables.read_setting(settings, "half_life_days", int, 200),
            min_positive_count=tables.read_setting(settings, "min_positive_count", int, 200),
            min_negative_count=tables.read_setting(settings, "min_negative_count", int, 200),
            min_rows_to_boost=tables.read_setting(settings, "min_rows_to_boost", int, 1000),
            min_positives_to_learn=tables.read_setting(
                settings, "min_positives_to_learn", int, 300
            ),
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
        prediction: _Prediction,
        bin_edges: list[np.ndarray] | None = None,
    ) -> _Fit:
        """Choose learner and iterations, fit on all rows, take the intercept from the right ones.

        The bins of a back-test are fitted on its own rows.
        """
        if bin_edges is None:
            bin_edges = FeatureBinner(n_bins=self.n_bins).fit(rows.X).bin_edges_
        learner = self.choose_learner(rows, prediction)
        weight = self.weight(rows, as_of)
        max_iter = 0
        if learner == "nbd":
            classifier = _nbd_classifier(
                bin_edges, self.features.index(NBD_FEATURE), rows.X, rows.nbd
            )
        elif learner == "spline":
            classifier = self.classifier(bin_edges, parts="spline")
            classifier.fit(rows.X, rows.outcome, sample_weight=weight)
        else:
            max_iter = self.choose_max_iter(rows, prediction.horizon_days, bin_edges)
            classifier = self.classifier(bin_edges, max_iter=max_iter)
            classifier.fit(rows.X, rows.outcome, sample_weight=weight)
        calibration, mask = calibration_rows(
            rows.origin, rows.outcome, as_of, prediction.horizon_days
        )
        if calibration != "none":
            classifier.recalibrate_intercept(rows.X[mask], rows.outcome[mask])
        return _Fit(classifier, learner, max_iter, calibration, mask)

    def weight(self, rows: _Rows, as_of: Any) -> np.ndarray:
        """Give each row half the weight of one that is half_life_days newer: shops change."""
        if self.half_life_days <= 0:
            return np.ones(len(rows.origin))
        age = (np.datetime64(as_of, "D") - rows.origin) / np.timedelta64(1, "D")
        return 0.5 ** (age / self.half_life_days)

    def choose_learner(self, rows: _Rows, prediction: _Prediction) -> str:
        """Choose what a number of rows and positives allows to learn."""
        if rows.outcome.sum() < self.min_positives_to_learn:
            is_served = NBD_FEATURE in self.features and bool(
                np.isfinite(rows.X[:, self.features.index(NBD_FEATURE)]).any()
            )
            if prediction.is_purchase and is_served and rows.has_nbd():
                return "nbd"
            return "spline"
        return "spline" if len(rows.outcome) < self.min_rows_to_boost else "additive"

    def classifier(
        self, bin_edges: list[np.ndarray], parts: str = "blend", max_iter: int = DEFAULT_MAX_ITER
    ) -> AdditiveClassifier:
        return AdditiveClassifier(
            parts=parts,
            n_bins=self.n_bins,
            bin_edges=bin_edges,
            learning_rate=self.learning_rate,
            max_iter=max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            C=self.spline_c,
        )

    def choose_max_iter(self, rows: _Rows, horizon_days: int, bin_edges: list[np.ndarray]) -> int:
        """Choose the candidate with the least log loss on the newest origin, the fewest on ties.

        Learned from are the origins whose outcome window had closed by it.
        """
        newest = rows.origin.max()
        early = rows.take(rows.is_closed_by(newest, horizon_days))
        late = rows.take(rows.origin == newest)
        if not self.has_enough(early.outcome) or len(np.unique(late.outcome)) < 2:
            return DEFAULT_MAX_ITER
        losses = self.classifier(bin_edges).losses_by_max_iter(
            early.X,
            early.outcome,
            late.X,
            late.outcome,
            self.max_iter_candidates,
            sample_weight=self.weight(early, newest),
        )
        return min(losses, key=lambda max_iter: (losses[max_iter], max_iter))


def _nbd_classifier(
    bin_edges: list[np.ndarray], position: int, X: np.ndarray, probability: np.ndarray
) -> AdditiveClassifier:
    """Write given probabilities as weights over the bins of one feature; the others weigh 0.

    A bin gets the log-odds of the mean probability of its rows, one without rows lies between its
    neighbours, and a missing value gets the overall mean.
    """
    known = np.isfinite(probability)
    bins = bin_values(X[known], bin_edges)[:, position]
    bin_count = len(bin_edges[position]) + 2
    row_count = np.bincount(bins, minlength=bin_count)
    filled = np.flatnonzero(row_count[1:]) + 1
    means = np.full(bin_count, probability[known].mean())
    sums = np.bincount(bins, weights=probability[known], minlength=bin_count)
    means[filled] = sums[filled] / row_count[filled]
    log_odds = logit(np.clip(means, *PROBABILITY_LIMITS))
    if len(filled):
        log_odds[1:] = np.interp(np.arange(1, bin_count), filled, log_odds[filled])
    intercept = row_count @ log_odds / row_count.sum()
    weights = [np.zeros(len(edges) + 2) for edges in bin_edges]
    weights[position] = np.round(log_odds - intercept, WEIGHT_DECIMALS)
    return AdditiveClassifier.from_weights(
        bin_edges, weights, float(tables.round_significant(intercept))
    )


def _sampled(rows: _Rows, limit: int) -> _Rows:
    """Keep the rows of at most this many customers, those whose id has the lowest MD5."""
    if len(rows.outcome) <= limit:
        return rows
    hashes = [
        hashlib.md5(customer_id.encode(), usedforsecurity=False).hexdigest()
        for customer_id in rows.table["customer_id"].to_pylist()
    ]
    kept = np.zeros(len(hashes), dtype=bool)
    kept[np.argsort(np.array(hashes), kind="stable")[:limit]] = True
    return rows.take(kept)


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
    learner: _Learner, prediction: _Prediction, train: _Rows, test: _Rows, origin: Any
) -> dict[str, np.ndarray]:
    """Predict the rows of a test origin with each scorer."""
    fit = learner.fit(train, origin, prediction)
    probabilities = {"model": fit.classifier.predict_proba(test.X)[:, 1]}
    baselines = _Baselines.fit(train, fit.calibration, fit.calibration_rows)
    for scorer_name in ("base_rate", "rfm_cell"):
        cells = test.table["rfm_cell"].to_pylist()
        probabilities[scorer_name] = expit(baselines.log_odds(scorer_name, cells))
    if prediction.is_purchase and train.has_nbd() and test.has_nbd():
        base_rate = baselines.base_rate
        shift = 0.0
        if fit.calibration != "none":
            calibration = train.take(fit.calibration_rows)
            shift = intercept_shift(_nbd_log_odds(calibration, base_rate), calibration.outcome)
        probabilities["bg_nbd"] = expit(_nbd_log_odds(test, base_rate) + shift)
    return probabilities


def _nbd_log_odds(rows: _Rows, base_rate: float) -> np.ndarray:
    return logit(np.clip(np.where(np.isnan(rows.nbd), base_rate, rows.nbd), *PROBABILITY_LIMITS))


@dataclass(frozen=True)
class _Baselines:
    """What is known without a model: the overall rate, and that of each RFM cell."""

    base_rate: float
    cell_rates: dict[str, float]
    shifts: dict[str, float]

    @classmethod
    def fit(cls, train: _Rows, calibration: str, calibration_rows: np.ndarray) -> _Baselines:
        """Count the rates, and take their level from the rows that set a model's intercept.

        A cell is pulled to the base rate by a few prior rows.
        """
        base_rate = float(train.outcome.mean())
        cells = pa.table({"rfm_cell": train.table["rfm_cell"], "outcome": train.outcome})
        cells = cells.group_by("rfm_cell").aggregate([("outcome", "sum"), ("outcome", "count")])
        cell_rates = {
            cell["rfm_cell"]: (cell["outcome_sum"] + RFM_CELL_PRIOR_COUNT * base_rate)
            / (cell["outcome_count"] + RFM_CELL_PRIOR_COUNT)
            for cell in cells.to_pylist()
            if cell["rfm_cell"] is not None
        }
        rates = cls(base_rate, cell_rates, {"base_rate": 0.0, "rfm_cell": 0.0})
        if calibration == "none":
            return rates
        chosen = train.take(calibration_rows)
        chosen_cells = chosen.table["rfm_cell"].to_pylist()
        shifts = {
            name: intercept_shift(rates.log_odds(name, chosen_cells), chosen.outcome)
            for name in rates.shifts
        }
        return cls(base_rate, cell_rates, shifts)

    def log_odds(self, scorer_name: str, rfm_cells: Sequence[str | None]) -> np.ndarray:
        """Give the log-odds of customers in these cells by one of the two baselines."""
        rates = self.cell_rates if scorer_name == "rfm_cell" else {}
        found = np.array([rates.get(cell, self.base_rate) for cell in rfm_cells], dtype=np.float64)
        return logit(found) + self.shifts[scorer_name]


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
    prediction: _Prediction,
    with_rfm_cell: bool = False,
) -> _Rows:
    """Read the labelled rows of one model, sorted by origin and customer.

    A feature that the model leaves out has no values, so that it weighs 0 in every bin.
    """
    name = "the training rows"
    optional = [NBD_COLUMN] if NBD_COLUMN in training_rows.column_names else []
    optional += ["rfm_cell"] if with_rfm_cell else []
    columns = ["as_of_date", "customer_id", "outcome", *features]
    columns += [column for column in optional if column not in columns]
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
    X = tables.feature_matrix(rows, features)
    X[:, np.isin(features, prediction.left_out_features)] = np.nan
    nbd = np.full(len(outcome), np.nan)
    if NBD_COLUMN in columns:
        nbd = tables.feature_matrix(rows, [NBD_COLUMN])[:, 0]
        if ((nbd < 0) | (nbd > 1)).any():
            raise ValueError(f"the column {NBD_COLUMN} of {model_name} lies outside 0 to 1.")
    return _Rows(
        table=rows,
        origin=tables.date_array(rows["as_of_date"]),
        outcome=outcome.astype(np.int64),
        X=X,
        nbd=nbd,
    )
