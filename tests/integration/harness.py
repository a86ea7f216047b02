"""Drive dbt in copies of the host projects, and read what it left in the database."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
HOSTS = REPOSITORY / "integration_tests"
DEMO_SEEDS = REPOSITORY / "seeds" / "demo"

#: What segmentations keep from build to build.
SEGMENT_STATE = (
    "int_coterie__segment_centers",
    "int_coterie__segmentation_quality",
    "int_coterie__segment_lineage",
    "int_coterie__customer_segment_states",
)

#: Tables that keep what earlier builds have learned or decided.
STATE_TABLES = (
    *SEGMENT_STATE,
    "int_coterie__feature_bins",
    "int_coterie__nbd_parameters",
    "int_coterie__gamma_gamma_parameters",
    "int_coterie__value_weights",
    "int_coterie__value_backtests",
    "int_coterie__value_metrics",
    "int_coterie__value_gate_results",
    "int_coterie__propensity_weights",
    "int_coterie__propensity_backtests",
    "int_coterie__backtest_intervals",
    "int_coterie__gate_results",
    "int_coterie__published_predictions",
    "int_coterie__rfm_cut_points",
    "int_coterie__interest_topics",
    "int_coterie__audience_states",
    "int_coterie__crm_states",
)

#: The only clock in the house: left out of comparisons.
CLOCK_COLUMNS = frozenset({"changed_at", "change_number"})

#: Files are written so that clients of DuckDB 1.4 and later can open them.
DUCKDB_CONFIG = {"storage_compatibility_version": "v1.4.0"}

#: How dbt is started by the Python that runs the tests.
DBT = (sys.executable, "-c", "from dbt.cli.main import cli; cli()")

#: Fewer trees and rows learn in a fraction of the time. Hosts whose figures are tested learn as
#: they would.
QUICK_LEARNING = {
    "coterie__propensity": {"max_iter_candidates": [80]},
    "coterie__training_row_limit": 10_000,
}
TESTED_FOR_FIGURES = frozenset({"online_retail", "benchmark"})

Table = pa.Table | pd.DataFrame | str


@dataclass
class DbtRun:
    """One finished dbt command."""

    arguments: list[str]
    return_code: int
    output: str
    target: Path
    seconds: float
    _results: list[dict] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # The next command overwrites the file.
        path = self.target / "run_results.json"
        self._results = json.loads(path.read_text())["results"] if path.exists() else []

    @property
    def results(self) -> list[dict]:
        """The results of run_results.json, one per node."""
        return self._results

    def result(self, name: str) -> dict:
        """The result of the model, seed or test of this name."""
        found = [r for r in self.results if name in r["unique_id"].split(".")]
        assert len(found) == 1, f"{len(found)} results of {name} in `{' '.join(self.arguments)}`"
        return found[0]

    def results_with(self, *statuses: str) -> list[str]:
        """The ids of the nodes that ended with one of these statuses."""
        return sorted(r["unique_id"] for r in self.results if r["status"] in statuses)

    @property
    def words(self) -> str:
        """The output on one line, so that line breaks do not matter in a search."""
        return re.sub(r"\s+", " ", self.output)


class DbtError(AssertionError):
    """A dbt command ended otherwise than the test expected."""

    def __init__(self, run: DbtRun):
        tail = "\n".join(run.output.splitlines()[-60:])
        super().__init__(f"`dbt {' '.join(run.arguments)}` ended with {run.return_code}:\n{tail}")
        self.run = run


@dataclass
class Host:
    """A copy of a host project with a database of its own.

    Parameters
    ----------
    name
        The host's folder in integration_tests, which is also its project and profile.
    project
        The folder of the copy.
    environment
        Environment variables of every command.
    variables
        Vars of every command; those of a command go over them.
    options
        Options of every command, after the usual ones.
    database_name
        The file of the database in the target folder.
    """

    name: str
    project: Path
    environment: dict[str, str] = field(default_factory=dict)
    variables: dict[str, object] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    database_name: str = "host.duckdb"
    last_build: DbtRun | None = field(default=None, repr=False)

    @property
    def target(self) -> Path:
        return self.project / "target"

    @property
    def database(self) -> Path:
        # Where the profile puts it unless told otherwise: the same words in every copy, so that
        # a copy need not be parsed anew.
        return self.target / self.database_name

    def dbt(
        self,
        *arguments: str,
        variables: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        must_succeed: bool = True,
        timeout: float = 900,
    ) -> DbtRun:
        """Run a dbt command here and return what came of it.

        Raises
        ------
        DbtError
            If the command fails although it must succeed.
        """
        quick = {} if self.name in TESTED_FOR_FIGURES else QUICK_LEARNING
        given = quick | self.variables | dict(variables or {})
        command = [*arguments]
        command += ["--project-dir", str(self.project), "--profiles-dir", str(self.project)]
        if arguments[0] != "deps":
            command += ["--target-path", str(self.target), *self.options]
        if given:
            command += ["--vars", json.dumps(given)]
        results = self.target / "run_results.json"
        results.unlink(missing_ok=True)
        started = time.monotonic()
        done = run_command(
            [*DBT, *command],
            cwd=self.project,
            environment=_environment(self.environment | dict(environment or {})),
            timeout=timeout,
        )
        run = DbtRun(
            arguments=list(arguments),
            return_code=done.returncode,
            output=done.stdout,
            target=self.target,
            seconds=time.monotonic() - started,
        )
        if must_succeed and run.return_code != 0:
            raise DbtError(run)
        if arguments[0] == "build":
            self.last_build = run
        return run

    # ---- the database ----------------------------------------------------------------------

    def connect(self, *, read_only: bool = True) -> duckdb.DuckDBPyConnection:
        config = {} if read_only else DUCKDB_CONFIG
        return duckdb.connect(str(self.database), read_only=read_only, config=config)

    def write(self, tables: Mapping[str, Table]) -> None:
        """Create or replace tables; a text is taken as the query that makes the table."""
        self.database.parent.mkdir(parents=True, exist_ok=True)
        with self.connect(read_only=False) as connection:
            for name, table in tables.items():
                if "." in name:
                    connection.execute(f"create schema if not exists {name.split('.')[0]}")
                if isinstance(table, str):
                    connection.execute(f"create or replace table {name} as {table}")
                else:
                    connection.register("incoming_rows", table)
                    connection.execute(
                        f"create or replace table {name} as select * from incoming_rows"
                    )
                    connection.unregister("incoming_rows")

    def query(self, sql: str) -> pd.DataFrame:
        """The rows of a query, in which {name} stands for the relation of a dbt node."""
        names = set(re.findall(r"\{(\w+)\}", sql))
        with self.connect() as connection:
            return connection.sql(sql.format(**{name: self.relation(name) for name in names})).df()

    def value(self, sql: str) -> object:
        """The only value of a query."""
        rows = self.query(sql)
        assert rows.shape == (1, 1), f"{rows.shape} is not one value: {sql}"
        return rows.iloc[0, 0]

    def table(self, name: str) -> pd.DataFrame:
        """All rows of the relation of a dbt node."""
        return self.query(f"select * from {{{name}}}")

    def exists(self, name: str) -> bool:
        """Whether the relation of a dbt node stands in the database."""
        node = self.node(name)
        if not self.database.exists():
            return False
        with self.connect() as connection:
            found = connection.execute(
                "select count(*) from information_schema.tables "
                "where table_schema = ? and table_name = ?",
                [node["schema"], node["alias"]],
            ).fetchone()
        return bool(found[0])

    # ---- the manifest ----------------------------------------------------------------------

    @property
    def manifest(self) -> dict:
        path = self.target / "manifest.json"
        return _read_manifest(path, path.stat().st_mtime_ns)

    def node(self, name: str) -> dict:
        """The manifest's node of a model or seed of the package or the host."""
        for kind in ("model", "seed"):
            for project in ("coterie", self.name):
                node = self.manifest["nodes"].get(f"{kind}.{project}.{name}")
                if node:
                    return node
        raise KeyError(f"no model or seed {name} in the host {self.name}")

    def relation(self, name: str) -> str:
        node = self.node(name)
        return f'"{node["schema"]}"."{node["alias"]}"'

    def package_nodes(self, *kinds: str) -> list[dict]:
        """The package's nodes of these resource types that would run here."""
        return [
            node
            for node in self.manifest["nodes"].values()
            if node["package_name"] == "coterie" and node["resource_type"] in kinds
        ]

    def package_relations(self) -> list[str]:
        """The names of the package's models and seeds that have a relation."""
        return sorted(
            node["name"]
            for node in self.package_nodes("model", "seed")
            if node["config"]["materialized"] != "ephemeral"
        )

    def snapshot(self, names: Iterable[str] | None = None) -> dict[str, pd.DataFrame]:
        """The content of the package's relations, without its clock; what is absent is left out."""
        frames = {}
        with self.connect() as connection:
            present = {
                (schema, name)
                for schema, name in connection.execute(
                    "select table_schema, table_name from information_schema.tables"
                ).fetchall()
            }
            for name in names if names is not None else self.package_relations():
                node = self.node(name)
                if (node["schema"], node["alias"]) in present:
                    frame = connection.sql(f"select * from {self.relation(name)}").df()
                    frames[name] = frame.drop(columns=CLOCK_COLUMNS & set(frame.columns))
        return frames


@lru_cache(maxsize=8)
def _read_manifest(path: Path, changed_at: int) -> dict:
    return json.loads(path.read_text())


def run_command(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], timeout: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; both of its streams are in ``stdout``."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "COTERIE_"))}
    return (
        inherited
        | {
            "COTERIE_DEMO_SEEDS": str(DEMO_SEEDS),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_USE_COLORS": "false",
            "DBT_VERSION_CHECK": "true",
            "PYTHONIOENCODING": "utf-8",
        }
        | dict(extra)
    )


def install(name: str, folder: Path) -> Host:
    """Copy a host project and install the package into it by `dbt deps`, from this checkout."""
    project = folder / name
    shutil.copytree(
        HOSTS / name,
        project,
        ignore=shutil.ignore_patterns("target", "dbt_packages", "logs", "package-lock.yml"),
    )
    packages = {"packages": [{"local": str(REPOSITORY)}]}
    (project / "packages.yml").write_text(yaml.safe_dump(packages))
    host = Host(name, project)
    host.dbt("deps", timeout=120)
    return host


def copy_host(host: Host, folder: Path) -> Host:
    """A second copy of an installed host, without its database."""
    project = folder / host.name
    ignored = shutil.ignore_patterns("*.duckdb", "*.wal")
    shutil.copytree(host.project, project, symlinks=True, ignore=ignored)
    return Host(host.name, project, dict(host.environment), dict(host.variables))


def edit_package(host: Host, edits: Iterable[tuple[str, str, str]]) -> None:
    """Give a host a copy of the package of its own, with other words in some places.

    Parameters
    ----------
    host
        A copy of an installed host.
    edits
        Path in the package, the only place of this text in it, and the text instead.
    """
    package = host.project.parent / "package"
    package.mkdir()
    shutil.copy(REPOSITORY / "dbt_project.yml", package)
    for name in ("docs", "macros", "models", "python_models", "seeds", "tests"):
        ignored = shutil.ignore_patterns("integration", "python", "__pycache__")
        shutil.copytree(REPOSITORY / name, package / name, ignore=ignored)
    for path, old, new in edits:
        text = (package / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{text.count(old)} places in {path} say: {old}"
        (package / path).write_text(text.replace(old, new), encoding="utf-8")
    installed = host.project / "dbt_packages" / "coterie"
    assert installed.is_symlink()
    installed.unlink()
    os.symlink(package, installed)


def shuffled_demo(folder: Path, seed: int) -> Path:
    """A copy of the demo CSVs with their rows in another order."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for path in sorted(DEMO_SEEDS.glob("*.csv")):
        header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if rows and not rows[-1].endswith("\n"):
            rows[-1] += "\n"
        order = generator.permutation(len(rows))
        (folder / path.name).write_text(
            header + "".join(rows[i] for i in order), encoding="utf-8", newline=""
        )
    return folder


@contextmanager
def sizes_during(folder: Path) -> Iterator[list[int]]:
    """Watch a folder: the list holds the sizes in bytes that its files had together."""
    sizes = [0]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            with suppress(FileNotFoundError):
                sizes.append(sum(path.stat().st_size for path in folder.iterdir()))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield sizes
    finally:
        is_over.set()
        watcher.join()


# ---- comparisons -------------------------------------------------------------------------------


def differences(
    left: Mapping[str, pd.DataFrame],
    right: Mapping[str, pd.DataFrame],
    *,
    tolerance: float = 0.0,
) -> list[str]:
    """What differs between two snapshots, in words; empty if nothing does.

    Rows are told apart by everything that is not a floating-point number. Codes, dates, counts
    and texts must be equal, floating-point numbers within the tolerance, absolute or relative.
    """
    found = [f"{name}: only on the left" for name in sorted(set(left) - set(right))]
    found += [f"{name}: only on the right" for name in sorted(set(right) - set(left))]
    for name in sorted(set(left) & set(right)):
        found += [f"{name}: {words}" for words in _differences(left[name], right[name], tolerance)]
    return found


def _differences(left: pd.DataFrame, right: pd.DataFrame, tolerance: float) -> list[str]:
    if list(left.columns) != list(right.columns):
        return [f"columns {list(left.columns)} and {list(right.columns)}"]
    if len(left) != len(right):
        return [f"{len(left)} and {len(right)} rows"]
    if left.equals(right):
        return []
    left, right = _flat(left), _flat(right)
    if list(left.columns) != list(right.columns):
        return ["lists of other lengths"]
    numbers = [c for c in left.columns if pd.api.types.is_float_dtype(left[c])]
    others = [c for c in left.columns if c not in numbers]
    left, right = _sorted(left, others, numbers), _sorted(right, others, numbers)
    words = []
    for column in others:
        a, b = left[column], right[column]
        # A missing whole number compares as missing, not as unequal.
        unequal = ((a != b) & ~(a.isna() & b.isna())).fillna(True).to_numpy(dtype=bool)
        if unequal.any():
            row = int(np.flatnonzero(unequal)[0])
            words.append(
                f"{column} differs in {unequal.sum()} of {len(left)} sorted rows, first "
                f"{a.iloc[row]!r} and {b.iloc[row]!r}"
            )
    if words:
        return words
    for column in numbers:
        a, b = left[column].to_numpy(dtype=float), right[column].to_numpy(dtype=float)
        close = np.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        if not close.all():
            row = int(np.flatnonzero(~close)[0])
            words.append(
                f"{column} differs in {(~close).sum()} of {len(left)} rows by up to "
                f"{np.nanmax(np.abs(a - b)):.3g}, first {float(a[row])} and {float(b[row])}"
            )
    return words


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with one column per element of a list, and decimals and the like as text."""
    columns = {}
    for name in frame.columns:
        values = frame[name]
        lists = [v for v in values if isinstance(v, list | np.ndarray)] if _is_mixed(values) else []
        if lists and all(isinstance(e, float | np.floating) for v in lists for e in v):
            for i in range(max(len(v) for v in lists)):
                columns[f"{name}[{i}]"] = pd.Series(
                    [
                        float(v[i]) if isinstance(v, list | np.ndarray) and i < len(v) else np.nan
                        for v in values
                    ],
                    index=frame.index,
                )
        elif _is_mixed(values):
            columns[name] = values.map(_text)
        else:
            columns[name] = values
    return pd.DataFrame(columns)


def _is_mixed(values: pd.Series) -> bool:
    return pd.api.types.is_object_dtype(values)


def _text(value: object) -> str:
    if isinstance(value, list | np.ndarray):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    return "" if value is None or value is pd.NaT or value is pd.NA else str(value)


def _sorted(frame: pd.DataFrame, others: list[str], numbers: list[str]) -> pd.DataFrame:
    keys = frame[others].copy()
    for column in numbers:
        # Rounded, so that noise in the last digits does not change the order.
        keys[column] = frame[column].round(5)
    # The first columns that tell all rows apart are enough.
    width = 1
    while width < keys.shape[1] and keys.iloc[:, :width].duplicated().any():
        width += 1
    order = keys.sort_values(list(keys.columns[:width]), kind="stable", na_position="last").index
    return frame.loc[order].reset_index(drop=True)
