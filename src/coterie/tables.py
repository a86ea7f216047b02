"""Small helpers that every table function shares: columns, settings, hashes and the due rule."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SIGNIFICANT_DIGITS = 12

_REQUIRED = object()
# Fewer numbers are rounded as text at once.
_FEW_NUMBERS = 64
# The powers of ten that a double holds exactly.
_TENS = np.array([float(f"1e{exponent}") for exponent in range(23)])


def round_significant(values: Any, digits: int = SIGNIFICANT_DIGITS) -> np.ndarray:
    """Round numbers to a count of significant decimal digits.

    Parameters
    ----------
    values : array-like of float, any shape
        NaN and infinities pass through; negative zero becomes zero.
    digits : int
        Significant digits to keep.

    Returns
    -------
    ndarray of float64, the shape of `values`
        Rounding a rounded number changes nothing.
    """
    values = np.asarray(values, dtype=np.float64)
    given = values.ravel()
    rounded = given.copy()
    is_text = np.isfinite(given) & (given != 0)
    if len(given) >= _FEW_NUMBERS and digits <= SIGNIFICANT_DIGITS:
        is_found, found = _rounded_by_tens(given, digits)
        rounded[is_found] = found[is_found]
        is_text &= ~is_found
    rounded[is_text] = [float(f"{value:.{digits}g}") for value in given[is_text].tolist()]
    return rounded.reshape(values.shape) + 0.0


def _rounded_by_tens(values: np.ndarray, digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Round by powers of ten; marks the numbers that come out as text would give them.

    Powers of ten up to the 22nd are exact, so that one product and one quotient round as text does,
    unless what is left lies so close to one half that the product decides.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        decimals = digits - 1 - np.floor(np.log10(np.abs(values)))
        is_found = np.abs(decimals) < len(_TENS)
        power = _TENS[np.where(is_found, np.abs(decimals), 0).astype(np.int64)]
        scaled = np.where(decimals >= 0, values * power, values / power)
        whole = np.rint(scaled)
        is_found &= np.abs(np.abs(scaled - whole) - 0.5) > 1e-15 * np.abs(scaled)
        return is_found, np.where(decimals >= 0, whole / power, whole * power)


def version_hash(*parts: Any, length: int = 12) -> str:
    """Hash some parts to a short hexadecimal name.

    Parameters
    ----------
    *parts : str, int, float, date, None, or lists and dicts of them
        What the name depends on. ``("ab", "c")`` and ``("a", "bc")`` give different names.
    length : int
        Number of hexadecimal digits.

    Returns
    -------
    str
        The first `length` digits of the SHA-256 of the canonical JSON of the parts.
    """
    return hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:length]


def canonical_json(value: Any) -> str:
    """Write a value as JSON with sorted keys and no spaces; dates become ISO strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def fingerprint(table: pa.Table, columns: Sequence[str]) -> str:
    """Hash the content of some columns, whatever the order of the rows.

    Parameters
    ----------
    table : pa.Table
        Columns of text, dates or numbers; numbers count by their value as a double, so a decimal
        and a double that hold the same number hash alike.
    columns : sequence of str
        The columns that count, in this order.

    Returns
    -------
    str
        64 hexadecimal digits (SHA-256 of names, null masks and values).

    Raises
    ------
    ValueError
        If a column is missing.
    """
    require_columns(table, columns, "the table to fingerprint")
    plain = pa.table({name: _plain(table[name]) for name in columns})
    plain = plain.sort_by([(name, "ascending") for name in columns])
    digest = hashlib.sha256(str(plain.num_rows).encode())
    for name in columns:
        column = plain[name].combine_chunks()
        digest.update(json.dumps(name).encode())
        digest.update(np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes())
        if pa.types.is_string(column.type):
            digest.update(json.dumps(column.drop_null().to_pylist()).encode())
        else:
            values = column.fill_null(0).to_numpy(zero_copy_only=False)
            digest.update(values.astype("<f8").tobytes())
    return digest.hexdigest()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast to string or double, the two types that a fingerprint reads."""
    if pa.types.is_temporal(column.type):
        return column.cast(pa.date32()).cast(pa.int32()).cast(pa.float64())
    if is_text(column.type):
        return column.cast(pa.string())
    return pc.add(column.cast(pa.float64()), 0.0)  # -0.0 becomes 0.0


def is_text(data_type: pa.DataType) -> bool:
    """Tell whether an Arrow type holds text."""
    return (
        pa.types.is_string(data_type)
        or pa.types.is_large_string(data_type)
        or pa.types.is_string_view(data_type)
        or (pa.types.is_dictionary(data_type) and is_text(data_type.value_type))
    )


def require_columns(table: pa.Table, columns: Iterable[str], name: str) -> None:
    """Raise a ValueError that names the columns which `table` lacks.

    Parameters
    ----------
    table : pa.Table
    columns : iterable of str
        What has to be there.
    name : str
        What to call the table in the message.
    """
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise ValueError(
            f"{name} has no column {', '.join(missing)}; add it, or take it out of the setting "
            f"that names it. Columns found: {', '.join(table.column_names)}."
        )


def feature_matrix(table: pa.Table, features: Sequence[str]) -> np.ndarray:
    """Read numeric columns as one matrix.

    Parameters
    ----------
    table : pa.Table, n rows
        Integers, decimals, booleans and floats are all cast to double.
    features : sequence of str, length f

    Returns
    -------
    ndarray of float64, shape (n, f)
        NULL is NaN.

    Raises
    ------
    ValueError
        If a column is missing or not numeric.
    """
    require_columns(table, features, "the table of features")
    matrix = np.empty((table.num_rows, len(features)), dtype=np.float64)
    for position, feature in enumerate(features):
        column = table[feature]
        if is_text(column.type) or pa.types.is_temporal(column.type):
            raise ValueError(
                f"column {feature} has type {column.type}, and a feature must be a number; "
                "cast it, or take it out of the setting features."
            )
        matrix[:, position] = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()
    return matrix + 0.0


def date_array(column: pa.ChunkedArray) -> np.ndarray:
    """Read a column of dates or timestamps as ``datetime64[D]``, shape (n,)."""
    return column.cast(pa.date32()).to_numpy().astype("datetime64[D]")


def as_date(value: datetime.date | str | None) -> datetime.date | None:
    """Read a date: a timestamp loses its time, an ISO string is parsed, None stays None."""
    if isinstance(value, str):
        return datetime.date.fromisoformat(value[:10])
    return value.date() if isinstance(value, datetime.datetime) else value


def is_true(value: Any) -> bool:
    """Read a switch that may arrive as a bool, a number or the words "True" and "False".

    Raises
    ------
    ValueError
        If the words are others.
    """
    words = str(value).strip().lower()
    if words in {"true", "1", "yes"}:
        return True
    if words in {"false", "0", "no", "none", ""}:
        return False
    raise ValueError(f"the setting is {value!r}; use true or false.")


def read_setting(
    settings: Mapping[str, Any], name: str, kind: type, default: Any = _REQUIRED
) -> Any:
    """Read one setting as a type; numbers may arrive as text.

    Parameters
    ----------
    settings : mapping
    name : str
    kind : type
        ``int``, ``float``, ``str``, ``list`` or ``dict``.
    default : object, optional
        Used when the setting is absent or None. Without it the setting is required.

    Raises
    ------
    ValueError
        If a required setting is absent, or cannot be read as `kind`.
    """
    value = settings.get(name)
    if value is None:
        if default is _REQUIRED:
            raise ValueError(f"the setting {name} is missing; add it to the settings.")
        return default
    try:
        if kind in (list, dict):
            if isinstance(value, str):
                raise TypeError
            return kind(value)
        if kind is int and float(value) != int(float(value)):
            raise ValueError
        return int(float(value)) if kind is int else kind(value)
    except (TypeError, ValueError):
        raise ValueError(f"the setting {name} is {value!r}; give it as {kind.__name__}.") from None


def fit_is_due(
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date,
    settings_hash: str,
    refit_interval_days: int,
    **keys: str,
) -> bool:
    """Decide from the stored versions whether a fit is due.

    A fit is due when no stored version has these settings, or when the newest of them is at
    least `refit_interval_days` old (and at least one day, so that a second run on one date fits
    nothing). As of a date before the newest version nothing is ever due.

    Parameters
    ----------
    stored : pa.Table or None
        Columns fitted_as_of, settings_hash and the names in `keys`; None where nothing is stored.
    as_of_date : date
    settings_hash : str
    refit_interval_days : int
        Days.
    **keys : str
        Only versions with these values count, for example ``model_name="purchase_30d"``.

    Returns
    -------
    bool
    """
    newest = newest_fit(stored, settings_hash=settings_hash, **keys)
    return newest is None or (as_of_date - newest).days >= max(1, refit_interval_days)


def newest_fit(stored: pa.Table | None, *, settings_hash: str, **keys: str) -> datetime.date | None:
    """Find the newest fitted_as_of among the stored versions with these settings, or None."""
    stored = matching_rows(stored, settings_hash=settings_hash, **keys)
    if stored is None:
        return None
    return pc.max(stored["fitted_as_of"].cast(pa.date32())).as_py()


def matching_rows(stored: pa.Table | None, **keys: str) -> pa.Table | None:
    """Keep the stored rows whose columns hold these words; None where none are left."""
    if stored is None or stored.num_rows == 0:
        return None
    require_columns(stored, ["fitted_as_of", *keys], "the stored table")
    for column, value in keys.items():
        stored = stored.filter(pc.equal(stored[column].cast(pa.string()), value))
    return stored if stored.num_rows else None


def refuse_duplicates(table: pa.Table, key: Sequence[str], name: str) -> None:
    """Raise a ValueError when two rows of `table` share a key, or a part of the key is NULL."""
    for column in key:
        if table[column].null_count:
            raise ValueError(
                f"{name} has NULL in the key column {column}; filter these rows out before."
            )
    if table.select(list(key)).group_by(list(key)).aggregate([]).num_rows != table.num_rows:
        raise ValueError(
            f"{name} has several rows of the same {', '.join(key)}; keep one row for each."
        )
