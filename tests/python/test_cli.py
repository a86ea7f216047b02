"""The command line: what it says, what it writes, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import duckdb
import pytest
from click.testing import CliRunner
from marts import write_marts

import coterie
from coterie.cli import main
from coterie.demo.__main__ import main as write_demo
from coterie.warehouse import UnreadableError, find_database, find_manifest, open_marts


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Start in an empty folder, with no database named."""
    for name in ("COTERIE_DATABASE", "DBT_PROFILES_DIR", "DBT_TARGET", "DBT_TARGET_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def database(tmp_path):
    return write_marts(tmp_path / "c.duckdb")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def change(database, statement):
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"set schema = 'main_coterie'; {statement}")


@pytest.mark.parametrize("command", ["report", "summary", "doctor", "demo"])
def test_help_has_examples(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"coterie {command}" in done.output
    assert "xample" in done.output
    assert command in run("--help").output


def test_the_version_is_that_of_the_library():
    assert coterie.__version__ in run("--version").output


def test_demo_takes_the_options_of_the_generator(tmp_path):
    out = tmp_path / "seeds"
    done = run("demo", "--format", "csv", "--customers", 20, "--out", out)
    assert done.exit_code == 0, done.output
    write_demo(["--format", "csv", "--customers", "20", "--out", str(tmp_path / "same")])
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / "same" / path.name).read_bytes()
    assert run("demo").exit_code == 2


def test_doctor_finds_a_sound_build_fine(database):
    done = run("doctor", "--database", database, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert (told["status"], told["exit_code"]) == ("watch", 0)
    assert told["database"] == str(database)
    found = {(f["check"], f["subject"]): f for f in told["findings"]}
    assert all(set(f) == {"check", "status", "subject", "words", "remedy"} for f in found.values())
    assert found["inputs", "events"]["status"] == "watch"
    assert found["inputs", "orders"]["status"] == "ok"
    assert found["data_quality", "orders.freshness"]["words"] == "A bit old."
    assert found["gates", "second_order_90d"]["status"] == "watch"
    assert found["gates", "purchase_30d"]["status"] == "ok"
    assert found["versions", "library"]["status"] == "ok"
    words = run("doctor", "--database", database)
    assert words.exit_code == 0
    assert "0 to act on" in words.output


@pytest.mark.parametrize(
    ("statement", "check", "subject", "remedy"),
    [
        (
            "update coterie__data_quality set status = 'act' where rule_name = 'freshness'",
            *("data_quality", "orders.freshness", "docs/data_quality.md"),
        ),
        (
            "update coterie__model_versions set gate_status = 'miscalibrated', is_champion = false "
            "where model_name = 'purchase_30d'",
            *("gates", "purchase_30d", "coterie__model_curves"),
        ),
        (
            "update coterie__model_versions set gate_status = 'stale' "
            "where model_name = 'value_365d'",
            *("fits", "value_365d", "tag:fit"),
        ),
        (
            "update int_coterie__fit_settings set package_version = '0.0.9'",
            *("versions", "library", "pip install coterie==0.0.9"),
        ),
        ("delete from coterie__customers", "database", "c.duckdb", "coterie__data_quality"),
        ("drop table coterie__data_quality", "marts", "coterie__data_quality", "dbt build"),
    ],
    ids=["data quality", "gate", "stale fit", "versions", "empty", "no mart"],
)
def test_doctor_says_what_to_mend(database, statement, check, subject, remedy):
    change(database, statement)
    done = run("doctor", "--database", database, "--json")
    assert done.exit_code == 1, done.output
    told = json.loads(done.output)
    acts = [f for f in told["findings"] if f["status"] == "act"]
    assert [(f["check"], f["subject"]) for f in acts] == [(check, subject)]
    assert remedy in acts[0]["remedy"]
    assert told["status"] == "act"
    words = run("doctor", "--database", database)
    assert words.exit_code == 1
    assert words.output.startswith(f"act    {check}: {subject}: ")
    assert "1 to act on" in words.output


def test_a_shut_gate_is_bearable_while_an_older_version_is_in_use(database):
    change(
        database,
        "insert into coterie__model_versions by name select * replace "
        "('v0' as model_version, false as is_newest) from coterie__model_versions "
        "where model_name = 'purchase_30d'; update coterie__model_versions set "
        "gate_status = 'miscalibrated', is_champion = false "
        "where model_name = 'purchase_30d' and model_version = 'v1'",
    )
    done = run("doctor", "--database", database, "--json")
    assert done.exit_code == 0
    found = [f for f in json.loads(done.output)["findings"] if f["subject"] == "purchase_30d"]
    assert [(f["check"], f["status"]) for f in found] == [("gates", "watch")]
    assert "older version is in use" in found[0]["words"]


@pytest.mark.parametrize("command", ["doctor", "report", "summary"])
def test_what_cannot_be_read_ends_with_two_and_a_reason(command, tmp_path):
    done = run(command)
    assert done.exit_code == 2
    assert "--database" in done.output
    assert "COTERIE_DATABASE" in done.output

    done = run(command, "--database", tmp_path / "none.duckdb")
    assert done.exit_code == 2
    assert "dbt build" in done.output

    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    done = run(command, "--database", tmp_path / "empty.duckdb")
    assert done.exit_code == 2
    assert "coterie__customers" in done.output

    (tmp_path / "text.duckdb").write_text("customer_id\n" * 1000)
    done = run(command, "--database", tmp_path / "text.duckdb")
    assert done.exit_code == 2
    assert "cannot be opened" in done.output


def test_json_tells_of_an_unreadable_database(tmp_path):
    done = run("doctor", "--json", "--database", tmp_path / "none.duckdb")
    assert done.exit_code == 2
    told = json.loads(done.output)
    assert (told["status"], told["exit_code"], told["findings"]) == ("unreadable", 2, [])
    assert "does not exist" in told["message"]


def test_a_file_that_a_build_holds_is_told(database):
    script = (
        f"import duckdb; c = duckdb.connect({str(database)!r}); print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        done = run("doctor", "--database", database)
    finally:
        holder.communicate("\n", timeout=30)
    assert done.exit_code == 2
    assert "another process" in done.output


def test_report_writes_one_file_and_says_where(database, tmp_path):
    pytest.importorskip("matplotlib")
    done = run("report", "--database", database, "--out", tmp_path / "new" / "r.html")
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "new" / "r.html") in done.output
    written = (tmp_path / "new" / "r.html").read_text(encoding="utf-8")
    assert written.startswith("<!DOCTYPE html>")
    assert run("report", "--database", database, "--out", "-").output == written
    assert run("report", "--database", database).exit_code == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == written


def test_markdown_goes_to_the_standard_output_and_needs_no_matplotlib(database, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("report", "--database", database, "--format", "markdown")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("## Customers as of 2025-10-01")
    page = run("report", "--database", database)
    assert page.exit_code == 2
    assert 'pip install "coterie[report]"' in page.output


def test_the_database_is_that_of_the_environment(database, monkeypatch):
    monkeypatch.setenv("COTERIE_DATABASE", str(database))
    done = run("summary")
    assert done.exit_code == 0, done.output
    assert "40 customers as of 2025-10-01" in done.output


def write_project(folder, path, kind="duckdb"):
    folder.mkdir(exist_ok=True)
    (folder / "dbt_project.yml").write_text("name: shop\nprofile: \"{{ env_var('P', 'shop') }}\"\n")
    (folder / "profiles.yml").write_text(
        textwrap.dedent(f"""
            shop:
              target: "{{{{ env_var('SHOP_TARGET', 'dev') }}}}"
              outputs:
                dev: {{type: {kind}, path: "{path}"}}
        """)
    )
    return folder


def test_the_database_is_that_of_the_profile(tmp_path, monkeypatch):
    project = write_project(tmp_path / "shop", "{{ env_var('SHOP_DB', 'shop.duckdb') }}")
    assert find_database(project=project) == project / "shop.duckdb"
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "other.duckdb"))
    assert find_database(project=project) == tmp_path / "other.duckdb"
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    with pytest.raises(UnreadableError, match="--database"):
        find_database(project=project)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("md:shop", "duckdb"), (":memory:", "duckdb"), ("{{ env_var('NONE') }}", "duckdb")],
)
def test_a_profile_without_a_file_is_refused_with_the_remedy(tmp_path, path, kind):
    project = write_project(tmp_path / "shop", path, kind)
    with pytest.raises(UnreadableError, match="--database"):
        find_database(project=project)


def test_another_engine_names_no_file(tmp_path):
    project = write_project(tmp_path / "shop", "x", "spark")
    with pytest.raises(UnreadableError, match="type duckdb"):
        find_database(project=project)


def test_dbts_manifest_tells_schemas_and_names(tmp_path, monkeypatch):
    project = write_project(tmp_path / "shop", "shop.duckdb")
    write_marts(project / "shop.duckdb", 'Our "Marts"'.replace('"', "'"), names="x_{}")
    monkeypatch.chdir(project)
    assert run("doctor").exit_code == 2, "names that only the manifest knows"

    def node(name):
        return {
            "name": name,
            "schema": "Our 'Marts'",
            "alias": f"x_{name}",
            "package_name": "coterie",
            "resource_type": "model",
        }

    names = ["coterie__customers", "coterie__data_quality", "coterie__lookalikes"]
    (project / "target").mkdir()
    (project / "target" / "manifest.json").write_text(
        json.dumps({"nodes": {name: node(name) for name in names}})
    )
    assert find_manifest(project) == project / "target" / "manifest.json"
    done = run("doctor", "--json")
    assert done.exit_code == 1
    acts = [f for f in json.loads(done.output)["findings"] if f["status"] == "act"]
    assert [f["subject"] for f in acts] == ["coterie__lookalikes"]
    assert acts[0]["remedy"] == "dbt build --select +coterie__lookalikes"
    (project / "target" / "manifest.json").write_text("half a fil")
    assert run("doctor").exit_code == 2


def test_a_schema_is_chosen_where_several_hold_marts(tmp_path):
    path = write_marts(tmp_path / "c.duckdb", "dev_coterie")
    write_marts(path, "prod_coterie")
    change_to = "delete from prod_coterie.coterie__customers where customer_id > 'c09'"
    with duckdb.connect(str(path)) as connection:
        connection.execute(change_to)
    done = run("summary", "--database", path)
    assert done.exit_code == 2
    assert "dev_coterie, prod_coterie" in done.output
    assert "10 customers" in run("summary", "--database", path, "--schema", "prod_coterie").output
    assert "40 customers" in run("summary", "--database", path, "--schema", "dev_coterie").output
    done = run("summary", "--database", path, "--schema", "nowhere")
    assert done.exit_code == 2
    with open_marts(path, "prod_coterie") as marts:
        assert marts.relations["coterie__data_quality"].startswith('"prod_coterie"')


def test_the_database_is_never_written(database):
    before = database.read_bytes()
    for command in (["doctor"], ["summary"], ["report", "--format", "markdown"]):
        assert run(*command, "--database", database).exit_code == 0
    assert database.read_bytes() == before
