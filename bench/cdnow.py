"""Expected against actual repeat orders of the CDNOW sample in 39 weeks that no model has seen.

    python bench/cdnow.py --data FOLDER/cdnow --lifetimes-python other/venv/bin/python

Both purchase models learn from the orders of 2,357 customers until 1997-09-30, and are held against
the 39 weeks after it, by the number of repeat orders until then. With `--date` table and chart go
into docs/lifetime_value.md. The package lifetimes is old: give it an environment of its own;
without one it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from common import REPOSITORY, write_between_marks

from coterie import charts

PAGE = REPOSITORY / "docs" / "lifetime_value.md"
FIGURE = PAGE.parent / "figures" / "cdnow_calibration.svg"
MARK = "cdnow"
CALIBRATION_END = pd.Timestamp("1997-09-30")
HOLDOUT_WEEKS = 39
# Customers of so many repeat orders and more are shown together.
MOST_REPEATS = 7
NAMES = {"mbg_nbd": "MBG/NBD", "bg_nbd": "BG/NBD"}
FITTERS = {"mbg_nbd": "ModifiedBetaGeoFitter", "bg_nbd": "BetaGeoFitter"}


def read_customers(path: Path) -> pd.DataFrame:
    """Read x, t_x and T in weeks, and the order days of the hold-out, of each customer."""
    orders = pd.read_parquet(path, columns=["customer_id", "order_date"])
    days = orders.assign(order_date=pd.to_datetime(orders["order_date"])).drop_duplicates()
    holdout_end = CALIBRATION_END + pd.Timedelta(weeks=HOLDOUT_WEEKS)
    is_seen = days["order_date"] <= CALIBRATION_END
    seen = days[is_seen].groupby("customer_id")["order_date"].agg(["min", "max", "size"])
    later = days[~is_seen & (days["order_date"] <= holdout_end)]
    return pd.DataFrame(
        {
            "x": seen["size"] - 1.0,
            "t_x": (seen["max"] - seen["min"]).dt.days / 7,
            "T": (CALIBRATION_END - seen["min"]).dt.days / 7,
            "actual": later.groupby("customer_id").size().reindex(seen.index, fill_value=0),
        }
    )


def expected_orders(customers: pd.DataFrame, family: str) -> np.ndarray:
    """Learn a purchase model, and give the expected orders of the hold-out."""
    from coterie.lifetime_value import FAMILIES

    X = customers[["x", "t_x", "T"]].to_numpy()
    return FAMILIES[family]().fit(X).expected_purchases(X, HOLDOUT_WEEKS)


def expected_by_lifetimes(customers: pd.DataFrame, python: str) -> dict[str, np.ndarray]:
    """Have the package lifetimes do the same in another Python; nothing where it has none."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    X = customers[["x", "t_x", "T"]].to_numpy()
    script = (
        "import json, sys, numpy, lifetimes\n"
        "X = numpy.array(json.load(sys.stdin)).T\n"
        f"for name, fitter in {FITTERS!r}.items():\n"
        "    model = getattr(lifetimes, fitter)().fit(*X)\n"
        "    found = model.conditional_expected_number_of_purchases_up_to_time("
        f"{HOLDOUT_WEEKS}, *X)\n"
        "    print(json.dumps([name, numpy.asarray(found).tolist()]))\n"
    )
    done = subprocess.run(
        [python, "-c", script],
        input=json.dumps(X.tolist()),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        print(f"{python} has no result of lifetimes: left out; see --lifetimes-python ({last})")
        return {}
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return {name: np.array(found) for name, found in lines}


def by_repeats(customers: pd.DataFrame, expected: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Give customers and orders of the hold-out by repeat orders until then.

    Parameters
    ----------
    customers : DataFrame
        As `read_customers` gives it.
    expected : mapping of str to ndarray of float64, shape (customers,)

    Returns
    -------
    DataFrame
        Index repeat_count up to `MOST_REPEATS`; columns customers, actual and the names of
        `expected`, means over the customers.
    """
    repeats = customers["x"].clip(upper=MOST_REPEATS).astype(int).rename("repeat_count")
    means = customers[["actual"]].assign(**expected).groupby(repeats).mean()
    means.insert(0, "customers", repeats.value_counts())
    return means


def report(table: pd.DataFrame, names: Mapping[str, str]) -> str:
    from tabulate import tabulate

    sizes = table["customers"]
    rows = [
        [
            f"{count}{' and more' if count == MOST_REPEATS else ''}",
            f"{sizes[count]:,}",
            f"{row['actual']:.2f}",
            *(f"{row[name]:.2f}" for name in names),
        ]
        for count, row in table.iterrows()
    ]
    totals = {name: float(table[name] @ sizes) for name in ("actual", *names)}
    rows.append(["all orders", f"{sizes.sum():,}", *(f"{total:,.0f}" for total in totals.values())])
    errors = [f"{100 * (totals[name] / totals['actual'] - 1):+.1f} %" for name in names]
    rows.append(["all, off by", "", "", *errors])
    heads = ["repeat orders before", "customers", "actual", *names.values()]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw actual and expected orders by repeat orders."""
    chart = charts.lines(
        table,
        {**NAMES, "actual": "actual"},
        title=f"Orders in {HOLDOUT_WEEKS} weeks, by repeat orders before",
        x_label=f"repeat orders before ({MOST_REPEATS}: and more)",
        y_label="orders of a customer",
        points=["actual"],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(chart, encoding="utf-8")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("COTERIE_REAL_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(folder) / "cdnow" if folder else None,
        help="folder of cdnow_sample.parquet (default: cdnow in what COTERIE_REAL_DATA names)",
    )
    parser.add_argument(
        "--lifetimes-python",
        default=sys.executable,
        help="a Python that has the package lifetimes (default: this one)",
    )
    parser.add_argument("--date", help=f"the day of the measurement; writes docs/{PAGE.name}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse_arguments(arguments)
    if given.data is None:
        raise SystemExit("Give --data, or set COTERIE_REAL_DATA to the folder of the data sets.")
    customers = read_customers(given.data / "cdnow_sample.parquet")
    expected = {family: expected_orders(customers, family) for family in NAMES}
    names = dict(NAMES)
    for family, found in expected_by_lifetimes(customers, given.lifetimes_python).items():
        expected[f"lifetimes_{family}"] = found
        names[f"lifetimes_{family}"] = f"{NAMES[family]} by lifetimes"
    table = by_repeats(customers, expected)
    text = report(table, names)
    print(text)
    if given.date:
        write_between_marks(PAGE, MARK, f"Measured on {given.date}.\n\n{text}")
        draw(table, FIGURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
