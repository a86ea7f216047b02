"""What the scripts of this folder share."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]


class Clock:
    """Measures the seconds of a `with` block."""

    seconds = 0.0

    def __enter__(self) -> Clock:
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = round(time.perf_counter() - self._started, 3)


def timed_features(
    compute: Callable[[Path, Path, Path, Clock], None],
    description: str,
    arguments: Sequence[str] | None,
) -> None:
    """Be the command line of a script that computes features; prints its seconds as JSON."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument(
        "--pairs", type=Path, required=True, help="Parquet file with as_of_date and customer_id"
    )
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    given = parser.parse_args(arguments)
    clock = Clock()
    compute(given.data, given.pairs, given.out, clock)
    print(json.dumps({"seconds": clock.seconds}))


def build_host(
    host: Path,
    database: Path,
    nodes: Sequence[str],
    variables: Mapping[str, Any],
    environment: Mapping[str, str],
) -> None:
    """Build some models of a host project, and what they need, in a database; tests are left out.

    Raises
    ------
    SystemExit
        If dbt fails, with the end of what it said.
    """
    folder = database.parent
    logs = ["--log-path", str(folder / "logs")]
    select = ["--select", *nodes]
    select += ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    chosen = ["--vars", json.dumps(variables)]
    chosen += ["--target-path", str(folder / f"target_{database.stem}")]
    for command in [["deps", *logs], ["build", *select, *chosen, *logs]]:
        done = subprocess.run(
            [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--quiet", *command],
            cwd=host,
            env={
                **os.environ,
                "COTERIE_TEST_DATABASE": str(database),
                "DBT_PROFILES_DIR": str(host),
                "DBT_USE_COLORS": "false",
                "DO_NOT_TRACK": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"`dbt {' '.join(command)}` failed:\n{done.stdout[-4000:]}")


def write_between_marks(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of this name in a Markdown page.

    Raises
    ------
    ValueError
        If the page has no such marks.
    """
    start, end = f"<!-- {name}: written by bench -->", f"<!-- {name}: end -->"
    old = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{page.name} lacks the marks `{start}` and `{end}`: put them back.")
    new = pattern.sub(lambda _: f"{start}\n\n{text.strip()}\n\n{end}", old)
    page.write_text(new, encoding="utf-8")
