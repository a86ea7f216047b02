"""How many rows the purchase learner needs: loss and fit time by the limit of training rows.

    python bench/learning_curve.py target/host.duckdb --name "Online Retail"

The database holds the training rows of a build with a `coterie__training_row_limit` so large that
it leaves out few customers. From them the rows of smaller limits are taken as the package takes
them: whole customers, by their place in the sample. Each set trains the learner as a back-test
does, on the origins that had closed by each of the newest origins, and is tested on all customers
there. Several databases can be given, each after its `--name`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from common import REPOSITORY, Clock, write_between_marks
from compare_features import built_relation
from tabulate import tabulate

from coterie.binning import fit_feature_bins
from coterie.propensity import backtest_propensity, fit_propensity_weights

PAGE = REPOSITORY / "docs" / "performance.md"
LIMITS = [5_000, 10_000, 20_000, 50_000, 100_000, 200_000]
MODEL = "purchase_30d"
KEY_COLUMNS = [
    "model_name",
    "as_of_date",
    "customer_id",
    "outcome",
    "rfm_cell",
    "nbd_purchase_probability",
]


def read_build(path: Path) -> tuple[pa.Table, dict[str, int], int, datetime.date]:
    """Read the training rows, each customer's place in the sample, all pairs, and the date."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = built_relation(connection, "int_coterie__propensity_training_rows")
        rows = rows.filter(f"model_name = '{MODEL}'").order("as_of_date, customer_id")
        table = rows.to_arrow_table()
        customers = built_relation(connection, "int_coterie__customers").df()
        dates = built_relation(connection, "int_coterie__as_of_dates").df()
    position = dict(zip(customers["customer_id"], customers["sample_position"], strict=True))
    # As many pairs as the package counts when it turns the limit into a share of customers.
    origins = pd.to_datetime(dates.loc[~dates["is_scoring_date"], "as_of_date"])
    seen = customers["first_seen_on"].dropna().sort_values().to_numpy()
    pair_count = int(sum(np.searchsorted(seen, origin) for origin in origins.to_numpy()))
    as_of = pd.to_datetime(dates.loc[dates["is_scoring_date"], "as_of_date"].iloc[0]).date()
    return table, position, pair_count, as_of


def settings_of(rows: pa.Table, horizon_days: int, **changed: object) -> dict[str, object]:
    return {
        "features": [name for name in rows.column_names if name not in KEY_COLUMNS],
        "predictions": {MODEL: {"horizon_days": horizon_days, "is_purchase": True}},
        "max_test_row_count": 10**9,
        "settings_hash": "bench",
        "bin_settings_hash": "bench",
        "refit_interval_days": 30,
        **changed,
    }


def test_predictions(
    training: pa.Table, everybody: pa.Table, origins: Sequence[datetime.date], horizon_days: int
) -> pd.DataFrame:
    """Predict everybody at each origin by a model of the training rows that had closed by it."""
    version = pa.table(
        {
            "model_name": [MODEL],
            "model_version": ["bench"],
            "fitted_as_of": [datetime.date(1900, 1, 1)],
            "settings_hash": ["bench"],
        }
    )
    found = []
    for origin in origins:
        is_before = pc.less(training["as_of_date"], pa.scalar(origin))
        is_test = pc.equal(everybody["as_of_date"], pa.scalar(origin))
        tested = backtest_propensity(
            pa.concat_tables([training.filter(is_before), everybody.filter(is_test)]),
            version,
            None,
            as_of_date=origin + datetime.timedelta(days=horizon_days),
            settings=settings_of(everybody, horizon_days, max_test_origins=1),
        )
        found.append(tested.filter(pc.equal(tested["scorer_name"], "model")).to_pandas())
    return pd.concat(found, ignore_index=True).sort_values(["origin", "customer_id"])


def fit_seconds(training: pa.Table, as_of: datetime.date, horizon_days: int) -> float:
    """Time the bins and the weights that a build would learn; the median of three."""
    settings = settings_of(training, horizon_days)
    seconds = []
    for _ in range(3):
        with Clock() as clock:
            bins = fit_feature_bins(training, None, as_of_date=as_of, settings=settings)
            fit_propensity_weights(training, bins, None, as_of_date=as_of, settings=settings)
        seconds.append(clock.seconds)
    return statistics.median(seconds)


def weighted_auc(order: np.ndarray, ties: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Give ROC-AUC of weighted rows, sorted by `order`, whose equal scores share a tie number."""
    positive = np.bincount(ties, weights=(weight * y)[order])
    negative = np.bincount(ties, weights=(weight * (1 - y))[order])
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / (positive.sum() * negative.sum()))


def compare(
    predictions: Mapping[str, pd.DataFrame], reference: str, *, rounds: int, seed: int
) -> dict[str, dict[str, float]]:
    """Give loss and ROC-AUC of each limit, and how they differ from those of the reference."""
    first = predictions[reference]
    y = first["outcome"].to_numpy(dtype=float)
    customer = pd.factorize(first["customer_id"])[0]
    generator = np.random.default_rng(seed)
    draws = [
        np.bincount(
            generator.integers(0, customer.max() + 1, customer.max() + 1),
            minlength=customer.max() + 1,
        )[customer].astype(float)
        for _ in range(rounds)
    ]
    values = {}
    for name, frame in predictions.items():
        p = frame["probability"].to_numpy()
        loss = -np.where(y == 1, np.log(p), np.log1p(-p))
        order = np.argsort(p, kind="stable")
        ties = np.cumsum(np.r_[0, np.diff(p[order]) > 0])
        weights = [np.ones(len(y)), *draws]
        values[name] = {
            "log_loss": np.array([np.average(loss, weights=w) for w in weights]),
            "roc_auc": np.array([weighted_auc(order, ties, y, w) for w in weights]),
        }
    found = {}
    for name, metrics in values.items():
        found[name] = {}
        for metric, samples in metrics.items():
            difference = samples - values[reference][metric]
            lower, upper = np.quantile(difference[1:], [0.025, 0.975])
            found[name] |= {
                metric: float(samples[0]),
                f"{metric}_difference": float(difference[0]),
                f"{metric}_lower": float(lower),
                f"{metric}_upper": float(upper),
            }
    return found


def measure(name: str, path: Path, given: argparse.Namespace) -> dict:
    rows, position, pair_count, as_of = read_build(path)
    closed = sorted(
        origin
        for origin in set(rows["as_of_date"].to_pylist())
        if origin + datetime.timedelta(days=given.horizon_days) <= as_of
    )
    origins = closed[-given.test_origins :]
    places = np.array([position[customer] for customer in rows["customer_id"].to_pylist()])
    limits = {f"{limit:,}": limit for limit in given.limits}
    # The build's own limit may have left customers out, too.
    all_share = (places.max() + 1) / 1e6
    limits = {label: limit for label, limit in limits.items() if limit < all_share * pair_count}
    limits["all"] = round(all_share * pair_count)
    predictions, lines = {}, {}
    for label, limit in limits.items():
        training = rows.filter(pa.array(places < 1e6 * limit / pair_count))
        print(f"{name}, limit {label}: {training.num_rows:,} rows", flush=True)
        fit = fit_seconds(training, as_of, given.horizon_days)
        with Clock() as testing:
            predictions[label] = test_predictions(training, rows, origins, given.horizon_days)
        lines[label] = {
            "limit": limit,
            "training_row_count": training.num_rows,
            "positive_count": int(pc.sum(training["outcome"]).as_py()),
            "customer_count": len(training["customer_id"].unique()),
            "fit_seconds": fit,
            "test_seconds": testing.seconds,
        }
    compared = compare(predictions, "all", rounds=given.rounds, seed=given.seed)
    test = predictions["all"]
    return {
        "name": name,
        "as_of_date": str(as_of),
        "test_origins": [str(origin) for origin in origins],
        "test_row_count": len(test),
        "test_positive_count": int(test["outcome"].sum()),
        "test_customer_count": int(test["customer_id"].nunique()),
        "limits": {label: lines[label] | compared[label] for label in limits},
    }


def report(shops: Sequence[Mapping], date: str | None) -> str:
    parts = [f"Measured on {date}."] if date else []
    for shop in shops:
        parts.append(f"### {shop['name']}")
        parts.append(
            f"Tested on {shop['test_row_count']:,} rows of {shop['test_customer_count']:,} "
            f"customers with {shop['test_positive_count']:,} buyers, at the origins "
            f"{', '.join(shop['test_origins'])}. Seconds: one fit with its bins, then a fit for "
            "each test origin with its scores."
        )
        rows = []
        for label, line in shop["limits"].items():
            name = f"all ({line['limit']:,})" if label == "all" else label
            differences = [
                f"{line[f'{m}_difference']:+.4f} "
                f"({line[f'{m}_lower']:+.4f} to {line[f'{m}_upper']:+.4f})"
                for m in ("log_loss", "roc_auc")
            ]
            rows.append(
                [
                    name,
                    f"{line['training_row_count']:,}",
                    f"{line['log_loss']:.4f}",
                    differences[0] if label != "all" else "",
                    f"{line['roc_auc']:.4f}",
                    differences[1] if label != "all" else "",
                    f"{line['fit_seconds']:.1f}",
                    f"{line['test_seconds']:.1f}",
                ]
            )
        heads = ["limit", "labelled rows", "log loss", "more than all", "ROC-AUC"]
        heads += ["more than all", "fit, s", "four test fits, s"]
        parts.append(
            tabulate(rows, heads, tablefmt="github", colalign=["right"] * 8, disable_numparse=True)
        )
    return "\n\n".join(parts)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("databases", type=Path, nargs="*", help="DuckDB files of builds")
    parser.add_argument(
        "--name", action="append", default=[], help="what to call a build; one for each database"
    )
    parser.add_argument(
        "--report", type=Path, help="measure nothing; report what this JSON file holds"
    )
    parser.add_argument(
        "--limits",
        type=lambda text: sorted(int(limit) for limit in text.split(",")),
        default=LIMITS,
        help="with commas between (default: 5000 to 200000)",
    )
    parser.add_argument("--horizon-days", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--test-origins", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=300, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent / "results" / "learning_curve.json",
        help="default: bench/results/learning_curve.json",
    )
    parser.add_argument("--date", help="the day of the measurement; writes docs/performance.md")
    given = parser.parse_intermixed_args(arguments)
    if len(given.name) != len(given.databases):
        parser.error("give one --name for each database")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse_arguments(arguments)
    if given.report:
        shops = json.loads(given.report.read_text(encoding="utf-8"))["shops"]
    else:
        shops = [
            measure(name, path, given)
            for name, path in zip(given.name, given.databases, strict=True)
        ]
        given.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"date": given.date, "shops": shops}, indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")
    words = report(shops, given.date)
    print(words)
    if given.date:
        write_between_marks(PAGE, "learning-curve", words)


if __name__ == "__main__":
    main()
