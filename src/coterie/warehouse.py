"""Find a built DuckDB file and read its marts, for the command line: never for models.

The file is opened read-only. Marts are found by name, or by dbt's manifest where a project lies in
the current folder, so that hosts may name their schemas as they like.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import jinja2
import pandas as pd
import yaml

DATABASE_VARIABLE = "COTERIE_DATABASE"

#: The mart without which there is nothing to tell.
CORE = "coterie__customers"


class UnreadableError(Exception):
    """The database cannot be read; the message says why and what to do."""


@dataclass
class Marts:
    """The marts of an open database.

    Parameters
    ----------
    connection : DuckDBPyConnection
    relations : mapping of str to str
        Name of a mart, or of another table of the package, to its quoted name in SQL.
    path : Path
        The file.
    expected : frozenset of str
        Marts that the project enables, by dbt's manifest; empty where none is known.
    """

    connection: duckdb.DuckDBPyConnection
    relations: Mapping[str, str]
    path: Path
    expected: frozenset[str] = field(default_factory=frozenset)

    def has(self, *names: str) -> bool:
        """Tell whether all of these are built."""
        return all(name in self.relations for name in names)

    def columns(self, name: str) -> list[str]:
        """Give the columns of a mart."""
        return self.connection.sql(f"select * from {self.relations[name]} limit 0").columns

    def frame(self, query: str, **parameters: object) -> pd.DataFrame:
        """Read a query in which marts stand as ``{coterie__customers}``."""
        query = query.format_map(self.relations)
        return self.connection.execute(query, parameters).df()

    def rows(self, query: str, **parameters: object) -> list[tuple]:
        """Read a query as rows; see `frame`."""
        return self.connection.execute(query.format_map(self.relations), parameters).fetchall()


def find_database(given: Path | None = None, project: Path | None = None) -> Path:
    """Find the database file.

    Parameters
    ----------
    given : Path, optional
        What the user named; it wins.
    project : Path, optional
        Folder of a dbt project (default: the current one), whose profile names the file where
        neither the user nor the environment variable COTERIE_DATABASE does.

    Returns
    -------
    Path

    Raises
    ------
    UnreadableError
        If nothing names a file.
    """
    if given is not None:
        return given
    if os.environ.get(DATABASE_VARIABLE):
        return Path(os.environ[DATABASE_VARIABLE])
    project = project or Path.cwd()
    path = profile_path(project)
    if path is None:
        raise UnreadableError(
            f"No database is named: give --database FILE, set {DATABASE_VARIABLE}, or run this in "
            "the folder of a dbt project whose profile is of the type duckdb."
        )
    return path


def profile_path(project: Path) -> Path | None:
    """Give the file that the dbt profile of a project builds in; None where there is none.

    Profiles are looked for where dbt does: DBT_PROFILES_DIR, the project, ``~/.dbt``.
    """
    settings = project / "dbt_project.yml"
    if not settings.is_file():
        return None
    folders = [project, Path.home() / ".dbt"]
    if os.environ.get("DBT_PROFILES_DIR"):
        folders = [Path(os.environ["DBT_PROFILES_DIR"])]
    file = next((f / "profiles.yml" for f in folders if (f / "profiles.yml").is_file()), None)
    if file is None:
        return None
    try:
        name = _rendered(_yaml(settings).get("profile"))
        profile = _yaml(file)[name]
        target = os.environ.get("DBT_TARGET") or _rendered(profile.get("target", "default"))
        output = profile["outputs"][target]
        if _rendered(output.get("type")) != "duckdb" or not output.get("path"):
            return None
        path = Path(_rendered(output["path"]) or ":memory:")
    except (KeyError, TypeError, jinja2.TemplateError, yaml.YAMLError) as error:
        raise UnreadableError(
            f"{file} does not say where the database is ({error}): give --database FILE."
        ) from None
    if str(path) == ":memory:" or str(path).startswith(("md:", "motherduck:")):
        raise UnreadableError(
            f"{file} builds in {path}, which is no file: give --database FILE, a copy of it."
        )
    return path if path.is_absolute() else project / path


@contextmanager
def open_marts(
    database: Path, schema: str | None = None, manifest: Path | None = None
) -> Iterator[Marts]:
    """Open a built database, read-only, and find the tables of the package in it.

    Parameters
    ----------
    database : Path
        A DuckDB file.
    schema : str, optional
        The schema of the marts, where several hold them.
    manifest : Path, optional
        dbt's ``manifest.json``, which knows the schemas and names that the project gives.

    Yields
    ------
    Marts

    Raises
    ------
    UnreadableError
        If the file is missing, is no DuckDB file, is held by another process, or holds no mart
        ``coterie__customers``; or if several schemas do and none is named.
    """
    if not database.is_file():
        raise UnreadableError(f"{database} does not exist: build it first, with dbt build.")
    try:
        connection = duckdb.connect(str(database), read_only=True)
    except duckdb.IOException as error:
        first = str(error).splitlines()[0]
        if "lock" in first.lower():
            raise UnreadableError(
                f"{database} is held by another process, perhaps a build: try again when it has "
                "finished."
            ) from None
        raise UnreadableError(f"{database} cannot be opened: {first}") from None
    except duckdb.Error as error:
        raise UnreadableError(
            f"{database} cannot be opened: {str(error).splitlines()[0]}"
        ) from None
    try:
        names = _manifest_names(manifest)
        relations = _relations(connection, database, schema, names)
        expected = frozenset(name for name in names if name.startswith("coterie__"))
        yield Marts(connection, relations, database, expected)
    finally:
        connection.close()


def find_manifest(project: Path | None = None) -> Path | None:
    """Give dbt's manifest of the project in this folder, if there is one."""
    project = project or Path.cwd()
    settings = project / "dbt_project.yml"
    if not settings.is_file():
        return None
    target = os.environ.get("DBT_TARGET_PATH") or _yaml(settings).get("target-path") or "target"
    path = project / _rendered(target) / "manifest.json"
    return path if path.is_file() else None


def _relations(
    connection: duckdb.DuckDBPyConnection,
    database: Path,
    schema: str | None,
    names: Mapping[str, tuple[str, str]],
) -> dict[str, str]:
    found = connection.sql(
        "select table_schema, table_name from information_schema.tables "
        "where table_catalog = current_database() order by table_schema, table_name"
    ).fetchall()
    existing = set(found)
    places: dict[str, list[tuple[str, str]]] = {}
    for place in found:
        if place[1].startswith(("coterie__", "int_coterie__")):
            places.setdefault(place[1], []).append(place)
    for name, place in names.items():
        if place in existing and schema is None:
            places[name] = [place]
    if CORE not in places:
        raise UnreadableError(
            f"{database} holds no {CORE}: build it with dbt build, and name the file that the "
            "profile builds in."
        )
    schemas = [found_in for found_in, _ in places[CORE]]
    if schema is None and len(schemas) > 1:
        raise UnreadableError(
            f"{database} holds marts in several schemas: choose one of {', '.join(schemas)} by "
            "--schema."
        )
    if schema is not None and schema not in schemas:
        raise UnreadableError(
            f"{database} holds no {CORE} in the schema {schema}; it is in {', '.join(schemas)}."
        )
    home = schema or schemas[0]
    chosen = {}
    for name, found_in in places.items():
        # Where several schemas hold a table, that of the marts is meant, or one that begins alike.
        first = max(found_in, key=lambda place: (place[0] == home, _shared(place[0], home)))
        chosen[name] = ".".join(_quoted(part) for part in first)
    return chosen


def _manifest_names(manifest: Path | None) -> dict[str, tuple[str, str]]:
    """Give schema and name in the database of each model of the package."""
    if manifest is None:
        return {}
    try:
        nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values()
        return {
            node["name"]: (node["schema"], node["alias"])
            for node in nodes
            if node["package_name"] == "coterie" and node["resource_type"] == "model"
        }
    except (OSError, ValueError, KeyError):
        # An older or half-written manifest tells nothing; names still do.
        return {}


def _shared(left: str, right: str) -> int:
    """Count the letters with which both begin."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _yaml(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def _rendered(text: object) -> str:
    """Render what dbt would: text with calls of env_var."""

    def env_var(name: str, default: str | None = None) -> str:
        value = os.environ.get(name, default)
        if value is None:
            raise jinja2.UndefinedError(f"the environment variable {name} is not set")
        return value

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.from_string(str(text)).render(env_var=env_var)
