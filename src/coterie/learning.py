"""What the learners of outcomes and of amounts share: rows, settings, one fit, and its level.

A fit takes rows of past dates whose outcome window has closed, chooses what can be learned from so
many of them, and sets the level of the result by the rows that tell most about the coming season.
Final fits and the fits of back-tests go through the same code.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from joblib import Parallel, delayed
from scipy.special import logit

from coterie import tables
from coterie.additive import WEIGHT_DECIMALS, AdditiveClassifier, AdditiveRegressor
from coterie.binning import FeatureBinner, bin_values, newest_bin_set
from coterie.threads import one_thread

logger = logging.getLogger("coterie")

# The origins one year back: 12 and 13 steps of 30 days.
SEASON_DAYS = (360, 390)
# Without a year of history a horizon up to this takes the intercept of the newest origin.
NEWEST_ORIGIN_HORIZON_DAYS = 30
# An intercept is taken from at least this many positives and as many negatives.
CALIBRATION_COUNT = 50
# Iterations where the training origins are too few to choose.
DEFAULT_MAX_ITER = 150
PROBABILITY_LIMITS = (1e-6, 1 - 1e-6)
# The feature on whose bins it is served.
NBD_FEATURE = "nbd_purchase_probability_90d"


@dataclass(frozen=True)
class Prediction:
    """What is predicted by one model."""

    horizon_days: int
    is_purchase: bool
    left_out_features: list[str]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], model_name: str) -> Prediction:
        """Read the prediction of one model; a ValueError where it has none."""
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


@dataclass(frozen=True)
class LabelledRows:
    """The labelled rows of one model, sorted by origin and customer."""

    table: pa.Table
    origin: np.ndarray  # datetime64[D], shape (n,)
    outcome: np.ndarray  # int64, shape (n,)
    X: np.ndarray  # float64, shape (n, f)
    nbd: np.ndarray  # float64, shape (n,), NaN where there is no probability by BG/NBD

    def take(self, mask: np.ndarray) -> LabelledRows:
        """Keep the rows that a mask of shape (n,) marks."""
        return LabelledRows(
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
        """Tell whether any row has a probability by BG/NBD."""
        return bool(np.isfinite(self.nbd).any())


@dataclass(frozen=True)
class Fit:
    """A calibrated classifier and how it came to be."""

    classifier: AdditiveClassifier
    learner: str
    max_iter: int
    calibration: str
    calibration_rows: np.ndarray  # bool, shape (n,)


@dataclass(frozen=True)
class Learner:
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
    def from_settings(cls, settings: Mapping[str, Any]) -> Learner:
        """Read the settings of learning, with the defaults that `fit_propensity_weights` names."""
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
        """Tell whether outcomes of 0 and 1 are enough of both to learn from."""
        positives = int(outcome.sum())
        negatives = len(outcome) - positives
        return positives >= max(1, self.min_positive_count) and negatives >= max(
            1, self.min_negative_count
        )

    def fit(
        self,
        rows: LabelledRows,
        as_of: Any,
        prediction: Prediction,
        bin_edges: list[np.ndarray] | None = None,
    ) -> Fit:
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
        return Fit(classifier, learner, max_iter, calibration, mask)

    def weight(self, rows: LabelledRows, as_of: Any) -> np.ndarray:
        """Give each row half the weight of one that is half_life_days newer: shops change."""
        if self.half_life_days <= 0:
            return np.ones(len(rows.origin))
        age = (np.datetime64(as_of, "D") - rows.origin) / np.timedelta64(1, "D")
        return 0.5 ** (age / self.half_life_days)

    def choose_learner(self, rows: LabelledRows, prediction: Prediction) -> str:
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
        """Give an unfitted classifier of these settings."""
        return AdditiveClassifier(
            parts=parts, C=self.spline_c, **self._boosting(bin_edges, max_iter)
        )

    def regressor(
        self, bin_edges: list[np.ndarray], parts: str = "blend", max_iter: int = DEFAULT_MAX_ITER
    ) -> AdditiveRegressor:
        """Give an unfitted regressor of these settings."""
        return AdditiveRegressor(parts=parts, **self._boosting(bin_edges, max_iter))

    def _boosting(self, bin_edges: list[np.ndarray], max_iter: int) -> dict[str, Any]:
        return {
            "n_bins": self.n_bins,
            "bin_edges": bin_edges,
            "learning_rate": self.learning_rate,
            "max_iter": max_iter,
            "max_leaf_nodes": self.max_leaf_nodes,
            "min_samples_leaf": self.min_samples_leaf,
            "l2_regularization": self.l2_regularization,
        }

    def choose_max_iter(
        self, rows: LabelledRows, horizon_days: int, bin_edges: list[np.ndarray]
    ) -> int:
        """Choose the candidate with the least log loss on the newest origin, the fewest on ties.

        Learned from are the origins whose outcome window had closed by it.
        """
        if self.max_iter_candidates == [DEFAULT_MAX_ITER]:
            return DEFAULT_MAX_ITER
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


def sampled(customer_id: pa.ChunkedArray, limit: int) -> np.ndarray:
    """Mark at most this many customers, those whose id has the lowest MD5.

    So the customers who are kept at one date are those of the next.

    Parameters
    ----------
    customer_id : pa.ChunkedArray of string, shape (n,)
    limit : int

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    kept = np.ones(len(customer_id), dtype=bool)
    if len(kept) > limit:
        hashes = [
            hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
            for text in customer_id.to_pylist()
        ]
        kept[np.argsort(np.array(hashes), kind="stable")[limit:]] = False
    return kept


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


def in_parallel(calls: Iterable[tuple]) -> list:
    """Call functions with their arguments, some at a time, and give the results in their order.

    Each fit runs under one thread by itself, so that its result does not depend on how many run.
    """
    with one_thread():
        return Parallel(n_jobs=-1, prefer="threads")(
            delayed(function)(*arguments) for function, *arguments in calls
        )


def untested_versions(
    weights: pa.Table,
    stored: pa.Table | None,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
) -> dict[str, str]:
    """Find the newest version of each model, unless it is of a later date or already tested.

    Parameters
    ----------
    weights : pa.Table
        Columns model_name, model_version, fitted_as_of, settings_hash.
    stored : pa.Table or None
        Column model_version of the versions tested so far.
    as_of_date : date
    settings : mapping
        settings_hash.

    Returns
    -------
    dict of str to str
        The version of each model name.
    """
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


def bin_set_as_of(
    feature_bins: pa.Table, as_of_date: datetime.date, settings: Mapping[str, Any]
) -> pa.Table | None:
    """Find the bin set to learn on; None where all bin sets of the settings are newer.

    Raises
    ------
    ValueError
        If no bins of these settings were ever fitted.
    """
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
