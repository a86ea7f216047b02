"""How long a build takes, model by model, how it grows with the shop, and how much memory it needs.

    python bench/run.py --sizes 100000,1000000 --data bench/data --out bench/results/scale.json

For each size the host project integration_tests/benchmark is built twice, tests included: from
nothing on the shop without its last day, then again with that day added. Between the two the same
features are computed by floor.sql and, for small shops, by pandas, from the same files and for the
same customers and dates. Both builds run once more side by side, with as many dbt threads as the
profile of this project has: these are the seconds that a user waits. With `--date` the tables go
into docs/performance.md, too.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import psutil
from common import REPOSITORY, Clock, write_between_marks
from compare_features import built_relation
from tabulate import tabulate

from coterie.demo import AS_OF_DATE, INPUTS

BENCH = Path(__file__).resolve().parent
HOST = REPOSITORY / "integration_tests" / "benchmark"
PAGE = REPOSITORY / "docs" / "performance.md"
FEATURES = "int_coterie__customer_features"
GROUPS = ["inputs", "features", "learning", "scoring", "quality", "marts", "tests", "other"]
#: Side by side as users build, and then with one dbt thread, so that a model's seconds are its own.
BUILDS = ("first_side_by_side", "second_side_by_side", "first_build", "second_build")
#: Seconds below which the growth of a single model is noise.
SMALL = 0.2


# ---- running ------------------------------------------------------------------------------------


def folder_name(customer_count: int) -> str:
    """Name the folder of a size: 100k, 1m."""
    for unit, letter in [(10**6, "m"), (10**3, "k")]:
        if customer_count % unit == 0:
            return f"{customer_count // unit}{letter}"
    return str(customer_count)


def ensure_data(folder: Path, customer_count: int, *, until: str | None = None) -> Path:
    """Generate a shop unless its files are there."""
    if not all((folder / f"{name}.parquet").exists() for name in INPUTS):
        command = [sys.executable, "-m", "coterie.demo", "--customers", str(customer_count)]
        command += ["--out", str(folder)] + (["--until", until] if until else [])
        subprocess.run(command, check=True)
    return folder


def resident_bytes(process: psutil.Process) -> int:
    """Sum the resident memory of a process and all that it has started."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def run_measured(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> dict[str, float]:
    """Run a command; give its wall seconds and peak resident memory."""
    peak = 0
    clock = Clock()
    with log.open("w") as output, clock:
        process = psutil.Popen(
            command,
            cwd=HOST,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        while True:
            try:
                peak = max(peak, resident_bytes(process))
                code = process.wait(timeout=0.1)
                break
            except psutil.TimeoutExpired:
                continue
            except psutil.NoSuchProcess:
                code = process.wait()
                break
    if code != 0:
        tail = "\n".join(log.read_text().splitlines()[-40:])
        raise SystemExit(f"`{' '.join(command)}` ended with {code}:\n{tail}")
    return {"seconds": clock.seconds, "peak_bytes": peak}


def run_dbt(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> dict:
    """Run a dbt command on the host project."""
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments]
    return run_measured(command, environment, log)


def node_seconds(target: Path) -> dict[str, float]:
    """Read the seconds of each node of the last command."""
    results = json.loads((target / "run_results.json").read_text())["results"]
    return {result["unique_id"]: result["execution_time"] for result in results}


def run_features(script: str, data: Path, pairs: Path, work: Path, environment: Mapping) -> dict:
    """Run another implementation of the features, and give its own seconds and its memory."""
    log = work / f"{script}.log"
    command = [sys.executable, str(BENCH / script), "--data", str(data)]
    command += ["--pairs", str(pairs), "--out", str(work / "features.parquet")]
    measured = run_measured(command, environment, log)
    seconds = json.loads(log.read_text().splitlines()[-1])["seconds"]
    return {"seconds": seconds, "peak_bytes": measured["peak_bytes"]}


def least(measured: Sequence[dict[str, float]]) -> dict[str, float]:
    """Take the best of some runs, key by key."""
    return {key: min(run[key] for run in measured if key in run) for key in measured[0]}


# ---- what the nodes are -------------------------------------------------------------------------


def node_group(node: Mapping) -> str:
    """Tell the group whose seconds a node's are counted to."""
    path = node["original_file_path"]
    if node["resource_type"] in ("test", "unit_test"):
        return "tests"
    if node["resource_type"] != "model":
        return "other"
    if node["language"] == "python":
        return "learning"
    if path.startswith(("models/staging", "models/intermediate/inputs")):
        return "inputs"
    for folder, group in [
        ("models/intermediate/features", "features"),
        ("models/intermediate/quality", "quality"),
        ("models/intermediate", "scoring"),
        ("models/marts", "marts"),
    ]:
        if path.startswith(folder):
            return group
    return "other"


def ancestors(nodes: Mapping[str, Mapping], unique_id: str) -> set[str]:
    """Find a model and all models that it is made from."""
    found: set[str] = set()
    waiting = [unique_id]
    while waiting:
        current = waiting.pop()
        if current in found or current not in nodes:
            continue
        found.add(current)
        waiting += nodes[current]["depends_on"]["nodes"]
    return found


def reads_raw(nodes: Mapping[str, Mapping], node: Mapping) -> bool:
    """Tell whether a model is a staging model or reads one."""
    related = [node, *(nodes[parent] for parent in node["depends_on"]["nodes"] if parent in nodes)]
    return any(one["original_file_path"].startswith("models/staging") for one in related)


def describe_models(target: Path) -> dict[str, dict]:
    """Give the group of each node, and whether a model reads raw rows or makes features."""
    manifest = json.loads((target / "manifest.json").read_text())
    nodes = {**manifest["nodes"], **manifest.get("unit_tests", {})}
    models = {key: node for key, node in nodes.items() if node["resource_type"] == "model"}
    feature_path = ancestors(models, f"model.coterie.{FEATURES}")
    return {
        key: {
            "name": node["name"],
            "group": node_group(node),
            "reads_raw": key in models and reads_raw(models, node),
            "makes_features": key in feature_path,
        }
        for key, node in nodes.items()
    }


def count_rows(database: Path, models: Mapping[str, dict]) -> dict[str, int]:
    """Count the rows of each model's relation."""
    with duckdb.connect(str(database), read_only=True) as connection:
        relations = connection.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall()
        names = {model["name"] for model in models.values()}
        return {
            name: connection.execute(f'select count(*) from "{schema}"."{name}"').fetchone()[0]
            for schema, name in relations
            if name in names
        }


# ---- one size -----------------------------------------------------------------------------------


def forget_build(database: Path, target: Path) -> None:
    database.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)


def measure_size(customer_count: int, given: argparse.Namespace, work: Path) -> dict:
    """Build twice and run the other implementations, as often as asked; keep the best."""
    full = given.data / folder_name(customer_count)
    before = full.with_name(f"{full.name}_before")
    ensure_data(full, customer_count)
    ensure_data(before, customer_count, until=str(AS_OF_DATE - 1))

    target, database = work / "target", work / "host.duckdb"
    environment = {
        "COTERIE_BENCH_DATA": str(before),
        "COTERIE_TEST_DATABASE": str(database),
        "COTERIE_TEST_THREADS": "1",
        "COTERIE_TEST_DUCKDB_THREADS": str(given.duckdb_threads),
        "COTERIE_MEMORY_LIMIT": given.memory_limit,
        "COTERIE_TEMP_DIRECTORY": str(work / "spill"),
        "DBT_PROFILES_DIR": str(HOST),
        "DO_NOT_TRACK": "1",
        "DBT_USE_COLORS": "false",
    }
    build = ["build", "--quiet", "--target-path", str(target), "--log-path", str(work / "logs")]
    run_dbt(["deps", "--log-path", str(work / "logs")], environment, work / "deps.log")
    names = (*BUILDS, "floor", "pandas")
    runs: dict[str, list[dict]] = {name: [] for name in names}
    seconds: dict[str, list[dict]] = {"first_build": [], "second_build": []}
    for repeat in range(given.repeats):
        print(f"{customer_count:,} customers, round {repeat + 1}: side by side", flush=True)
        side_by_side = {**environment, "COTERIE_TEST_THREADS": str(given.threads)}
        for name, data in zip(BUILDS[:2], (before, full), strict=True):
            if data == before:
                forget_build(database, target)
            side_by_side["COTERIE_BENCH_DATA"] = str(data)
            runs[name].append(run_dbt(build, side_by_side, work / f"{name}.log"))
        print("  first build", flush=True)
        forget_build(database, target)
        runs["first_build"].append(run_dbt(build, environment, work / "first_build.log"))
        seconds["first_build"].append(node_seconds(target))
        if repeat == 0:
            models = describe_models(target)
            rows = count_rows(database, models)
            pairs = work / "pairs.parquet"
            with duckdb.connect(str(database), read_only=True) as connection:
                spine = built_relation(connection, "int_coterie__customer_as_of_dates")
                spine.project("as_of_date, customer_id").write_parquet(str(pairs))
        print("  floor", flush=True)
        for _ in range(2 if repeat == 0 else 1):
            runs["floor"].append(run_features("floor.py", before, pairs, work, environment))
        if customer_count <= given.pandas_limit:
            print("  pandas", flush=True)
            pandas = run_features("pandas_features.py", before, pairs, work, environment)
            runs["pandas"].append(pandas)
        print("  second build", flush=True)
        later = {**environment, "COTERIE_BENCH_DATA": str(full)}
        runs["second_build"].append(run_dbt(build, later, work / "second_build.log"))
        seconds["second_build"].append(node_seconds(target))

    first, second = least(seconds["first_build"]), least(seconds["second_build"])
    with duckdb.connect() as connection:
        input_rows = {
            name: connection.read_parquet(str(before / f"{name}.parquet"))
            .aggregate("count(*)")
            .fetchall()[0][0]
            for name in INPUTS
        }
    return {
        "input_rows": input_rows,
        "pair_count": rows[FEATURES],
        **{name: least(measured) if measured else None for name, measured in runs.items()},
        "nodes": [
            {
                **models[key],
                "rows": rows.get(models[key]["name"]),
                "first_seconds": round(first[key], 3),
                "second_seconds": round(second[key], 3) if key in second else None,
            }
            for key in sorted(first)
            if key in models
        ],
    }


# ---- the report ---------------------------------------------------------------------------------


def growth(sizes: Sequence[int], seconds: Sequence[float | None], least: float = 0) -> str:
    """Give the exponent e of seconds ~ customers ** e between the smallest and largest size."""
    known = [(size, value) for size, value in zip(sizes, seconds, strict=True) if value is not None]
    if len(known) < 2 or known[0][1] <= 0 or known[-1][1] < max(least, 1e-9):
        return ""
    (size_1, seconds_1), (size_2, seconds_2) = known[0], known[-1]
    return f"{math.log(seconds_2 / seconds_1) / math.log(size_2 / size_1):.2f}"


def total(result: Mapping, column: str, **wanted: object) -> float:
    """Sum the seconds of the nodes that have these properties."""
    return sum(
        node[column] or 0
        for node in result["nodes"]
        if all(node[key] == value for key, value in wanted.items())
    )


def quotient(left: float | None, right: float | None) -> float | None:
    return left / right if left is not None and right else None


def overview_rows(results: Sequence[Mapping]) -> list[tuple[str, list[float | None], str]]:
    """Give name, one value for each size, and number format of each line of the first table."""
    gib = 2**30

    def part(result: Mapping, name: str, key: str, unit: float = 1) -> float | None:
        return result[name][key] / unit if result[name] else None

    lines: list[tuple[str, list[float | None], str]] = [
        (f"rows of `{name}`", [float(r["input_rows"][name]) for r in results], ",.0f")
        for name in INPUTS
    ]
    lines += [
        ("customer x date pairs", [float(r["pair_count"]) for r in results], ",.0f"),
        *(
            (f"{label}, s", [part(r, name, "seconds") for r in results], ",.1f")
            for name, label in zip(
                BUILDS,
                (
                    "first build",
                    "second build",
                    "first build with one dbt thread",
                    "second build with one dbt thread",
                ),
                strict=True,
            )
        ),
        ("peak memory of a build, GiB", [_peak(r) / gib for r in results], ".2f"),
        (
            "models from raw rows to features, s",
            [total(r, "first_seconds", makes_features=True) for r in results],
            ",.1f",
        ),
        (
            "- of them in `features`, s",
            [total(r, "first_seconds", makes_features=True, group="features") for r in results],
            ",.1f",
        ),
        ("floor, s", [part(r, "floor", "seconds") for r in results], ",.1f"),
        ("- its peak memory, GiB", [part(r, "floor", "peak_bytes", gib) for r in results], ".2f"),
        ("pandas, s", [part(r, "pandas", "seconds") for r in results], ",.1f"),
        ("- its peak memory, GiB", [part(r, "pandas", "peak_bytes", gib) for r in results], ".2f"),
    ]
    return lines


def _peak(result: Mapping) -> float:
    return max(result[name]["peak_bytes"] for name in BUILDS)


def ratio_rows(results: Sequence[Mapping]) -> list[tuple[str, list[float | None], str]]:
    lines = []
    for label, wanted in [
        ("models from raw rows to features / floor", {}),
        ("models in `features` / floor", {"group": "features"}),
    ]:
        values = [
            quotient(
                total(r, "first_seconds", makes_features=True, **wanted), r["floor"]["seconds"]
            )
            for r in results
        ]
        lines.append((label, values, ".2f"))
    lines.append(
        (
            "pandas / models from raw rows to features",
            [
                quotient(
                    r["pandas"]["seconds"] if r["pandas"] else None,
                    total(r, "first_seconds", makes_features=True),
                )
                for r in results
            ],
            ".2f",
        )
    )
    for label, wanted in [
        ("second build / first, models that read raw rows", {"reads_raw": True}),
        ("second build / first, models from raw rows to features", {"makes_features": True}),
        ("second build / first, all models and tests", {}),
    ]:
        values = [
            quotient(total(r, "second_seconds", **wanted), total(r, "first_seconds", **wanted))
            for r in results
        ]
        lines.append((label, values, ".2f"))
    for label, (first, second) in [
        ("the command as a whole", BUILDS[:2]),
        ("the command with one dbt thread", BUILDS[2:]),
    ]:
        values = [quotient(r[second]["seconds"], r[first]["seconds"]) for r in results]
        lines.append((f"second build / first, {label}", values, ".2f"))
    return lines


def markdown(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    align = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers, tablefmt="github", colalign=align, disable_numparse=True)


def shown(value: float | None, number_format: str) -> str:
    return "" if value is None else format(value, number_format)


def report(found: Mapping) -> str:
    """Write what was measured as Markdown."""
    sizes = [int(size) for size in found["sizes"]]
    results = list(found["sizes"].values())
    heads = [f"{size:,}" for size in sizes]
    environment = found["environment"]
    parts = [
        f"Measured{' on ' + found['date'] if found['date'] else ''} on a machine of "
        f"{environment['cores']} cores and {environment['memory_gib']} GiB: duckdb "
        f"{environment['duckdb']} with {environment['duckdb_threads']} threads and a memory limit "
        f"of {environment['memory_limit']}, dbt-core {environment['dbt_core']} with "
        f"{environment['dbt_threads']} threads (models by themselves: with one), Python "
        f"{environment['python']}; best of {environment['repeats']} (floor: of "
        f"{environment['repeats'] + 1}).",
        "### Whole builds",
        markdown(
            ["customers", *heads, "growth"],
            [
                [label, *(shown(v, f) for v in values), growth(sizes, values)]
                for label, values, f in overview_rows(results)
            ],
        ),
        "### Ratios",
        markdown(
            ["customers", *heads],
            [[label, *(shown(v, f) for v in values)] for label, values, f in ratio_rows(results)],
        ),
        "### Groups",
        markdown(
            ["group", *(f"{h}, s" for h in heads), "growth", *(f"{h} again, s" for h in heads)],
            [
                [
                    group,
                    *(f"{total(r, 'first_seconds', group=group):,.1f}" for r in results),
                    growth(sizes, [total(r, "first_seconds", group=group) for r in results], SMALL),
                    *(f"{total(r, 'second_seconds', group=group):,.1f}" for r in results),
                ]
                for group in GROUPS
                if any(node["group"] == group for r in results for node in r["nodes"])
            ],
        ),
        "### Models",
        model_table(sizes, results, heads),
    ]
    return "\n\n".join(parts)


def model_table(sizes: Sequence[int], results: Sequence[Mapping], heads: Sequence[str]) -> str:
    """Write the models, the slowest of the largest shop first."""
    by_name = [
        {node["name"]: node for node in r["nodes"] if node["group"] != "tests"} for r in results
    ]
    largest = by_name[-1]
    rows = []
    for name in sorted(largest, key=lambda name: (-largest[name]["first_seconds"], name)):
        node = largest[name]
        first = [nodes[name]["first_seconds"] if name in nodes else None for nodes in by_name]
        again = [nodes[name]["second_seconds"] if name in nodes else None for nodes in by_name]
        per_second = quotient(node["rows"], node["first_seconds"])
        rows.append(
            [
                f"`{name}`{' (raw)' if node['reads_raw'] else ''}",
                node["group"],
                shown(node["rows"], ",.0f"),
                *(shown(value, ",.2f") for value in first),
                growth(sizes, first, SMALL),
                shown(per_second, ",.0f") if node["first_seconds"] >= SMALL else "",
                *(shown(value, ",.2f") for value in again),
                shown(quotient(again[-1], first[-1]), ".2f") if first[-1] >= SMALL else "",
            ]
        )
    return tabulate(
        rows,
        [
            *("model", "group", f"rows at {heads[-1]}"),
            *(f"{head}, s" for head in heads),
            *("growth", "rows / s"),
            *(f"{head} again, s" for head in heads),
            "again / first",
        ],
        tablefmt="github",
        colalign=["left", "left", *["right"] * (4 + 2 * len(heads))],
        disable_numparse=True,
    )


# ---- the command line ---------------------------------------------------------------------------


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes",
        type=lambda text: sorted(int(size) for size in text.split(",")),
        default=[100_000, 1_000_000],
        help="customers, with commas between (default: 100000,1000000)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=BENCH / "data",
        help="where the shops are; what is missing is generated (default: bench/data)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=BENCH / "results" / "scale.json",
        help="default: bench/results/scale.json",
    )
    parser.add_argument("--work", type=Path, help="where to put databases while it runs")
    parser.add_argument("--date", help="the day of the measurement; writes docs/performance.md")
    parser.add_argument("--repeats", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--threads",
        type=int,
        default=4,
        help="of dbt in the builds side by side (default: %(default)s)",
    )
    parser.add_argument("--duckdb-threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--memory-limit", default="4GB", help="of DuckDB (default: %(default)s)")
    parser.add_argument(
        "--pandas-limit",
        type=int,
        default=100_000,
        help="the largest shop that pandas is given (default: %(default)s)",
    )
    parser.add_argument(
        "--report", type=Path, help="measure nothing; report what this JSON file holds"
    )
    return parser.parse_args(arguments)


def measure(given: argparse.Namespace) -> dict:
    given.data = given.data.resolve()
    if given.work:
        given.work = given.work.resolve()
        given.work.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for size in given.sizes:
        with tempfile.TemporaryDirectory(prefix="coterie-bench-", dir=given.work) as work:
            sizes[str(size)] = measure_size(size, given, Path(work))
    return {
        "date": given.date,
        "environment": {
            "cores": psutil.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
            "dbt_core": importlib.metadata.version("dbt-core"),
            "dbt_duckdb": importlib.metadata.version("dbt-duckdb"),
            "dbt_threads": given.threads,
            "duckdb_threads": given.duckdb_threads,
            "memory_limit": given.memory_limit,
            "repeats": given.repeats,
        },
        "sizes": sizes,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse_arguments(arguments)
    if given.report:
        found = json.loads(given.report.read_text(encoding="utf-8"))
        found["date"] = given.date or found["date"]
    else:
        found = measure(given)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    words = report(found)
    print(words)
    if given.date:
        write_between_marks(PAGE, "scale", words)


if __name__ == "__main__":
    main()
