"""The command line ``coterie``: read what a build has left in its database.

Exit codes of all commands: 0 fine; 1 something was found that should be mended (``doctor``); 2 the
database cannot be read, or the command line is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import coterie
from coterie.warehouse import Marts, UnreadableError, find_database, find_manifest, open_marts

DATABASE_HELP = (
    "The DuckDB file [default: $COTERIE_DATABASE, then the path in the dbt profile of the project "
    "in the current folder]."
)

_database = click.option(
    "--database", type=click.Path(path_type=Path, dir_okay=False), help=DATABASE_HELP
)
_schema = click.option(
    "--schema", help="The schema of the marts, where several in the file hold them."
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 findings to act on (doctor), 2 the database cannot be read.",
)
@click.version_option(coterie.__version__, prog_name="coterie")
def main() -> None:
    """Read what Coterie has built: customer segments and predictions in a DuckDB file.

    Building is done by dbt (dbt build); these commands only read, and never write to the database.

    \b
    Examples:
      coterie doctor                       what is wrong, and how to mend it
      coterie report --out report.html     one page for colleagues, opens offline
      coterie report --format markdown     a summary for a pull request
      coterie summary                      the marts as text
      coterie demo --out shop              a generated shop to try things on
    """


@main.command()
@_database
@_schema
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown"]),
    default="html",
    show_default=True,
    help="A page with charts, or a summary for a pull request.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, writable=True, allow_dash=True),
    help="Where to write; - is the standard output [default: report.html; Markdown goes to -].",
)
def report(database: Path | None, schema: str | None, form: str, out: Path | None) -> None:
    """Write the report: segments, predictions, value, audiences, data quality, gates.

    The HTML page is one file with everything inside: it loads nothing, and can be mailed or put
    on a drive. It needs matplotlib: pip install "coterie[report]".

    \b
    Examples:
      coterie report
      coterie report --database shop.duckdb --out october.html
      coterie report --format markdown >> "$GITHUB_STEP_SUMMARY"
    """
    from coterie.report import gather, render_html, render_markdown

    with _open(database, schema) as marts:
        content = gather(marts)
    try:
        page = render_html(content) if form == "html" else render_markdown(content)
    except ModuleNotFoundError as error:
        _fail(str(error))
    target = out or (Path("report.html") if form == "html" else Path("-"))
    if str(target) == "-":
        click.echo(page, nl=False)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        _fail(f"{target} cannot be written: {error.strerror}")
    click.echo(f"{target.resolve()}  {len(page.encode()):,} bytes")


@main.command()
@_database
@_schema
def summary(database: Path | None, schema: str | None) -> None:
    """Print what the marts say, with queries to try.

    \b
    Example:
      coterie summary --database coterie.duckdb
    """
    from coterie.summary import summarise_marts

    with _open(database, schema) as marts:
        text = summarise_marts(marts)
    click.echo(text)


@main.command()
@_database
@_schema
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--all", "show_all", is_flag=True, help="Print what is fine, too.")
def doctor(database: Path | None, schema: str | None, as_json: bool, show_all: bool) -> None:
    """Look for what is wrong with a built database, and say what to do.

    Checked are: the database and its marts, the versions of package and library, the inputs and
    their data quality, the gates of all models, stale fits and drift.

    \b
    act     must be mended; the exit code is 1
    watch   good to know; the exit code stays 0

    With --json the output is one object: status (ok, watch, act or unreadable), exit_code,
    database, message (where it is unreadable) and findings, a list of check, status, subject,
    words and remedy.

    \b
    Examples:
      coterie doctor
      coterie doctor --json | jq '.findings[] | select(.status == "act")'
    """
    from coterie.doctor import ACT, OK, WATCH, examine

    try:
        path = find_database(database)
        with open_marts(path, schema, find_manifest()) as marts:
            findings = examine(marts)
    except UnreadableError as error:
        if as_json:
            named = None if database is None else str(database)
            found = {"status": "unreadable", "exit_code": 2, "database": named}
            click.echo(json.dumps({**found, "message": str(error), "findings": []}, indent=2))
            click.get_current_context().exit(2)
        _fail(str(error))
    statuses = {finding.status for finding in findings}
    status = next(s for s in (ACT, WATCH, OK) if s in statuses)
    code = 1 if status == ACT else 0
    if as_json:
        found = {"status": status, "exit_code": code, "database": str(path.resolve())}
        found["findings"] = [finding.as_dict() for finding in findings]
        click.echo(json.dumps(found, indent=2))
        click.get_current_context().exit(code)
    for finding in sorted(findings, key=lambda f: (ACT, WATCH, OK).index(f.status)):
        if finding.status == OK and not show_all:
            continue
        click.echo(f"{finding.status:<6} {finding.check}: {finding.subject}: {finding.words}")
        if finding.remedy:
            click.echo(f"{'':<6} -> {finding.remedy}")
    counted = {s: sum(f.status == s for f in findings) for s in (ACT, WATCH, OK)}
    click.echo(
        f"{counted[OK]} checks are fine, {counted[WATCH]} to watch, {counted[ACT]} to act on."
    )
    click.get_current_context().exit(code)


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Generate a shop whose truth is known, as CSV or Parquet (see coterie demo --help)."""
    from coterie.demo.__main__ import main as write

    write(arguments, prog="coterie demo")


@contextmanager
def _open(database: Path | None, schema: str | None) -> Iterator[Marts]:
    """Open the marts, or end with exit code 2 and the reason."""
    try:
        with open_marts(find_database(database), schema, find_manifest()) as marts:
            yield marts
    except UnreadableError as error:
        _fail(str(error))


def _fail(message: str) -> None:
    click.echo(message, err=True)
    raise click.exceptions.Exit(2)
