"""From raw features to the space of the centers: logarithm, scale, clip, levels and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coterie import tables

# The level that stands for rare and unseen texts of a category, and for none.
OTHER_LEVEL = ""


def signed_log1p(values: np.ndarray) -> np.ndarray:
    """Give ``sign(x) log(1 + |x|)``, which is log1p for values from 0 and odd below."""
    return np.sign(values) * np.log1p(np.abs(values))


def location_and_scale(
    rows: np.ndarray, counts: np.ndarray, scaling: str
) -> tuple[np.ndarray, np.ndarray]:
    """Find location and scale of each feature of the log-transformed rows.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, f)
        Raw values.
    counts : ndarray, shape (n,)
        How many customers each row stands for.
    scaling : {"robust", "standard"}
        Median and interquartile range of the mid-distribution function, or mean and standard
        deviation.

    Returns
    -------
    location, scale : ndarray of float64, shape (f,)
        A constant has scale 1.
    """
    logs = signed_log1p(rows)
    if scaling == "standard":
        location = np.average(logs, axis=0, weights=counts)
        scale = np.sqrt(np.average((logs - location) ** 2, axis=0, weights=counts))
    else:
        quartiles = np.array([_quartiles(column, counts) for column in logs.T])
        location, scale = quartiles[:, 1], quartiles[:, 2] - quartiles[:, 0]
    # The deviation of a constant is a rounding error, not a scale.
    scale = np.where((np.ptp(logs, axis=0) > 0) & (scale > 0), scale, 1.0)
    return tables.round_significant(location), tables.round_significant(scale)


def _quartiles(values: np.ndarray, counts: np.ndarray) -> list[float]:
    """Give the quartiles of values with counts, of the mid-distribution function.

    Half of a value's share counts as below it, with lines between the different values (Ma, Genton
    & Parzen 2011). The quartiles of a count, which has few values, so move little where plain ones
    would jump from one value to the next with the customers that happen to be there.
    """
    different, members = np.unique(values, return_inverse=True)
    shares = np.bincount(members, weights=counts) / np.sum(counts)
    middles = np.cumsum(shares) - shares / 2
    return [float(np.interp(quarter, middles, different)) for quarter in (0.25, 0.5, 0.75)]


def top_levels(texts: Sequence[str | None], max_levels: int, min_share: float) -> list[str]:
    """Choose the levels of a category, the most frequent first.

    Parameters
    ----------
    texts : sequence of str or None, length n
    max_levels : int
        Levels beside `OTHER_LEVEL`.
    min_share : float
        Rarer levels are folded into `OTHER_LEVEL`.

    Returns
    -------
    list of str
        `OTHER_LEVEL` is always there, and the last.
    """
    names, counts = np.unique([text or OTHER_LEVEL for text in texts], return_counts=True)
    ranked = sorted(zip((-counts).tolist(), names.tolist(), strict=True))
    frequent = [
        name
        for count, name in ranked
        if name != OTHER_LEVEL and -count >= min_share * max(len(texts), 1)
    ]
    return [*frequent[:max_levels], OTHER_LEVEL]


def level_numbers(texts: Sequence[str | None], levels: Sequence[str]) -> np.ndarray:
    """Give the position of each text among the levels, the last for any other; float64, (n,)."""
    position = {level: number for number, level in enumerate(levels)}
    other = len(levels) - 1
    return np.array([position.get(text, other) for text in texts], dtype=np.float64)


def feature_weights(
    features: Sequence[str],
    families: Mapping[str, str],
    family_weights: Mapping[str, float],
) -> np.ndarray:
    """Give the weight of each feature: the root of its share in the weight of its family.

    Squared distances add up over features, so a family counts as much as its weight says,
    whatever the number of its features.

    Parameters
    ----------
    features : sequence of str, length f
    families : mapping of str to str
        The family of a feature. A feature that is not named is a family of its own, which has its
        name.
    family_weights : mapping of str to float
        1 where a family is not named.

    Returns
    -------
    ndarray of float64, shape (f,)

    Raises
    ------
    ValueError
        If a weight is not above 0, or a name in the mappings is unknown.
    """
    family = {feature: str(families.get(feature, feature)) for feature in features}
    unknown = [name for name in families if name not in family]
    if unknown:
        raise ValueError(
            f"families names {', '.join(map(str, unknown))}, which features does not hold; "
            "add it there, or take it out of families."
        )
    sizes: dict[str, int] = {}
    for name in family.values():
        sizes[name] = sizes.get(name, 0) + 1
    unknown = [name for name in family_weights if name not in sizes]
    if unknown:
        raise ValueError(
            f"family_weights names {', '.join(map(str, unknown))}, which is no family; the "
            f"families are {', '.join(sizes)}."
        )
    weights = {name: float(family_weights.get(name, 1.0)) for name in sizes}
    for name, weight in weights.items():
        if not 0 < weight < np.inf:
            raise ValueError(f"the family weight of {name} is {weight}; choose a number above 0.")
    return tables.round_significant(
        [np.sqrt(weights[family[feature]] / sizes[family[feature]]) for feature in features]
    )
