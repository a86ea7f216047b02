"""Clients of DuckDB 1 read what DuckDB 2 has written."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

#: A Python that has duckdb==1.5.6.
PYTHON = os.environ.get("COTERIE_OLD_DUCKDB_PYTHON", "")

SCRIPT = """
import json
import sys

import duckdb

connection = duckdb.connect(sys.argv[1], read_only=True)
names = connection.execute(
    "select table_name from information_schema.tables where table_schema = 'main_coterie'"
).fetchall()
counts = {
    name: len(connection.execute(f'select * from main_coterie."{name}"').fetchall())
    for (name,) in names
}
print(json.dumps([duckdb.__version__, counts]))
"""


@pytest.mark.matrix
@pytest.mark.skipif(
    not PYTHON, reason="COTERIE_OLD_DUCKDB_PYTHON names no Python with duckdb 1.5.6"
)
def test_an_older_client_reads_every_mart(shape_jaffle_shop):
    host = shape_jaffle_shop
    done = subprocess.run(
        [PYTHON, "-c", SCRIPT, str(host.database)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    version, counts = json.loads(done.stdout)
    assert version.startswith("1.")
    marts = [n for n in host.package_relations() if n.startswith("coterie__")]
    marts = [n for n in marts if host.node(n)["schema"] == "main_coterie"]
    assert sorted(counts) == sorted(marts)
    for name, count in counts.items():
        assert (name, count) == (name, host.value(f"select count(*) from {{{name}}}"))
