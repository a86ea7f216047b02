"""Servers and tools of tests that sync the marts. What is missing is named, and its tests skip."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
from hubspot_stub import HubSpotStub
from servers import PostgresServer, TrytonServer, new_tryton_database, postgres_binaries
from stand_in import MARTS, SCHEMA, Shop

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
EXAMPLES = REPOSITORY / "examples" / "reverse_etl"
_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.matrix)


@pytest.fixture(scope="session")
def sync_python() -> Path:
    """Return the Python that has drt, dlt, Tryton and HubSpot's client."""
    default = REPOSITORY / ".venv-sync" / "bin" / "python"
    python = Path(os.environ.get("COTERIE_SYNC_PYTHON") or default)
    if not python.exists():
        pytest.skip(
            f"{python} is not there: run examples/reverse_etl/setup.sh, "
            "and let COTERIE_SYNC_PYTHON name the Python that it made"
        )
    return python


@dataclass
class Tools:
    """Run the examples' commands, offline but for the loopback, in a home of their own."""

    python: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str | Path, cwd: Path) -> subprocess.CompletedProcess:
        nowhere = "http://127.0.0.1:9"
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(self.home),
            "DO_NOT_TRACK": "1",
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "NO_PROXY": "127.0.0.1",
            **self.variables,
        }
        return subprocess.run(
            [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True
        )


@pytest.fixture
def tools(sync_python: Path, tmp_path: Path) -> Tools:
    home = tmp_path / "home"
    home.mkdir()
    return Tools(sync_python, home)


@pytest.fixture
def new_shop(tmp_path: Path) -> Callable[[int], Shop]:
    return lambda customer_count: Shop(tmp_path / "shop.duckdb", customer_count)


@pytest.fixture
def demo_marts(tmp_path: Path) -> Path:
    """Return a copy of the database that `make demo` has left, with the real marts."""
    database = Path(os.environ.get("COTERIE_DATABASE") or REPOSITORY / "coterie.duckdb")
    if not database.exists():
        pytest.skip(f"{database} is not there: make demo builds it, or COTERIE_DATABASE names one")
    copy = tmp_path / "demo.duckdb"
    shutil.copy(database, copy)
    with duckdb.connect(str(copy)) as connection:
        found = connection.execute(
            "select table_name from information_schema.tables where table_schema = ?", [SCHEMA]
        ).fetchall()
    missing = set(MARTS) - {name for (name,) in found}
    if missing:
        pytest.skip(f"{database} lacks {', '.join(sorted(missing))}: build it anew")
    return copy


# --- PostgreSQL by drt


@pytest.fixture(scope="session")
def postgres(sync_python: Path) -> Iterator[PostgresServer]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's server is missing: apt-get install postgresql")
    server = PostgresServer(binaries)
    yield server
    server.remove()


@dataclass
class Warehouse:
    """A database of PostgreSQL and the drt project that fills it from the shop's marts."""

    server: PostgresServer
    name: str
    project: Path
    shop: Shop | None
    tools: Tools

    def sql(self, statement: str) -> list[tuple[str, ...]]:
        return self.server.sql(statement, self.name)

    def count(self, table: str) -> int:
        return int(self.sql(f"select count(*) from crm.{table}")[0][0])

    def sync(self, *names: str, fails: bool = False) -> dict[str, tuple[int, int]]:
        """Run syncs one by one; return how many rows each has written, and failed to write."""
        drt = [self.tools.python.parent / "drt", "run", "--output", "json"]
        selected = [word for name in names for word in ("--select", name)]
        done = self.tools.run(*drt, *selected, cwd=self.project)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return {
            result["name"]: (result["rows_synced"], result["rows_failed"])
            for result in json.loads(done.stdout)["syncs"]
        }


@pytest.fixture
def new_warehouse(
    postgres: PostgresServer, tools: Tools, tmp_path: Path
) -> Callable[[Path, Shop | None], Warehouse]:
    return lambda database, shop=None: _new_warehouse(postgres, tools, tmp_path, database, shop)


@pytest.fixture
def warehouse(
    new_warehouse: Callable[[Path, Shop | None], Warehouse], new_shop: Callable[[int], Shop]
) -> Warehouse:
    shop = new_shop(1000)
    return new_warehouse(shop.database, shop)


def _new_warehouse(
    postgres: PostgresServer, tools: Tools, tmp_path: Path, database: Path, shop: Shop | None
) -> Warehouse:
    name = f"crm_{next(_numbers)}"
    postgres.sql(f'create database "{name}"')
    postgres.sql((EXAMPLES / "postgres.sql").read_text(), name)
    project = tmp_path / "drt"
    shutil.copytree(EXAMPLES / "drt", project)
    (tools.home / ".drt").mkdir()
    profile = (
        (project / "profiles.yml").read_text().replace("../../../coterie.duckdb", str(database))
    )
    (tools.home / ".drt" / "profiles.yml").write_text(profile)
    tools.variables["CRM_DATABASE"] = postgres.address(name)
    return Warehouse(postgres, name, project, shop, tools)


# --- CRMs by dlt


@dataclass
class Crm:
    """A CRM that sync.py fills from the marts of a database, a shop's if it has one."""

    name: str
    database: Path
    tools: Tools
    state: Path
    shop: Shop | None = None

    def sync(self, fails: bool = False) -> dict[str, int]:
        """Return what became of how many rows; nothing, if the run failed before it said so."""
        done = self.tools.run(
            self.tools.python,
            "sync.py",
            *("--database", self.database, "--to", self.name, "--state", self.state),
            cwd=EXAMPLES,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        self.said = done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}


@pytest.fixture(scope="session")
def tryton_template(
    sync_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    if not (sync_python.parent / "trytond").exists():
        pytest.skip(f"Tryton is not installed beside {sync_python}")
    folder = tmp_path_factory.mktemp("tryton")
    return folder, new_tryton_database(sync_python, folder)


@pytest.fixture
def tryton_server(
    sync_python: Path, tryton_template: tuple[Path, str], tmp_path: Path
) -> Iterator[TrytonServer]:
    template, key = tryton_template
    folder = tmp_path / "tryton"
    folder.mkdir()
    shutil.copy(template / "crm.sqlite", folder)
    server = TrytonServer(sync_python, folder, key)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def tryton(
    tryton_server: TrytonServer, tools: Tools, new_shop: Callable[[int], Shop], tmp_path: Path
) -> Crm:
    tools.variables["DESTINATION__TRYTON__URL"] = tryton_server.url
    tools.variables["DESTINATION__TRYTON__KEY"] = tryton_server.key
    shop = new_shop(200)
    return Crm("tryton", shop.database, tools, tmp_path / "state", shop)


@pytest.fixture
def hubspot_server() -> Iterator[HubSpotStub]:
    stub = HubSpotStub()
    yield stub
    stub.close()


@pytest.fixture
def new_hubspot(
    hubspot_server: HubSpotStub, tools: Tools, tmp_path: Path
) -> Callable[[Path, Shop | None], Crm]:
    tools.variables["DESTINATION__HUBSPOT__HOST"] = hubspot_server.host
    tools.variables["DESTINATION__HUBSPOT__TOKEN"] = hubspot_server.token
    return lambda database, shop=None: Crm("hubspot", database, tools, tmp_path / "state", shop)


@pytest.fixture
def hubspot(
    new_hubspot: Callable[[Path, Shop | None], Crm], new_shop: Callable[[int], Shop]
) -> Crm:
    shop = new_shop(250)
    return new_hubspot(shop.database, shop)
