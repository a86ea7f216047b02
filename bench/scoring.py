"""How long it takes to score everybody with reasons, beside LightGBM with contributions.

    python bench/scoring.py --data bench/data/1m_before --out bench/results/scoring.json

Builds the host project integration_tests/benchmark up to the scores, or takes a built `--database`,
then times the two models that score: int_coterie__propensity_scores (bins, log-odds, reasons of
each model) and coterie__customer_predictions (all predictions, with sentences). LightGBM predicts
the same customers by the same features, with contributions, one model.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import lightgbm
import numpy as np
from common import Clock, write_between_marks
from compare_features import built_relation
from run import HOST, PAGE, node_seconds, run_dbt
from tabulate import tabulate

MODEL = "purchase_30d"
SCORERS = ("int_coterie__propensity_scores", "coterie__customer_predictions")
#: Columns of the training rows that are no features.
KEYS = {"model_name", "as_of_date", "customer_id", "outcome", "rfm_cell"}
#: The probability that the training rows carry for a reference, no feature either.
REFERENCES = {"nbd_purchase_probability"}


def environment(given: argparse.Namespace, database: Path, work: Path) -> dict[str, str]:
    return {
        "COTERIE_BENCH_DATA": str(given.data),
        "COTERIE_TEST_DATABASE": str(database),
        "COTERIE_TEST_THREADS": "1",
        "COTERIE_TEST_DUCKDB_THREADS": str(given.threads),
        "COTERIE_MEMORY_LIMIT": given.memory_limit,
        "COTERIE_TEMP_DIRECTORY": str(work / "spill"),
        "DBT_PROFILES_DIR": str(HOST),
        "DO_NOT_TRACK": "1",
        "DBT_USE_COLORS": "false",
    }


def score(given: argparse.Namespace, database: Path, work: Path) -> dict[str, float]:
    """Build the scores as often as asked, and keep the best seconds of each model."""
    settings = environment(given, database, work)
    options = ["--quiet", "--target-path", str(work / "target"), "--log-path", str(work / "logs")]
    run_dbt(["deps", "--log-path", str(work / "logs")], settings, work / "deps.log")
    if not given.database:
        untested = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
        select = ["--select", f"+{SCORERS[1]}"]
        run_dbt(["build", *options, *untested, *select], settings, work / "build.log")
    seconds: dict[str, list[float]] = {name: [] for name in SCORERS}
    for _ in range(given.repeats):
        run_dbt(["run", *options, "--select", *SCORERS], settings, work / "score.log")
        for unique_id, took in node_seconds(work / "target").items():
            if unique_id.split(".")[-1] in seconds:
                seconds[unique_id.split(".")[-1]].append(took)
    return {name: min(took) for name, took in seconds.items()}


def contribute(given: argparse.Namespace, database: Path) -> dict[str, float]:
    """Fit a small LightGBM on the training rows, and time its contributions to the scored rows."""
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = built_relation(connection, "int_coterie__propensity_training_rows")
        rows = rows.filter(f"model_name = '{MODEL}'").df()
        features = [name for name in rows.columns if name not in KEYS | REFERENCES]
        scores = built_relation(connection, "int_coterie__propensity_scores").filter("is_newest")
        counts = dict(scores.aggregate("model_name, count(*)").fetchall())
        ids = scores.filter(f"model_name = '{MODEL}'").project("customer_id")
        customers = built_relation(connection, "int_coterie__customer_features").filter(
            "is_scoring_date"
        )
        purchase = built_relation(connection, "int_coterie__customer_nbd").filter("is_scoring_date")
        purchase = purchase.project(
            "customer_id, nbd_probability_alive, nbd_purchase_probability_90d"
        )
        listed = ", ".join(f'"{name}"' for name in features)
        scored = (
            ids.join(customers, "customer_id", how="inner")
            .join(purchase, "customer_id", how="left")
            .project(listed)
            .df()
        )
    matrix = scored.to_numpy(dtype=np.float64, na_value=np.nan)
    booster = lightgbm.LGBMClassifier(
        n_estimators=150,
        num_leaves=6,
        learning_rate=0.05,
        min_child_samples=40,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        random_state=1,
        n_jobs=given.threads,
        verbose=-1,
    ).fit(rows[features].to_numpy(dtype=np.float64, na_value=np.nan), rows["outcome"])
    took = []
    for _ in range(given.repeats):
        with Clock() as clock:
            booster.predict_proba(matrix, pred_contrib=True)
        took.append(clock.seconds)
    return {"seconds": min(took), "row_count": len(matrix), "scored_rows": counts}


def report(found: dict) -> str:
    """Write what was measured as Markdown."""
    scored = found["lightgbm"]["scored_rows"]
    sql = sum(found["seconds"].values())
    row_count = sum(scored.values())
    of_lightgbm = found["lightgbm"]["seconds"] / found["lightgbm"]["row_count"]
    lines = [
        ("customers", f"{found['customer_count']:,}"),
        ("models scored", f"{len(scored)}: {', '.join(sorted(scored))}"),
        ("scores, with reasons", f"{row_count:,}"),
        *[(f"`{name}`, s", f"{took:.1f}") for name, took in found["seconds"].items()],
        ("together, s", f"{sql:.1f}"),
        ("per million scores, s", f"{1e6 * sql / row_count:.1f}"),
        (
            "LightGBM (150 trees of 6 leaves) with contributions, one model, "
            f"{found['lightgbm']['row_count']:,} rows, s",
            f"{found['lightgbm']['seconds']:.1f}",
        ),
        ("LightGBM per million scores, s", f"{1e6 * of_lightgbm:.1f}"),
        ("times faster", f"{of_lightgbm / (sql / row_count):.1f}"),
        (
            "times faster, scores and reasons without the mart",
            f"{of_lightgbm / (found['seconds'][SCORERS[0]] / row_count):.1f}",
        ),
    ]
    when = f"Measured on {found['date']}, with " if found["date"] else "With "
    table = tabulate(lines, ["", ""], tablefmt="github", disable_numparse=True)
    return f"{when}{found['threads']} threads, best of {found['repeats']}.\n\n{table}"


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of Parquet files")
    parser.add_argument("--database", type=Path, help="a built host project; a copy is scored")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument("--date", help="the day of the measurement; writes docs/performance.md")
    parser.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--memory-limit", default="4GB", help="of DuckDB (default: %(default)s)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    given = read_arguments(arguments)
    given.data = given.data.resolve()
    with tempfile.TemporaryDirectory(prefix="coterie-scoring-") as folder:
        work = Path(folder)
        database = work / "host.duckdb"
        if given.database:
            shutil.copy(given.database, database)
        os.environ.setdefault("OMP_NUM_THREADS", str(given.threads))
        found = {
            "date": given.date,
            "threads": given.threads,
            "repeats": given.repeats,
            "seconds": score(given, database, work),
        }
        with duckdb.connect(str(database), read_only=True) as connection:
            customers = built_relation(connection, "int_coterie__customers")
            found["customer_count"] = customers.aggregate("count(*)").fetchall()[0][0]
        found["lightgbm"] = contribute(given, database)
    text = report(found)
    print(text)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=2))
    if given.date:
        write_between_marks(PAGE, "scoring", text)


if __name__ == "__main__":
    main(sys.argv[1:])
