"""Compare two files of features, or one with the table that a build left in a database.

    python bench/compare_features.py target/host.duckdb floor.parquet

Prints one line for each column that differs and ends with 1 if any does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

KEY = ["as_of_date", "customer_id"]
TOLERANCE = 1e-6

#: Columns of the table that learners do not read; the other implementations leave them out.
OTHER_COLUMNS = ["is_scoring_date", "is_in_sample", "data_through", "newest_known_on"]
OTHER_COLUMNS += ["first_ordered_at", "last_ordered_at"]
OTHER_COLUMNS += ["order_count_lookback", "net_amount_lookback", "order_day_count"]
OTHER_COLUMNS += ["age_years", "gender", "country_code", "region", "city"]


def built_relation(connection: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
    """Find a model's table, whatever schema it was built in."""
    schemas = connection.execute(
        "select table_schema from information_schema.tables where table_name = ?", [name]
    ).fetchall()
    if len(schemas) != 1:
        raise SystemExit(f"The database holds {len(schemas)} tables called {name}: build it once.")
    return connection.table(f'"{schemas[0][0]}"."{name}"')


def read_features(path: Path) -> pd.DataFrame:
    """Read the features of a Parquet file or a database as floats, sorted by their key."""
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        with duckdb.connect(str(path), read_only=True) as connection:
            frame = built_relation(connection, "int_coterie__customer_features").df()
    frame["as_of_date"] = pd.to_datetime(frame["as_of_date"]).astype("datetime64[s]")
    frame = frame.drop(columns=OTHER_COLUMNS, errors="ignore").sort_values(KEY)
    return frame.set_index(KEY).astype(float)


def feature_differences(
    left: pd.DataFrame, right: pd.DataFrame, tolerance: float = TOLERANCE
) -> list[str]:
    """Say what differs between the results of `read_features`; nothing if they are equal."""
    found = [f"{name}: only on the left" for name in left.columns.difference(right.columns)]
    found += [f"{name}: only on the right" for name in right.columns.difference(left.columns)]
    if not left.index.equals(right.index):
        both = left.index.intersection(right.index)
        return [*found, f"keys: {len(left)} and {len(right)} rows, {len(both)} in both"]
    for name in left.columns.intersection(right.columns):
        ours, theirs = left[name].to_numpy(), right[name].to_numpy()
        differs = ~np.isclose(ours, theirs, rtol=0, atol=tolerance, equal_nan=True)
        if differs.any():
            row = int(np.flatnonzero(differs)[0])
            date, customer = left.index[row]
            found.append(
                f"{name}: {differs.sum()} of {len(left)} rows, first {ours[row]} and "
                f"{theirs[row]} of {customer} as of {date:%Y-%m-%d}"
            )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("left", type=Path, help="Parquet file, or DuckDB file of a build")
    parser.add_argument("right", type=Path, help="the same")
    given = parser.parse_args(arguments)
    left, right = read_features(given.left), read_features(given.right)
    found = feature_differences(left, right)
    print("\n".join(found) or f"{left.shape[1]} features of {len(left)} rows are equal")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
