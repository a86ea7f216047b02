"""What is stored of a version, and how it assigns customers."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from coterie import tables
from coterie.segmentation.clusters import Clusters
from coterie.segmentation.scaling import OTHER_LEVEL, level_numbers, signed_log1p
from coterie.segmentation.segmenter import SCORE_DIGITS, CustomerSegmenter

SEGMENTS_SCHEMA = pa.schema(
    [
        ("segmentation_name", pa.string()),
        ("segmentation_version", pa.string()),
        ("previous_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("data_through", pa.date32()),
        ("settings_hash", pa.string()),
        ("settings", pa.string()),
        ("training_fingerprint", pa.string()),
        ("algorithm", pa.string()),
        ("is_continuation", pa.bool_()),
        ("training_row_count", pa.int64()),
        ("segment_code", pa.string()),
        ("segment_name", pa.string()),
        ("description", pa.string()),
        ("training_customer_count", pa.int64()),
        ("training_share", pa.float64()),
        ("radius", pa.float64()),
        ("max_distance", pa.float64()),
        ("score_offset", pa.float64()),
        ("feature", pa.string()),
        ("level", pa.string()),
        ("center", pa.float64()),
        ("location", pa.float64()),
        ("scale", pa.float64()),
        ("clip", pa.float64()),
        ("weight", pa.float64()),
        ("typical_value", pa.float64()),
    ]
)

# The code of customers beyond the reach of every segment.
UNASSIGNED = "unassigned"

# What versions stored before these columns were there hold in their place.
OLD_VALUES = {
    "previous_version": None,
    "algorithm": "kmeans",
    "is_continuation": False,
    "max_distance": None,
    "score_offset": 0.0,
    "level": None,
    "weight": 1.0,
}


class SegmentDefinitions:
    """One stored version of a segmentation.

    Parameters
    ----------
    rows : pa.Table
        The rows of `SEGMENTS_SCHEMA` of one version. Columns and values that older versions lack
        are those of k-means with one family.

    Attributes
    ----------
    version : str
    previous_version : str or None
    is_continuation : bool
    fitted_as_of : datetime.date
    settings_hash : str
    codes, names : list of str, length k
        In the order in which ties are decided, that of the codes as text.
    features : list of str, length f
    levels : dict of str to list of str
        Of the features that are categories, the last for the rest.
    typical_values : dict of (str, str or None) to ndarray of float64, shape (k,)
        By feature and level.
    """

    def __init__(self, rows: pa.Table):
        records = [{**row, **_filled(row)} for row in rows.to_pylist()]
        first = records[0]
        self.version: str = first["segmentation_version"]
        self.previous_version: str | None = first["previous_version"]
        self.is_continuation: bool = first["is_continuation"]
        self.fitted_as_of: datetime.date = tables.as_date(first["fitted_as_of"])
        self.settings_hash: str = first["settings_hash"]
        self.algorithm: str = first["algorithm"]
        self.clip = float(first["clip"])
        of_segment = {row["segment_code"]: row for row in records}
        self.codes = sorted(of_segment)
        self.names = [of_segment[code]["segment_name"] for code in self.codes]
        self._offsets = np.array([of_segment[code]["score_offset"] for code in self.codes])
        self._max_distances = np.array(
            [
                np.inf
                if of_segment[code]["max_distance"] is None
                else of_segment[code]["max_distance"]
                for code in self.codes
            ]
        )
        of_first = [row for row in records if row["segment_code"] == first["segment_code"]]
        self.features = list(dict.fromkeys(row["feature"] for row in of_first))
        self.levels: dict[str, list[str]] = {}
        for row in of_first:
            if row["level"] is not None:
                self.levels.setdefault(row["feature"], []).append(row["level"])
        for levels in self.levels.values():
            levels.sort(key=lambda level: level == OTHER_LEVEL)
        self._cells = {(row["segment_code"], row["feature"], row["level"]): row for row in records}
        self.typical_values = {
            (feature, level): self._column("typical_value", feature, level)
            for feature in self.features
            for level in self.levels.get(feature, [None])
        }

    def _column(self, name: str, feature: str, level: str | None) -> np.ndarray:
        return np.array([self._cells[code, feature, level][name] for code in self.codes])

    def _scaled(self, feature: str, values: np.ndarray) -> np.ndarray:
        cell = self._cells[self.codes[0], feature, None]
        scaled = (signed_log1p(values) - cell["location"]) / cell["scale"]
        return np.clip(scaled, -self.clip, self.clip)

    def scores(self, customers: pa.Table) -> np.ndarray:
        """Give the score of each customer and segment, shape (n, k).

        Parameters
        ----------
        customers : pa.Table
            The columns of `features`.
        """
        scores = np.tile(self._offsets, (customers.num_rows, 1))
        for feature in self.features:
            levels = self.levels.get(feature)
            if levels is None:
                scaled = self._scaled(feature, tables.feature_matrix(customers, [feature])[:, 0])
                apart = scaled[:, np.newaxis] - self._column("center", feature, None)
                scores += (apart * self._column("weight", feature, None)) ** 2
            else:
                added = np.array([self._column("center", feature, level) for level in levels])
                texts = customers[feature].cast(pa.string()).to_pylist()
                scores += added[level_numbers(texts, levels).astype(np.intp)]
        return scores

    def distances(self, scores: np.ndarray) -> np.ndarray:
        """Give the distances to the centers that belong to scores, shape (n, k)."""
        return np.round(np.sqrt(np.maximum(scores - self._offsets, 0)), SCORE_DIGITS)

    def assign(self, customers: pa.Table) -> np.ndarray:
        """Give the position of the segment of each customer, -1 for none; int64, shape (n,)."""
        scores = self.scores(customers)
        nearest = np.round(scores, SCORE_DIGITS).argmin(axis=1)
        distance = self.distances(scores)[np.arange(len(nearest)), nearest]
        return np.where(distance > self._max_distances[nearest], -1, nearest)

    def columns(self, customers: pa.Table) -> np.ndarray:
        """Give the weighted columns in which the centers lie, shape (n, p)."""
        parts = []
        for feature in self.features:
            levels = self.levels.get(feature)
            weights = self._column("weight", feature, None if levels is None else levels[0])
            weight = float(np.median(weights))
            if levels is None:
                values = tables.feature_matrix(customers, [feature])[:, 0]
                parts.append(self._scaled(feature, values)[:, np.newaxis] * weight)
            else:
                texts = customers[feature].cast(pa.string()).to_pylist()
                numbers = level_numbers(texts, levels).astype(np.intp)
                parts.append(np.eye(len(levels))[numbers] * weight)
        return np.hstack(parts)

    def centers(self) -> np.ndarray:
        """Give the centers in the columns of `columns`, shape (k, p)."""
        parts = []
        for feature in self.features:
            for level in self.levels.get(feature, [None]):
                weight = float(np.median(self._column("weight", feature, level)))
                name = "center" if level is None else "typical_value"
                parts.append(self._column(name, feature, level) * weight)
        return np.column_stack(parts)

    def log_centers(self) -> dict[str, dict[str, float]]:
        """Give the centers of the numbers as logarithms, by code and feature."""
        numbers = [feature for feature in self.features if feature not in self.levels]
        return {
            code: {
                feature: self._cells[code, feature, None]["center"]
                * self._cells[code, feature, None]["scale"]
                + self._cells[code, feature, None]["location"]
                for feature in numbers
            }
            for code in self.codes
        }

    def segmenter(self, settings: Mapping[str, Any]) -> CustomerSegmenter:
        """Give the estimator as it was fitted, its segments in the order of `codes`."""
        segmenter = segmenter_of(settings, list(self.levels))
        segmenter.n_features_in_ = len(self.features)
        segmenter.feature_names_in_ = np.array(self.features, dtype=object)
        segmenter.levels_ = {
            position: self.levels[feature]
            for position, feature in enumerate(self.features)
            if feature in self.levels
        }
        is_number = [feature not in self.levels for feature in self.features]
        cells = [
            self._cells[self.codes[0], feature, None] if number else {"location": 0.0, "scale": 1.0}
            for feature, number in zip(self.features, is_number, strict=True)
        ]
        segmenter.location_ = np.array([cell["location"] for cell in cells])
        segmenter.scale_ = np.array([cell["scale"] for cell in cells])
        centers, weights = [], []
        for feature in self.features:
            for level in self.levels.get(feature, [None]):
                name = "center" if level is None else "typical_value"
                centers.append(self._column(name, feature, level))
                weights.append(self._column("weight", feature, level))
        segmenter._keep(
            Clusters(
                np.column_stack(centers),
                np.column_stack(weights),
                self._offsets,
                self._max_distances,
            )
        )
        return segmenter


def _filled(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in OLD_VALUES.items() if row.get(name) is None}


def stored_definitions(stored: pa.Table | None, version: str | None) -> SegmentDefinitions | None:
    """Read one version, or None where it is not stored."""
    if stored is None or version is None:
        return None
    rows = stored.filter(pc.equal(stored["segmentation_version"].cast(pa.string()), version))
    return SegmentDefinitions(rows) if rows.num_rows else None


def newest_version(
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date,
    segmentation_name: str,
    settings_hash: str | None = None,
    is_strict: bool = False,
) -> str | None:
    """Find the newest version of a segmentation; of one date the one with these settings.

    Parameters
    ----------
    stored : pa.Table or None
        Columns segmentation_name, segmentation_version, fitted_as_of, settings_hash.
    as_of_date : date
        Versions of later dates are none.
    segmentation_name : str
    settings_hash : str, optional
        Preferred, or the only one where `is_strict`.
    """
    found = tables.matching_rows(stored, segmentation_name=segmentation_name)
    if found is None:
        return None
    ranked = [
        (day, found_hash == settings_hash, version)
        for version, day, found_hash in zip(
            found["segmentation_version"].to_pylist(),
            found["fitted_as_of"].cast(pa.date32()).to_pylist(),
            found["settings_hash"].to_pylist(),
            strict=True,
        )
        if day <= as_of_date and (not is_strict or found_hash == settings_hash)
    ]
    return max(ranked)[2] if ranked else None


def segmentation_settings(settings: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """List the segmentations of a run by name, each with its settings and their hash.

    Parameters
    ----------
    settings : mapping
        ``segmentations`` ({name: settings, or None for none}) and ``settings_hashes``
        ({name: text}). refit_interval_days, code_version, is_empty and feature_words hold for all.
    """
    shared = {
        name: settings[name]
        for name in ("refit_interval_days", "code_version", "feature_words", "data_through")
        if settings.get(name) is not None
    }
    hashes = tables.read_setting(settings, "settings_hashes", dict)
    listed = []
    for name, own in tables.read_setting(settings, "segmentations", dict).items():
        if own is None:
            continue
        if name not in hashes:
            raise ValueError(f"settings_hashes has no hash of the segmentation {name}; add it.")
        given = {key: value for key, value in own.items() if value is not None}
        listed.append((name, {**shared, **given, "settings_hash": hashes[name]}))
    return listed


def new_versions(
    centers: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
) -> Iterator[tuple[str, dict[str, Any], SegmentDefinitions]]:
    """List the newest version of each segmentation that nothing is stored about.

    Parameters
    ----------
    centers : pa.Table
        All stored versions, `SEGMENTS_SCHEMA`.
    stored : pa.Table or None
        Column segmentation_version of the versions that are known already.
    as_of_date : date
    settings : mapping
        As for `segmentation_settings`.

    Yields
    ------
    name : str
    settings : dict
        Those of the segmentation.
    definitions : SegmentDefinitions
    """
    known = set() if stored is None else set(stored["segmentation_version"].to_pylist())
    for name, own in segmentation_settings(settings):
        version = newest_version(
            centers,
            as_of_date=as_of_date,
            segmentation_name=name,
            settings_hash=own["settings_hash"],
            is_strict=True,
        )
        if version is not None and version not in known:
            yield name, own, stored_definitions(centers, version)


def segmenter_of(settings: Mapping[str, Any], categories: Sequence[str]) -> CustomerSegmenter:
    """Make the estimator that settings ask for."""
    n_clusters = settings.get("n_clusters") or "auto"
    if n_clusters != "auto":
        n_clusters = tables.read_setting(settings, "n_clusters", int)
    return CustomerSegmenter(
        n_clusters=n_clusters,
        min_clusters=tables.read_setting(settings, "min_clusters", int, 4),
        max_clusters=tables.read_setting(settings, "max_clusters", int, 6),
        algorithm=tables.read_setting(settings, "algorithm", str, "kmeans"),
        scaling=tables.read_setting(settings, "scaling", str, "robust"),
        clip=tables.read_setting(settings, "clip", float, 3.0),
        families=tables.read_setting(settings, "families", dict, {}) or None,
        family_weights=tables.read_setting(settings, "family_weights", dict, {}) or None,
        categories=list(categories) or None,
        max_levels=tables.read_setting(settings, "max_levels", int, 10),
    )


def read_customers(
    sample: pa.Table, features: Sequence[str], name: str
) -> tuple[pa.Table, list[str], pd.DataFrame]:
    """Read customers and their features, sorted by customer.

    Returns
    -------
    customers : pa.Table
    categories : list of str
        The features that are text.
    X : DataFrame, shape (n, f)
        What the estimator reads.

    Raises
    ------
    ValueError
        If a column is missing, a customer is there twice, or a number is missing.
    """
    tables.require_columns(sample, ["customer_id", *features], name)
    customers = sample.select(["customer_id", *features])
    customers = customers.set_column(
        0, "customer_id", customers["customer_id"].cast(pa.string())
    ).sort_by("customer_id")
    tables.refuse_duplicates(customers, ["customer_id"], name)
    categories = [feature for feature in features if tables.is_text(customers[feature].type)]
    numbers = [feature for feature in features if feature not in categories]
    matrix = tables.feature_matrix(customers, numbers)
    for feature, column in zip(numbers, matrix.T, strict=True):
        if not np.isfinite(column).all():
            raise ValueError(
                f"the column {feature} has NULL or infinite values, and a segmentation needs a "
                "number for each customer; fill them before, or take the column out of features."
            )
    frame = pd.DataFrame(index=range(customers.num_rows))
    for feature in features:
        if feature in categories:
            texts = customers[feature].cast(pa.string()).to_pylist()
            frame[feature] = pd.Series(texts, dtype=object, index=frame.index)
        else:
            frame[feature] = matrix[:, numbers.index(feature)]
    return customers, categories, frame
