"""Fit segmentations where they are due; a fitted version is one table of centers."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import clone

from coterie import tables
from coterie.segmentation.clusters import Clusters
from coterie.segmentation.definitions import (
    SEGMENTS_SCHEMA,
    SegmentDefinitions,
    newest_version,
    read_customers,
    segmentation_settings,
    segmenter_of,
    stored_definitions,
)
from coterie.segmentation.identity import distances_to, jaccard, match_segments, next_codes
from coterie.segmentation.naming import segment_description, segment_names, told_apart
from coterie.segmentation.quality import MIN_SHARE, MIN_STABILITY, bootstrap_agreement
from coterie.segmentation.segmenter import CLEARLY_BETTER, CustomerSegmenter, distinct_rows

logger = logging.getLogger("coterie")

# Distance in scaled units by which a center has to move before its segment gets another name.
NAME_MARGIN = 0.5
# Names of segmentations that are no clusters.
RESERVED_NAMES = ("rfm", "interest", "demographic")


@dataclass(frozen=True)
class Choice:
    """A fitted segmenter and how stable it is.

    Attributes
    ----------
    segmenter : CustomerSegmenter
    stability : float
        Mean adjusted Rand index of the bootstrap refits.
    smallest_share : float
    """

    segmenter: CustomerSegmenter
    stability: float
    smallest_share: float

    @property
    def is_fit(self) -> bool:
        """Whether it is stable and has no tiny segment."""
        return self.stability >= MIN_STABILITY and self.smallest_share >= MIN_SHARE


def judged(segmenter: CustomerSegmenter, X: pd.DataFrame, start: Clusters | None = None) -> Choice:
    """Measure how stable a fitted segmenter is; `start` is what it goes on from."""
    labels = segmenter.labels_
    sizes = np.bincount(labels[labels >= 0], minlength=segmenter.n_clusters_)
    stability = bootstrap_agreement(segmenter, segmenter.code(X), start=start).mean()
    return Choice(segmenter, float(stability), float(sizes.min() / len(labels)))


def choose_segmenter(segmenter: CustomerSegmenter, X: pd.DataFrame) -> Choice:
    """Fit with the elbow's number of clusters, or with the next best that is stable.

    Parameters
    ----------
    segmenter : CustomerSegmenter
        Where its `n_clusters` is a number, or hdbscan finds it, nothing is chosen.
    X : DataFrame, shape (n, f)

    Returns
    -------
    Choice
        The first number of clusters within the bounds, by the distance of the inertia curve below
        its chord, that is stable and has no tiny segment. Where none is, the most stable.
    """
    first = judged(clone(segmenter).fit(X), X)
    is_open = segmenter.n_clusters == "auto" and segmenter.algorithm != "hdbscan"
    # Fewer clusters than the least mean fewer different customers: no other number is left.
    is_short = first.segmenter.n_clusters_ < segmenter.min_clusters
    if not is_open or is_short or first.is_fit:
        return first
    tried = [first]
    order = first.segmenter.elbow_order(*distinct_rows(first.segmenter.code(X)))
    for n_clusters in order[1:]:
        other = clone(segmenter).set_params(n_clusters=n_clusters)
        choice = judged(other.fit(X), X)
        if choice.is_fit:
            return choice
        tried.append(choice)
    return max(tried, key=lambda choice: (choice.smallest_share >= MIN_SHARE, choice.stability))


def continued(
    segmenter: CustomerSegmenter, previous: CustomerSegmenter, X: pd.DataFrame
) -> tuple[Choice, bool]:
    """Go on with the segments of the version before, unless there is a reason not to.

    The scaling stays. Centers start from the stored ones; the result stays unless a fresh search
    for as many clusters has an inertia lower by more than 5 %, or it is unstable or has a tiny
    segment, and a fresh choice is better in that.

    Returns
    -------
    choice : Choice
    is_continuation : bool
        Whether the segments go on.
    """
    warm = clone(segmenter).fit_like(previous, X)
    fresh = clone(segmenter).fit_like(previous, X, is_warm=False)
    is_worse = fresh.inertia_ < (1 - CLEARLY_BETTER) * warm.inertia_
    choice = judged(warm, X, previous.clusters_)
    if choice.is_fit and not is_worse:
        return choice, True
    other = judged(fresh, X) if is_worse else None
    if other is None or not other.is_fit:
        other = choose_segmenter(segmenter, X)
    # What is as unstable as before is no reason to give everybody another segment.
    if other.is_fit or (is_worse and not choice.is_fit):
        return other, False
    return choice, True


def fit_segments(
    sample: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit the segmentations that are due.

    Parameters
    ----------
    sample : pa.Table
        Columns customer_id and each feature: numbers of any type without NULL, or text.
    stored : pa.Table or None
        `SEGMENTS_SCHEMA` of the versions fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        ``segmentations`` ({name: settings of its own}), ``settings_hashes`` ({name: text}),
        refit_interval_days, and optionally code_version, is_empty ("True" fits nothing) and
        feature_words ({feature: {"noun": words}}) for names and descriptions. Settings of its
        own: features (list of str), and optionally algorithm ("kmeans"), n_clusters ("auto" or a
        number), min_clusters (4), max_clusters (6), scaling ("robust"), clip (3.0), families,
        family_weights, max_levels (10), min_customer_count (50).

    Returns
    -------
    pa.Table
        `SEGMENTS_SCHEMA`: one row for each segment and feature, and for each level of a text.
        center is in scaled units (for a level: what it adds to the score), location and scale in
        log-transformed ones, radius is the 75th percentile of the distance of the members to
        their center, typical_value is the median of the members, or their share with the level.
        A segment that goes on keeps its code and, unless it moved, its name. No rows where no fit
        is due, or there are too few or no different customers.

    Raises
    ------
    ValueError
        If a setting or a column is missing, a number is NULL, a customer is there twice, or a
        segmentation has a reserved name.
    """
    empty = SEGMENTS_SCHEMA.empty_table()
    if as_of_date is None or tables.is_true(settings.get("is_empty", False)):
        return empty
    fitted = [
        _fit_one(name, sample, stored, as_of_date=as_of_date, settings=own)
        for name, own in segmentation_settings(settings)
    ]
    return pa.concat_tables([empty, *fitted]).combine_chunks()


def _fit_one(
    name: str,
    sample: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
) -> pa.Table:
    empty = SEGMENTS_SCHEMA.empty_table()
    if name in RESERVED_NAMES:
        raise ValueError(f"a segmentation must not be called {name}; choose another name.")
    features = [str(feature) for feature in tables.read_setting(settings, "features", list)]
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    is_due = tables.fit_is_due(
        stored,
        as_of_date=as_of_date,
        settings_hash=settings_hash,
        refit_interval_days=tables.read_setting(settings, "refit_interval_days", int),
        segmentation_name=name,
    )
    if not is_due:
        return empty
    if sample.num_rows < tables.read_setting(settings, "min_customer_count", int, 50):
        logger.info("%s: %d customers are too few, no fit", name, sample.num_rows)
        return empty

    customers, categories, X = read_customers(sample, features, "the sample of customers")
    segmenter = segmenter_of(settings, categories)
    previous = stored_definitions(
        stored,
        newest_version(
            stored, as_of_date=as_of_date, segmentation_name=name, settings_hash=settings_hash
        ),
    )
    is_continuation = False
    if previous is not None and previous.settings_hash == settings_hash:
        choice, is_continuation = continued(segmenter, previous.segmenter(settings), X)
    else:
        choice = choose_segmenter(segmenter, X)
    segmenter = choice.segmenter
    if segmenter.n_clusters_ < 2:
        logger.info("%s: %d customers do not differ, no fit", name, len(X))
        return empty
    logger.info(
        "%s: fitted %d segments as of %s on %d customers, %s, stability %.2f",
        name,
        segmenter.n_clusters_,
        as_of_date,
        len(X),
        "going on" if is_continuation else "from nothing",
        choice.stability,
    )
    training_fingerprint = tables.fingerprint(customers, ["customer_id", *features])
    version = tables.version_hash(
        tables.read_setting(settings, "code_version", str, ""),
        settings_hash,
        name,
        as_of_date,
        training_fingerprint,
        None if previous is None else previous.version,
    )
    codes, old_positions = _codes(name, segmenter, previous, customers, sample, stored)
    fitted = _segment_rows(segmenter, X, codes)
    words = _words(segmenter, X, settings)
    kept = _kept_names(previous, old_positions, segmenter, features, stored, name)
    names = told_apart(words.names, kept, words.features, words.centers, words.of_features)
    constants = {
        "segmentation_name": name,
        "segmentation_version": version,
        "previous_version": None if previous is None else previous.version,
        "fitted_as_of": as_of_date,
        "data_through": tables.as_date(settings.get("data_through")) or as_of_date,
        "settings_hash": settings_hash,
        "settings": tables.canonical_json(_chosen(settings)),
        "training_fingerprint": training_fingerprint,
        "algorithm": segmenter.algorithm,
        "is_continuation": is_continuation,
        "training_row_count": len(X),
        "clip": float(segmenter.clip),
    }
    for row in fitted:
        label = row.pop("label")
        row.update(constants, segment_name=names[label], description=words.descriptions[label])
    fitted.sort(key=lambda row: int(row["segment_code"].rpartition("_")[2]))  # stable
    return pa.Table.from_pylist(fitted, schema=SEGMENTS_SCHEMA)


def _chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a segmentation without those of the run."""
    of_run = {"settings_hash", "refit_interval_days", "data_through", "feature_words"}
    return {name: value for name, value in settings.items() if name not in of_run}


def _codes(
    name: str,
    segmenter: CustomerSegmenter,
    previous: SegmentDefinitions | None,
    customers: pa.Table,
    sample: pa.Table,
    stored: pa.Table | None,
) -> tuple[list[str], dict[int, int]]:
    """Give each segment its code, and the position of the old segment that it goes on with."""
    count, old = segmenter.n_clusters_, {}
    if previous is not None and set(previous.features) <= set(sample.column_names):
        earlier, _, _ = read_customers(sample, previous.features, "the sample of customers")
        before, after = previous.assign(earlier), segmenter.labels_
        overlap = jaccard(before, after, len(previous.codes), count)
        is_comparable = set(previous.features) == set(customers.column_names) - {"customer_id"}
        distances = distances_to(previous, earlier, after, count) if is_comparable else 1 - overlap
        old = match_segments(distances, overlap)
    of_name = tables.matching_rows(stored, segmentation_name=name)
    used = [] if of_name is None else of_name["segment_code"].unique().to_pylist()
    fresh = iter(next_codes(used, count))
    codes = [previous.codes[old[label]] if label in old else next(fresh) for label in range(count)]
    return codes, old


def _segment_rows(
    segmenter: CustomerSegmenter,
    X: pd.DataFrame,
    codes: Sequence[str],
) -> list[dict[str, Any]]:
    """List the numbers of each segment, feature and level."""
    distances, labels = segmenter.transform(X), segmenter.labels_
    contributions = segmenter.level_contributions()
    coded = segmenter.code(X)
    rows = []
    for label, code in enumerate(codes):
        is_member = labels == label
        reach = segmenter.max_distances_[label]
        of_segment = {
            "label": label,
            "segment_code": code,
            "training_customer_count": int(is_member.sum()),
            "training_share": _rounded(is_member.mean()),
            "radius": _rounded(np.quantile(distances[is_member, label], 0.75)),
            "max_distance": float(reach) if np.isfinite(reach) else None,
            "score_offset": float(segmenter.score_offsets_[label]),
        }
        column = 0
        for position, feature in enumerate(segmenter.feature_names_in_):
            members = coded[is_member, position]
            for number, level in enumerate(segmenter.levels_.get(position, [None])):
                is_number = level is None
                center = (
                    segmenter.cluster_centers_[label, column]
                    if is_number
                    else contributions[position][label, number]
                )
                typical = np.median(members) if is_number else (members == number).mean()
                rows.append(
                    {
                        **of_segment,
                        "feature": feature,
                        "level": level,
                        "center": float(center),
                        "location": float(segmenter.location_[position]),
                        "scale": float(segmenter.scale_[position]),
                        "weight": float(segmenter.center_weights_[label, column]),
                        "typical_value": _rounded(typical),
                    }
                )
                column += 1
    return rows


@dataclass(frozen=True)
class _Words:
    names: list[str]
    descriptions: list[str]
    features: list[str]
    centers: np.ndarray
    of_features: Mapping[str, Mapping[str, str]]


def _words(segmenter: CustomerSegmenter, X: pd.DataFrame, settings: Mapping[str, Any]) -> _Words:
    """Name and describe segments; a level of a category is a feature there, its share the value."""
    given = tables.read_setting(settings, "feature_words", dict, {})
    coded, labels = segmenter.code(X), segmenter.labels_
    features, values, words = [], [], dict(given)
    for position, feature in enumerate(segmenter.feature_names_in_):
        levels = segmenter.levels_.get(position)
        if levels is None:
            features.append(feature)
            values.append(coded[:, position])
            continue
        noun = (given.get(feature) or {}).get("noun") or feature.replace("_", " ")
        for number, level in enumerate(levels):
            features.append(f"{feature}: {level}")
            values.append((coded[:, position] == number).astype(np.float64))
            words[features[-1]] = {"noun": f"share of {noun} {level or 'other'}"}
    numbers = np.column_stack(values)
    is_level = np.array([feature not in segmenter.feature_names_in_ for feature in features])
    members = [numbers[labels == label] for label in range(segmenter.n_clusters_)]
    typical = np.array(
        [np.where(is_level, rows.mean(axis=0), np.median(rows, axis=0)) for rows in members]
    )
    centers = segmenter.cluster_centers_
    names = segment_names(features, typical, numbers, centers, feature_words=words)
    # A sentence says which levels are frequent, and leaves out the others.
    descriptions = []
    for label, rows in enumerate(members):
        told = [
            position
            for position in range(len(features))
            if not is_level[position] or typical[label, position] >= 0.5
        ]
        descriptions.append(
            segment_description(
                [features[position] for position in told],
                typical[label, told],
                len(rows) / len(X),
                feature_words=words,
            )
        )
    return _Words(names, descriptions, features, centers, words)


def _kept_names(
    previous: SegmentDefinitions | None,
    old_positions: Mapping[int, int],
    segmenter: CustomerSegmenter,
    features: Sequence[str],
    stored: pa.Table | None,
    name: str,
) -> dict[int, str]:
    """Find the names that stay: of segments that go on, near to where they were when named."""
    if previous is None:
        return {}
    column_of, column = {}, 0
    for position, feature in enumerate(features):
        levels = segmenter.levels_.get(position)
        if levels is None:
            column_of[feature] = (column, position)
        column += 1 if levels is None else len(levels)
    kept = {}
    for label, old in old_positions.items():
        code, old_name = previous.codes[old], previous.names[old]
        named = _log_center_when_named(stored, name, code, old_name)
        moved = 0.0
        for feature, (column, position) in column_of.items():
            if feature in named:
                scaled = (named[feature] - segmenter.location_[position]) / (
                    segmenter.scale_[position]
                )
                center = segmenter.cluster_centers_[label, column]
                moved += (np.clip(scaled, -segmenter.clip, segmenter.clip) - center) ** 2
        if np.sqrt(moved) <= NAME_MARGIN:
            kept[label] = old_name
    return kept


def _log_center_when_named(
    stored: pa.Table, name: str, code: str, segment_name: str
) -> dict[str, float]:
    """Give the center, as logarithms, of the first version where the segment has this name."""
    rows = tables.matching_rows(
        stored, segmentation_name=name, segment_code=code, segment_name=segment_name
    )
    records = rows.sort_by([("fitted_as_of", "ascending"), ("segmentation_version", "ascending")])
    records = records.to_pylist()
    first = [
        row
        for row in records
        if row["segmentation_version"] == records[0]["segmentation_version"]
        and row.get("level") is None
    ]
    return {row["feature"]: row["center"] * row["scale"] + row["location"] for row in first}


def _rounded(value: float) -> float:
    return float(tables.round_significant(value))
