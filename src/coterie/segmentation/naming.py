"""Name segments and describe them by what their customers typically do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from coterie import tables

# Distance of a center from the mean of the centers, in scaled units, that gives a name.
NOTABLE_DISTANCE = 0.25

ROLE_PREFIXES = {
    "recency": "days_since_last_order",
    "frequency": "order_count",
    "monetary": "net_amount",
}
# Shares of all customers below the typical value of a segment, for the words of its name.
RECENT_STANDING = 0.4
LATE_STANDING = 0.5
REGULAR_STANDING = 0.65
HIGH_SPEND_STANDING = 0.85


def segment_names(
    features: Sequence[str],
    typical: np.ndarray,
    X: np.ndarray,
    centers: np.ndarray,
    *,
    feature_words: Mapping[str, Mapping[str, str]] | None = None,
) -> list[str]:
    """Name segments by what sets them apart.

    Where the features hold a recency (days_since_last_order...), a frequency (order_count...) and
    a monetary value (net_amount...), names are those of the trade, such as "Loyal high spenders";
    otherwise the two features furthest from the mean give the name, such as "High sessions, low
    returns". Segments that would be named alike get the feature that tells them apart.

    Parameters
    ----------
    features : sequence of str, length f
    typical : ndarray of float64, shape (k, f)
        Raw values of each segment.
    X : ndarray of float64, shape (n, f)
        Raw values of all customers.
    centers : ndarray of float64, shape (k, f)
        Scaled values.
    feature_words : mapping, optional
        ``{feature: {"noun": words}}``; a feature without words is called by its name.

    Returns
    -------
    list of k different str
    """
    words = feature_words or {}
    roles = _roles(features)
    if len(roles) == len(ROLE_PREFIXES):
        standing = np.array(
            [_standing(column, values) for column, values in zip(X.T, typical.T, strict=True)]
        ).T
        names = [
            _rfm_name(features, roles, values, places)
            for values, places in zip(typical, standing, strict=True)
        ]
    else:
        apart = centers - centers.mean(axis=0)
        names = [_generic_name(features, distances, words) for distances in apart]
    return _tell_apart(names, features, centers, words)


def segment_description(
    features: Sequence[str],
    typical: np.ndarray,
    share: float,
    *,
    feature_words: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Describe a segment in one sentence with numbers.

    Parameters
    ----------
    features : sequence of str, length f
    typical : ndarray of float64, shape (f,)
        Raw values of the segment.
    share : float
        Of the customers the segmentation was fitted on, 0 to 1.
    feature_words : mapping, optional
        As for `segment_names`.

    Returns
    -------
    str
    """
    percent = f"{100 * share:.0f} %" if share >= 0.005 else "under 1 %"
    values = dict(zip(features, typical.tolist(), strict=True))
    roles = _roles(features)
    others = [feature for feature in features if feature not in roles.values()]
    sentence = "Typically"
    if len(roles) == len(ROLE_PREFIXES):
        window = _window_days(roles["frequency"])
        sentence += (
            f" last ordered {_count(values[roles['recency']], 'day')} ago, with "
            f"{_count(values[roles['frequency']], 'order')} and a net amount of "
            f"{_number(values[roles['monetary']])}"
        )
        sentence += f" in the last {window} days" if window else ""
    else:
        others = list(features)
    if others:
        numbers = [f"{_noun(name, feature_words or {})} {_number(values[name])}" for name in others]
        sentence += ", " if len(others) < len(features) else " "
        sentence += ", ".join(numbers)
    return f"{sentence}; {percent} of active customers."


def _roles(features: Sequence[str]) -> dict[str, str]:
    """Find the features that hold recency, frequency and monetary value."""
    return {
        role: feature
        for role, prefix in ROLE_PREFIXES.items()
        for feature in features
        if feature.startswith(prefix)
    }


def _standing(column: np.ndarray, values: np.ndarray) -> list[float]:
    """Give the share of all customers below each value, ties counted half."""
    return [float(((column < value).mean() + (column <= value).mean()) / 2) for value in values]


def _rfm_name(
    features: Sequence[str], roles: Mapping[str, str], values: np.ndarray, standing: np.ndarray
) -> str:
    position = {role: list(features).index(feature) for role, feature in roles.items()}
    days = values[position["recency"]]
    orders = values[position["frequency"]]
    recency = standing[position["recency"]]
    if orders < 2:
        if recency <= RECENT_STANDING:
            return "Recent one-time buyers"
        return "Lapsing one-time buyers" if recency >= LATE_STANDING else "One-time buyers"
    is_regular = orders >= 3 and standing[position["frequency"]] >= REGULAR_STANDING
    is_high_spender = standing[position["monetary"]] >= HIGH_SPEND_STANDING
    # Silent for longer than the usual gap between two orders, and not among the most recent.
    is_late = days * orders > (_window_days(roles["frequency"]) or 365)
    is_late = is_late and recency > RECENT_STANDING
    if is_regular:
        kind = "high spenders" if is_high_spender else "regulars"
        return f"{'Slipping' if is_late else 'Loyal'} {kind}"
    if is_late:
        return "Lapsing repeat buyers"
    return f"{'Recent' if recency <= RECENT_STANDING else 'Occasional'} repeat buyers"


def _generic_name(
    features: Sequence[str], distances: np.ndarray, words: Mapping[str, Mapping[str, str]]
) -> str:
    furthest = np.argsort(-np.abs(tables.round_significant(distances, 9)), kind="stable")[:2]
    parts = [
        f"{'high' if distances[position] > 0 else 'low'} {_noun(features[position], words)}"
        for position in furthest
        if abs(distances[position]) >= NOTABLE_DISTANCE
    ]
    return _capitalised(", ".join(parts)) if parts else "Average customers"


def _tell_apart(
    names: list[str],
    features: Sequence[str],
    centers: np.ndarray,
    words: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """Add to equal names the feature on which their centers differ most."""
    apart = list(names)
    for name in dict.fromkeys(names):
        alike = [k for k, other in enumerate(names) if other == name]
        if len(alike) == 1:
            continue
        position = int(np.ptp(tables.round_significant(centers[alike], 9), axis=0).argmax())
        ranked = sorted(alike, key=lambda k: (-centers[k, position], k))
        grades = _grades(features[position], words)
        for rank, k in enumerate(ranked):
            if rank in (0, len(ranked) - 1) or len(ranked) == 3:
                apart[k] = f"{name}, {grades[0 if rank == 0 else 2 if k == ranked[-1] else 1]}"
            else:
                apart[k] = f"{name}, {grades[1]} {rank}"
    return apart


def told_apart(
    names: Sequence[str],
    kept: Mapping[int, str],
    features: Sequence[str],
    centers: np.ndarray,
    words: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """Put kept names in place, and change new names that are the same as one of them.

    Parameters
    ----------
    names : sequence of k different str
        What segments would be called anew.
    kept : mapping of int to str
        Names that stay, by position.
    features : sequence of str, length f
    centers : ndarray of float64, shape (k, f)
        Scaled values.
    words : mapping
        As for `segment_names`.

    Returns
    -------
    list of k different str
    """
    chosen = [kept.get(k, "") for k in range(len(names))]
    for k, name in enumerate(names):
        if k in kept:
            continue
        base = name
        if name in chosen:
            other = chosen.index(name)
            apart = tables.round_significant(centers[k] - centers[other], 9)
            position = int(np.abs(apart).argmax())
            highest, _, lowest = _grades(features[position], words)
            base = name = f"{name}, {highest if apart[position] >= 0 else lowest}"
        number = 2
        while name in chosen:
            name, number = f"{base} {number}", number + 1
        chosen[k] = name
    return chosen


def _grades(feature: str, words: Mapping[str, Mapping[str, str]]) -> tuple[str, str, str]:
    """Give the words for the highest, a middle and the lowest value of a feature."""
    role = next((r for r, prefix in ROLE_PREFIXES.items() if feature.startswith(prefix)), None)
    if role == "recency":
        return "longer ago", "some time ago", "more recent"
    if role == "frequency":
        return "more orders", "some orders", "fewer orders"
    noun = "spend" if role == "monetary" else _noun(feature, words)
    return f"higher {noun}", f"medium {noun}", f"lower {noun}"


def _noun(feature: str, words: Mapping[str, Mapping[str, str]]) -> str:
    noun = (words.get(feature) or {}).get("noun")
    return noun or re.sub(r"_\d+d$", "", feature).replace("_", " ")


def _window_days(feature: str) -> int | None:
    """Read the days of the look-back at the end of a feature's name."""
    found = re.search(r"_(\d+)d$", feature)
    return int(found.group(1)) if found else None


def _count(value: float, noun: str) -> str:
    number = _number(value)
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 10 or value == int(value) else 1 if abs(value) >= 1 else 2
    return f"{value:,.{digits}f}"


def _capitalised(words: str) -> str:
    return words[:1].upper() + words[1:]
