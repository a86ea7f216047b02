"""Run floor.sql: all features in one hand-written script, the floor that the models are held to.

    python bench/floor.py --data DIR --pairs pairs.parquet --out features.parquet

DuckDB takes the threads, memory limit and folder for spilling that the benchmark's profile takes
(COTERIE_TEST_DUCKDB_THREADS, COTERIE_MEMORY_LIMIT, COTERIE_TEMP_DIRECTORY). Like the models, the
script writes its result to a database file; writing `--out` from there is not timed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
from common import Clock, timed_features

SCRIPT = Path(__file__).with_name("floor.sql")


def run_floor(data: Path, pairs: Path, out: Path, clock: Clock) -> None:
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        config = {
            "threads": os.environ.get("COTERIE_TEST_DUCKDB_THREADS", "2"),
            "memory_limit": os.environ.get("COTERIE_MEMORY_LIMIT", "4GB"),
            "temp_directory": os.environ.get("COTERIE_TEMP_DIRECTORY", f"{folder}/spill"),
            "storage_compatibility_version": "v1.4.0",
        }
        with duckdb.connect(f"{folder}/floor.duckdb", config=config) as connection:
            for name, path in [("data", data), ("pairs", pairs)]:
                text = str(path).replace("'", "''")
                connection.execute(f"set variable {name} = '{text}'")
            with clock:
                connection.execute(SCRIPT.read_text(encoding="utf-8"))
            connection.table("floor_features").write_parquet(str(out))


def main(arguments: Sequence[str] | None = None) -> None:
    timed_features(run_floor, __doc__, arguments)


if __name__ == "__main__":
    main()
