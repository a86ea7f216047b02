"""What a fit reads about the run that it belongs to."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pyarrow as pa

import coterie
from coterie import tables


def read_run(
    fit_settings: pa.Table, as_of: pa.Table, *, topic: str
) -> tuple[datetime.date | None, dict[str, Any]]:
    """Read the date and the settings of a fit.

    Parameters
    ----------
    fit_settings : pa.Table
        One row per topic: topic, settings_text (JSON), settings_hash, refit_interval_days,
        is_empty, package_version.
    as_of : pa.Table
        At most one row: as_of_date, data_through, first_ordered_on.
    topic : str
        ``feature_bins``, ``interests``, ``lifetime_value``, ``propensity``, ``segmentation`` or
        ``value``.

    Returns
    -------
    as_of_date : date or None
        None where there is nothing to look at.
    settings : dict
        The settings of the topic with ``settings_hash``, ``bin_settings_hash``,
        ``parameters_settings_hash`` (of the purchase and the spend model),
        ``refit_interval_days``, ``is_empty``, ``data_through`` and ``first_ordered_on`` beside
        them.

    Raises
    ------
    ValueError
        If the installed library is not of the version of the dbt package.
    """
    rows = {row["topic"]: row for row in fit_settings.to_pylist()}
    dates = as_of.select(["as_of_date", "data_through", "first_ordered_on"]).to_pylist()
    as_of_date = tables.as_date(dates[0]["as_of_date"]) if dates else None
    if topic not in rows:
        return None, {"is_empty": True}
    row = rows[topic]
    if row["package_version"] != coterie.__version__:
        raise ValueError(
            f"the dbt package is coterie {row['package_version']}, but the installed library is "
            f"coterie {coterie.__version__}: pip install coterie=={row['package_version']}"
        )
    return as_of_date, {
        **json.loads(row["settings_text"]),
        "settings_hash": row["settings_hash"],
        "bin_settings_hash": rows["feature_bins"]["settings_hash"],
        "parameters_settings_hash": rows["lifetime_value"]["settings_hash"],
        "refit_interval_days": row["refit_interval_days"],
        "is_empty": row["is_empty"],
        "data_through": tables.as_date(dates[0]["data_through"]) if dates else None,
        "first_ordered_on": tables.as_date(dates[0]["first_ordered_on"]) if dates else None,
    }
