"""Which segment of a new version is which of the version before."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.optimize import linear_sum_assignment

from coterie import tables
from coterie.segmentation.definitions import (
    SegmentDefinitions,
    new_versions,
    read_customers,
    stored_definitions,
)

SEGMENT_LINEAGE_SCHEMA = pa.schema(
    [
        ("segmentation_name", pa.string()),
        ("segmentation_version", pa.string()),
        ("previous_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("settings_hash", pa.string()),
        ("from_segment_code", pa.string()),
        ("to_segment_code", pa.string()),
        ("change", pa.string()),
        ("overlap", pa.float64()),
        ("center_distance", pa.float64()),
        ("customer_count", pa.int64()),
    ]
)

# A segment stays the same when at least this share of both together are members of both.
MIN_OVERLAP = 0.5
# Share of the members of a segment that say where it came from, or where it went.
MAIN_SHARE = 0.5


def shared_members(
    before: np.ndarray, after: np.ndarray, before_count: int, after_count: int
) -> np.ndarray:
    """Count the customers of each pair of segments; negative labels are in none.

    Returns
    -------
    ndarray of int64, shape (before_count, after_count)
    """
    is_in = (before >= 0) & (after >= 0)
    pairs = before[is_in] * after_count + after[is_in]
    return np.bincount(pairs, minlength=before_count * after_count).reshape(
        before_count, after_count
    )


def jaccard(
    before: np.ndarray, after: np.ndarray, before_count: int, after_count: int
) -> np.ndarray:
    """Give the members in both over those in either, shape (before_count, after_count)."""
    shared = shared_members(before, after, before_count, after_count)
    sizes_before = np.bincount(before[before >= 0], minlength=before_count)
    sizes_after = np.bincount(after[after >= 0], minlength=after_count)
    either = sizes_before[:, np.newaxis] + sizes_after - shared
    return shared / np.maximum(either, 1)


def distances_to(
    previous: SegmentDefinitions, customers: pa.Table, labels: np.ndarray, count: int
) -> np.ndarray:
    """Give the distances of the means of new segments to the stored centers, in their scaling.

    Parameters
    ----------
    previous : SegmentDefinitions
        k segments.
    customers : pa.Table, n rows
        The features of `previous`.
    labels : ndarray of int64, shape (n,)
        New segments; -1 for none.
    count : int
        Number of new segments.

    Returns
    -------
    ndarray of float64, shape (k, count)
        NaN for a segment without members.
    """
    columns = previous.columns(customers)
    means = np.array(
        [
            columns[labels == label].mean(axis=0)
            if (labels == label).any()
            else np.full(columns.shape[1], np.nan)
            for label in range(count)
        ]
    )
    apart = previous.centers()[:, np.newaxis, :] - means
    return np.sqrt((apart**2).sum(axis=2))


def match_segments(distances: np.ndarray, overlap: np.ndarray) -> dict[int, int]:
    """Find which new segment goes on with which old one.

    Pairs of the least sum of center distances (Hungarian method, Kuhn 1955) count where at least
    half of the members are the same.

    Parameters
    ----------
    distances, overlap : ndarray of float64, shape (old, new)
        Between centers, and Jaccard indexes of members.

    Returns
    -------
    dict of int to int
        ``{new: old}``.
    """
    cost = np.where(np.isfinite(distances), distances, 1e6)
    old, new = linear_sum_assignment(cost)
    return {int(b): int(a) for a, b in zip(old, new, strict=True) if overlap[a, b] >= MIN_OVERLAP}


def next_codes(used: Sequence[str], count: int) -> list[str]:
    """Give codes that no segment ever had: ``segment_`` and the next numbers."""
    found = [re.fullmatch(r"segment_(\d+)", code) for code in used]
    first = 1 + max((int(match.group(1)) for match in found if match), default=0)
    return [f"segment_{first + k}" for k in range(count)]


def lineage_rows(
    overlap: np.ndarray,
    distances: np.ndarray,
    shared: np.ndarray,
    codes_before: Sequence[str],
    codes_after: Sequence[str],
    sizes_before: np.ndarray,
    sizes_after: np.ndarray,
) -> list[dict[str, Any]]:
    """Say what became of each old segment and where each new one comes from.

    A code in both versions was ``kept``. An old segment whose code is gone went to the one that
    took at least half of its members (``merge``), or was ``retired``. A segment with a new code
    came from the one that half of its members were in (``split``), or is ``new``, unless a merge
    names it already.

    Parameters
    ----------
    overlap, distances, shared : ndarray, shape (old, new)
        Jaccard index, center distance and customers in common.
    codes_before, codes_after : sequence of str
    sizes_before, sizes_after : ndarray of int64

    Returns
    -------
    list of dict
        from_segment_code, to_segment_code, change, overlap, center_distance, customer_count. Every
        old segment is in one row at least as the first, every new one as the second.
    """

    def row(change: str, a: int | None, b: int | None) -> dict[str, Any]:
        is_pair = a is not None and b is not None
        is_far = is_pair and np.isfinite(distances[a, b])
        customers = shared[a, b] if is_pair else sizes_after[b] if a is None else sizes_before[a]
        return {
            "from_segment_code": None if a is None else codes_before[a],
            "to_segment_code": None if b is None else codes_after[b],
            "change": change,
            "overlap": float(tables.round_significant(overlap[a, b], 9)) if is_pair else None,
            "center_distance": (
                float(tables.round_significant(distances[a, b], 9)) if is_far else None
            ),
            "customer_count": int(customers),
        }

    rows, named = [], set()
    for a, code in enumerate(codes_before):
        if code in codes_after:
            rows.append(row("kept", a, list(codes_after).index(code)))
            continue
        b = int(shared[a].argmax()) if shared.shape[1] else 0
        if shared.shape[1] and sizes_before[a] and shared[a, b] >= MAIN_SHARE * sizes_before[a]:
            rows.append(row("merge", a, b))
            named.add(b)
        else:
            rows.append(row("retired", a, None))
    for b, code in enumerate(codes_after):
        if code in codes_before or b in named:
            continue
        a = int(shared[:, b].argmax()) if len(shared) else 0
        if len(shared) and sizes_after[b] and shared[a, b] >= MAIN_SHARE * sizes_after[b]:
            rows.append(row("split", a, b))
        else:
            rows.append(row("new", None, b))
    return rows


def segment_lineage(
    centers: pa.Table,
    sample: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Say for the newest version of each segmentation, once, what became of the segments before.

    Parameters
    ----------
    centers : pa.Table
        All stored versions, `SEGMENTS_SCHEMA`.
    sample : pa.Table
        Columns customer_id and the features of all segmentations.
    stored : pa.Table or None
        Column segmentation_version of what was said before.
    as_of_date : date or None
    settings : mapping
        As for `fit_segments`.

    Returns
    -------
    pa.Table
        `SEGMENT_LINEAGE_SCHEMA`. The members are the customers of the sample under both versions.
        Of a first version every segment is ``new``; where the sample lacks features of the version
        before, its segments are ``retired``.
    """
    empty = SEGMENT_LINEAGE_SCHEMA.empty_table()
    if as_of_date is None or tables.is_true(settings.get("is_empty", False)):
        return empty
    if sample.num_rows == 0:
        return empty
    found = []
    for name, _, after in new_versions(centers, stored, as_of_date=as_of_date, settings=settings):
        before = stored_definitions(centers, after.previous_version)
        found += [
            {
                "segmentation_name": name,
                "segmentation_version": after.version,
                "previous_version": after.previous_version,
                "fitted_as_of": after.fitted_as_of,
                "settings_hash": after.settings_hash,
                **row,
            }
            for row in _compare(before, after, sample)
        ]
    return pa.Table.from_pylist(found, schema=SEGMENT_LINEAGE_SCHEMA) if found else empty


def _compare(
    before: SegmentDefinitions | None, after: SegmentDefinitions, sample: pa.Table
) -> list[dict[str, Any]]:
    name = "the sample of customers"
    customers, _, _ = read_customers(sample, after.features, name)
    now = after.assign(customers)
    codes = [] if before is None else before.codes
    earlier, distances = np.full(len(now), -1), np.full((len(codes), len(after.codes)), np.nan)
    if before is not None and set(before.features) <= set(sample.column_names):
        old_customers, _, _ = read_customers(sample, before.features, name)
        earlier = before.assign(old_customers)
        distances = distances_to(before, old_customers, now, len(after.codes))
    counts = (len(codes), len(after.codes))
    return lineage_rows(
        jaccard(earlier, now, *counts),
        distances,
        shared_members(earlier, now, *counts),
        codes,
        after.codes,
        np.bincount(earlier[earlier >= 0], minlength=counts[0]),
        np.bincount(now[now >= 0], minlength=counts[1]),
    )
