"""Find customers who are like the members of an audience; the fitted form is one table.

Two ways to rank the others. Closeness: the distance to the nearest of a few centers of the members
(k-means, Lloyd 1982) in scaled features, in units of the members' spread. And a classifier that
tells members from other customers by an additive table of weights. It learns from positive and
unlabelled rows (Elkan & Noto 2008, "Learning classifiers from only positive and unlabeled data"):
among the others are customers who belong to the audience and are not on its list. Such a
classifier ranks as one of labelled rows would, but its level says nothing, so that no probability
is given, and the others who look most like members are not errors but the answer.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import rankdata
from sklearn.cluster import KMeans

from coterie import tables
from coterie.additive import WEIGHT_DECIMALS, AdditiveClassifier
from coterie.binning import FeatureBinner, bin_values
from coterie.learning import in_parallel
from coterie.segmentation import CustomerSegmenter, signed_log1p
from coterie.threads import one_thread

logger = logging.getLogger("coterie")

LOOKALIKE_SCHEMA = pa.schema(
    [
        ("audience_code", pa.string()),
        ("model_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("settings_hash", pa.string()),
        ("method", pa.string()),
        ("status", pa.string()),
        ("training_member_count", pa.int64()),
        ("training_other_count", pa.int64()),
        ("model_roc_auc", pa.float64()),
        ("model_roc_auc_lower", pa.float64()),
        ("model_roc_auc_upper", pa.float64()),
        ("closeness_roc_auc", pa.float64()),
        ("closeness_roc_auc_lower", pa.float64()),
        ("closeness_roc_auc_upper", pa.float64()),
        ("top_decile_lift", pa.float64()),
        ("intercept", pa.float64()),
        ("part", pa.string()),
        ("feature", pa.string()),
        ("bin", pa.int64()),
        ("upper_edge", pa.float64()),
        ("lowest_value", pa.float64()),
        ("highest_value", pa.float64()),
        ("weight", pa.float64()),
        ("center_number", pa.int64()),
        ("center", pa.float64()),
        ("spread", pa.float64()),
        ("location", pa.float64()),
        ("scale", pa.float64()),
        ("clip", pa.float64()),
    ]
)

FOLD_COUNT = 5
# Members with which nothing at all can be shown.
LEAST_MEMBER_COUNT = 10
# Two-sided 95 % interval of a normal distribution.
NORMAL_QUANTILE = 1.959963984540054
# In scaled units: members who are all alike in a feature would decide by it alone.
LEAST_SPREAD = 0.1
# Members for each center of k-means.
MEMBERS_A_CENTER = 25


@dataclass(frozen=True)
class MemberCenters:
    """A few centers of the members of an audience, and how far they lie around them.

    Parameters
    ----------
    centers : ndarray of float64, shape (k, f)
        In scaled units, in the order of the columns.
    spread : ndarray of float64, shape (f,)
        Standard deviation of the members around their nearest center.
    """

    centers: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, scaled: np.ndarray, max_centers: int) -> MemberCenters | None:
        """Find the centers of members; None where nobody has a value in all features.

        There are as many centers, up to `max_centers`, as each lower the sum of squares by
        two fifths and have 25 members each on average.

        Parameters
        ----------
        scaled : ndarray of float64, shape (n, f)
            Rows with NaN do not count.
        max_centers : int
        """
        rows = scaled[np.isfinite(scaled).all(axis=1)]
        if not len(rows):
            return None
        rows = rows[np.lexsort(rows.T[::-1])]
        centers = rows.mean(axis=0)[np.newaxis]
        inertia = float(((rows - centers) ** 2).sum())
        distinct_count = len(np.unique(rows, axis=0))
        for count in range(2, max_centers + 1):
            if len(rows) < MEMBERS_A_CENTER * count or distinct_count < count:
                break
            found = KMeans(n_clusters=count, n_init=3, random_state=0, tol=0).fit(rows)
            if not found.inertia_ < 0.6 * inertia:
                break
            centers, inertia = found.cluster_centers_, float(found.inertia_)
        centers = tables.round_significant(centers[np.lexsort(centers.T[::-1])])
        gaps = rows[:, np.newaxis, :] - centers
        nearest = (gaps**2).sum(axis=2).argmin(axis=1)
        spread = np.sqrt((gaps[np.arange(len(rows)), nearest] ** 2).mean(axis=0))
        return cls(centers, tables.round_significant(np.maximum(spread, LEAST_SPREAD)))

    def distances(self, scaled: np.ndarray) -> np.ndarray:
        """Give the distance to the nearest center in units of spread; NaN where a value is."""
        gaps = (scaled[:, np.newaxis, :] - self.centers) / self.spread
        return np.sqrt((gaps**2).sum(axis=2)).min(axis=1)


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve with a 95 % interval."""

    value: float
    lower: float
    upper: float

    def is_above_chance(self) -> bool:
        """Tell whether the whole interval lies above one half."""
        return bool(self.lower > 0.5)


NO_AUC = Auc(np.nan, np.nan, np.nan)


def delong(is_member: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """Give the area under the ROC curve and its variance.

    DeLong, DeLong & Clarke-Pearson (1988), by ranks (Sun & Xu 2014). Ties count half.

    Parameters
    ----------
    is_member : ndarray of bool, shape (n,)
        At least two of each kind.
    score : ndarray of float64, shape (n,)
        No NaN.
    """
    members, others = score[is_member], score[~is_member]
    pooled = rankdata(np.concatenate([members, others]))
    above = (pooled[: len(members)] - rankdata(members)) / len(others)
    below = 1 - (pooled[len(members) :] - rankdata(others)) / len(members)
    variance = above.var(ddof=1) / len(members) + below.var(ddof=1) / len(others)
    return float(above.mean()), float(variance)


def folded_auc(is_member: np.ndarray, score: np.ndarray, fold: np.ndarray) -> Auc:
    """Average the AUC over folds, each weighing by its members.

    Scores of two folds come from two fits and are never compared. A fold with fewer than two
    members or others does not count. The fits share most of their rows, so that the folds are no
    independent evidence: members who are alike by chance raise the AUC of each other's folds.
    The variance is therefore that of the folds times 1 + k / (k - 1) (Nadeau & Bengio 2003,
    "Inference for the generalization error", section 3.1).

    Parameters
    ----------
    is_member : ndarray of bool, shape (n,)
    score : ndarray of float64, shape (n,)
        The larger, the more like a member; NaN is the lowest of all.
    fold : ndarray of int, shape (n,)

    Returns
    -------
    Auc
        NaN where no fold counts.
    """
    score = np.where(np.isnan(score), -np.inf, score)
    found = []
    for number in np.unique(fold):
        rows = fold == number
        member_count = int(is_member[rows].sum())
        if min(member_count, int(rows.sum()) - member_count) >= 2:
            found.append((member_count, *delong(is_member[rows], score[rows])))
    if not found:
        return NO_AUC
    weight, value, variance = np.array(found).T
    share = weight / weight.sum()
    auc = float(share @ value)
    dependence = 1 + FOLD_COUNT / (FOLD_COUNT - 1)
    half_width = NORMAL_QUANTILE * float(np.sqrt(dependence * (share**2 @ variance)))
    return Auc(auc, max(0.0, auc - half_width), min(1.0, auc + half_width))


def decile_lift(is_member: np.ndarray, score: np.ndarray, fold: np.ndarray) -> float:
    """Give the rate of members among the tenth with the highest scores, over the rate of all.

    Averaged over folds by their members; rows of equal scores share the places they fill.

    Parameters
    ----------
    is_member, score, fold : as in `folded_auc`
    """
    score = np.where(np.isnan(score), -np.inf, score)
    found = 0.0
    for number in np.unique(fold):
        rows = fold == number
        # Equal scores have equal chances to be among the top tenth.
        rank_high = rankdata(-score[rows], method="max")
        rank_low = rankdata(-score[rows], method="min")
        places = rows.sum() / 10
        taken = np.clip((places - rank_low + 1) / (rank_high - rank_low + 1), 0, 1)
        found += float(taken[is_member[rows]].sum())
    return 10 * found / max(1, int(is_member.sum()))


def customer_folds(customer_id: Sequence[str]) -> np.ndarray:
    """Give each customer a fold, 0 to 4, that depends on the id alone; int64, shape (n,)."""
    hashes = [hashlib.md5(text.encode(), usedforsecurity=False).digest() for text in customer_id]
    return np.array([int.from_bytes(found[8:12], "big") for found in hashes]) % FOLD_COUNT


@dataclass(frozen=True)
class _Learner:
    """The settings of a fit."""

    features: list[str]
    closeness_features: list[str]
    n_bins: int
    spline_c: float
    clip: float
    max_centers: int
    min_member_count: int
    min_members_to_boost: int

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> _Learner:
        read = tables.read_setting
        return cls(
            features=read(settings, "features", list),
            closeness_features=read(settings, "closeness_features", list),
            n_bins=read(settings, "n_bins", int, 32),
            spline_c=read(settings, "spline_c", float, 0.2),
            clip=read(settings, "clip", float, 3.0),
            max_centers=read(settings, "max_centers", int, 3),
            min_member_count=read(settings, "min_member_count", int, 50),
            min_members_to_boost=read(settings, "min_members_to_boost", int, 300),
        )

    def method(self, member_count: int) -> str:
        """Choose what so many members allow to learn."""
        if member_count < self.min_member_count:
            return "closeness"
        return "spline" if member_count < self.min_members_to_boost else "additive"

    def classifier(
        self, X: np.ndarray, is_member: np.ndarray, bin_edges: list[np.ndarray], method: str
    ) -> AdditiveClassifier:
        """Fit the classifier; members and others weigh alike, and as much as there are members."""
        member_count = int(is_member.sum())
        other_weight = member_count / (len(is_member) - member_count)
        classifier = AdditiveClassifier(
            parts="spline" if method == "spline" else "blend",
            bin_edges=bin_edges,
            C=self.spline_c,
        )
        weight = np.where(is_member, 1.0, other_weight)
        return classifier.fit(X, is_member.astype(np.int64), sample_weight=weight)


def fit_lookalikes(
    sample: pa.Table, *, as_of_date: datetime.date | None, settings: Mapping[str, Any]
) -> pa.Table:
    """Fit what tells the members of each audience from the other customers.

    The result depends on the sample and the settings alone: no earlier fit is read. An audience is
    judged by five folds of its customers; where the interval of the AUC includes .5, or there are
    fewer than 10 members, its status says so and nobody is to be ranked. Under
    ``min_member_count`` members the closeness alone is judged and used.

    Parameters
    ----------
    sample : pa.Table
        Columns audience_code, customer_id, is_member, is_background (whether the customer is in
        the sample of all customers, which is the same for all audiences), each feature and each
        feature of closeness (any numeric type, NULL is missing); one row for each audience and
        customer.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        features, closeness_features (list of str), settings_hash, and optionally n_bins (32),
        spline_c (.2), clip (3), max_centers (3), min_member_count (50), min_members_to_boost
        (300), code_version and is_empty ("True" fits nothing).

    Returns
    -------
    pa.Table
        `LOOKALIKE_SCHEMA`. Rows of part ``weight``, one for each audience, feature and bin, where
        the method is not closeness; of part ``center``, one for each audience, center and feature
        of closeness; and one of part ``none`` for an audience that has neither. What is known of
        an audience as a whole is repeated on each of its rows. A customer's log-odds are
        ``intercept`` plus the weights of their bins; weights have mean 0 over the other customers
        of the sample, so that the intercept is what the average other customer has.

    Raises
    ------
    ValueError
        If a column or a setting is missing, a feature is not numeric, or a row stands twice.
    """
    empty = LOOKALIKE_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not sample.num_rows:
        return empty
    learner = _Learner.from_settings(settings)
    needed = [*learner.features, *learner.closeness_features]
    named = ["audience_code", "customer_id", "is_member", "is_background"]
    tables.require_columns(sample, [*named, *needed], "the sample of customers")
    tables.refuse_duplicates(sample, ["audience_code", "customer_id"], "the sample of customers")
    sample = sample.sort_by([("audience_code", "ascending"), ("customer_id", "ascending")])

    codes = sample["audience_code"].cast(pa.string())
    audiences = {
        code: sample.filter(pc.equal(codes, code)) for code in sorted(set(codes.to_pylist()))
    }
    # Bins and scales are those of all customers, so that another audience changes no score.
    first = next(iter(audiences.values()))
    background = first.filter(first["is_background"])
    if not background.num_rows:
        background = first
    matrix = tables.feature_matrix(background, learner.features)
    with one_thread():
        bin_edges = FeatureBinner(n_bins=learner.n_bins).fit(matrix).bin_edges_
        location, scale = _location_and_scale(background, learner)
    limits = [_limits(column) for column in matrix.T]

    key = {
        "fitted_as_of": as_of_date,
        "settings_hash": tables.read_setting(settings, "settings_hash", str),
    }
    version = [tables.read_setting(settings, "code_version", str, ""), *key.values()]
    fits = in_parallel(
        (_fit_audience, rows, learner, bin_edges, location, scale) for rows in audiences.values()
    )
    rows: list[dict] = []
    for (code, own), (whole, weights, centers) in zip(audiences.items(), fits, strict=True):
        hashed = tables.fingerprint(own, ["customer_id", "is_member", *dict.fromkeys(needed)])
        whole |= key | {
            "audience_code": code,
            "model_version": tables.version_hash(*version, code, hashed),
        }
        parts = _weight_rows(learner, weights, bin_edges, limits)
        parts += _center_rows(learner, centers, location, scale)
        rows += [whole | part for part in parts or [{"part": "none"}]]
        logger.info(
            "%s: %s with %d members, %s",
            code,
            whole["method"],
            whole["training_member_count"],
            whole["status"],
        )
    return pa.Table.from_pylist(rows, schema=LOOKALIKE_SCHEMA)


def _fit_audience(
    rows: pa.Table,
    learner: _Learner,
    bin_edges: list[np.ndarray],
    location: np.ndarray,
    scale: np.ndarray,
) -> tuple[dict[str, Any], list[np.ndarray] | None, MemberCenters | None]:
    """Fit and judge one audience: what is known of it, its weights and its centers."""
    is_member = rows["is_member"].to_numpy(zero_copy_only=False).astype(bool)
    member_count, other_count = int(is_member.sum()), int((~is_member).sum())
    X = tables.feature_matrix(rows, learner.features)
    raw = tables.feature_matrix(rows, learner.closeness_features)
    scaled = np.clip((signed_log1p(raw) - location) / scale, -learner.clip, learner.clip) + 0.0
    fold = customer_folds(rows["customer_id"].cast(pa.string()).to_pylist())
    method = learner.method(member_count)

    model_auc, closeness_auc = NO_AUC, NO_AUC
    score = np.full(len(fold), np.nan)
    weights, intercept, centers = None, None, None
    status = "too_few_members"
    if member_count >= LEAST_MEMBER_COUNT and other_count >= LEAST_MEMBER_COUNT:
        score = _unseen_closeness(scaled, is_member, fold, learner)
        closeness_auc = folded_auc(is_member, score, fold)
        judged = closeness_auc
        if method != "closeness":
            score = _unseen_log_odds(X, is_member, fold, learner, bin_edges, method)
            judged = model_auc = folded_auc(is_member, score, fold)
        status = "ranked" if judged.is_above_chance() else "withheld"
        centers = MemberCenters.fit(scaled[is_member], learner.max_centers)
        if method != "closeness":
            classifier = learner.classifier(X, is_member, bin_edges, method)
            weights, intercept = _centred_on(classifier, X[~is_member])
    lift = decile_lift(is_member, score, fold) if np.isfinite(score).any() else np.nan
    whole = {
        "method": method,
        "status": status,
        "training_member_count": member_count,
        "training_other_count": other_count,
        "top_decile_lift": _rounded(lift),
        "intercept": intercept,
    }
    for name, auc in (("model", model_auc), ("closeness", closeness_auc)):
        whole[f"{name}_roc_auc"] = _rounded(auc.value)
        whole[f"{name}_roc_auc_lower"] = _rounded(auc.lower)
        whole[f"{name}_roc_auc_upper"] = _rounded(auc.upper)
    return whole, weights, centers


def _unseen_closeness(
    scaled: np.ndarray, is_member: np.ndarray, fold: np.ndarray, learner: _Learner
) -> np.ndarray:
    """Give the closeness of each row to the members of the other folds, shape (n,)."""
    score = np.full(len(fold), np.nan)
    for number in range(FOLD_COUNT):
        unseen = fold == number
        centers = MemberCenters.fit(scaled[is_member & ~unseen], learner.max_centers)
        if centers is not None:
            score[unseen] = -tables.round_significant(centers.distances(scaled[unseen]))
    return score


def _unseen_log_odds(
    X: np.ndarray,
    is_member: np.ndarray,
    fold: np.ndarray,
    learner: _Learner,
    bin_edges: list[np.ndarray],
    method: str,
) -> np.ndarray:
    """Give the log-odds of each row by a fit on the other folds, shape (n,)."""
    score = np.full(len(fold), np.nan)
    for number in range(FOLD_COUNT):
        seen = fold != number
        if is_member[seen].any() and not is_member[seen].all() and not seen.all():
            classifier = learner.classifier(X[seen], is_member[seen], bin_edges, method)
            log_odds = classifier.decision_function(X[~seen])
            score[~seen] = np.round(log_odds, WEIGHT_DECIMALS)
    return score


def _centred_on(classifier: AdditiveClassifier, X: np.ndarray) -> tuple[list[np.ndarray], float]:
    """Move the weights so that each feature's mean over some rows is 0, and the intercept along."""
    bins = bin_values(X, classifier.bin_edges_)
    weights, intercept = [], classifier.intercept_
    for position, shape in enumerate(classifier.weights_):
        mean = np.bincount(bins[:, position], minlength=len(shape)) @ shape / len(bins)
        mean = float(np.round(mean, WEIGHT_DECIMALS))
        # Whole billionths add up exactly, in whatever order and engine.
        weights.append(np.round(shape - mean, WEIGHT_DECIMALS) + 0.0)
        intercept += mean
    return weights, float(np.round(intercept, WEIGHT_DECIMALS))


def _location_and_scale(background: pa.Table, learner: _Learner) -> tuple[np.ndarray, np.ndarray]:
    """Give the scaling of the segmentation for the features of closeness, each shape (f,)."""
    raw = tables.feature_matrix(background, learner.closeness_features)
    raw = raw[np.isfinite(raw).all(axis=1)]
    if not len(raw):
        return np.zeros(raw.shape[1]), np.ones(raw.shape[1])
    scaler = CustomerSegmenter(n_clusters=1, n_init=0, clip=learner.clip).fit(raw)
    return scaler.location_, scaler.scale_


def _limits(column: np.ndarray) -> tuple[float | None, float | None]:
    values = column[np.isfinite(column)]
    return (float(values.min()), float(values.max())) if len(values) else (None, None)


def _weight_rows(
    learner: _Learner,
    weights: list[np.ndarray] | None,
    bin_edges: list[np.ndarray],
    limits: list[tuple[float | None, float | None]],
) -> list[dict[str, Any]]:
    rows = []
    for feature, shape, edges, (lowest, highest) in zip(
        learner.features, weights or [], bin_edges, limits, strict=weights is not None
    ):
        uppers = [None, *edges.tolist(), np.inf]
        rows += [
            {
                "part": "weight",
                "feature": feature,
                "bin": number,
                "upper_edge": upper,
                "lowest_value": lowest,
                "highest_value": highest,
                "weight": weight,
            }
            for number, (upper, weight) in enumerate(zip(uppers, shape.tolist(), strict=True))
        ]
    return rows


def _center_rows(
    learner: _Learner, centers: MemberCenters | None, location: np.ndarray, scale: np.ndarray
) -> list[dict[str, Any]]:
    if centers is None:
        return []
    return [
        {
            "part": "center",
            "feature": feature,
            "center_number": number,
            "center": float(center[position]),
            "spread": float(centers.spread[position]),
            "location": float(location[position]),
            "scale": float(scale[position]),
            "clip": learner.clip,
        }
        for number, center in enumerate(centers.centers, start=1)
        for position, feature in enumerate(learner.closeness_features)
    ]


def _rounded(value: float) -> float | None:
    return float(tables.round_significant(value)) if np.isfinite(value) else None
