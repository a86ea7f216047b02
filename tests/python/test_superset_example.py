"""The dashboard of examples/superset names only what the marts' contracts hold."""

import functools
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MARTS = ROOT / "models" / "marts"

# The words of SQL that the charts' expressions use; whatever else stands there is a column.
SQL_WORDS = set(
    re.findall(
        r"\w+",
        "and as between case cast count else end false from in is like max min not null or replace"
        " strftime sum then true varchar when",
    )
)


@pytest.fixture(scope="module")
def example():
    folder = str(ROOT / "examples" / "superset")
    sys.path.insert(0, folder)
    try:
        import bootstrap
        import dashboard
    finally:
        sys.path.remove(folder)
    yield bootstrap, dashboard
    for name in ("bootstrap", "dashboard"):
        sys.modules.pop(name)


@functools.cache
def contract_columns(mart):
    [model] = yaml.safe_load((MARTS / f"{mart}.yml").read_text())["models"]
    assert model["config"]["contract"]["enforced"]
    return {column["name"] for column in model["columns"]}


def named_columns(expression):
    words = re.findall(r"[a-z_][a-z0-9_]*", re.sub(r"'[^']*'", " ", expression.lower()))
    return set(words) - SQL_WORDS


def test_the_columns_of_an_expression_are_found():
    expression = "case when is_overdue and net_amount > 3 then 'not a column' else method end"
    assert named_columns(expression) == {"is_overdue", "net_amount", "method"}


def test_every_dataset_is_a_mart_and_is_used(example):
    _, dashboard = example
    assert {chart.dataset for chart in dashboard.CHARTS} == set(dashboard.DATASETS)
    for mart in dashboard.DATASETS:
        assert (MARTS / f"{mart}.sql").exists()


def test_every_chart_names_columns_of_its_contract(example):
    _, dashboard = example
    for chart in dashboard.CHARTS:
        assert chart.sql
        for expression in chart.sql:
            unknown = named_columns(expression) - contract_columns(chart.dataset)
            assert not unknown, f"{chart.name}: {chart.dataset} has no {unknown}"


def test_the_filter_stands_on_a_column_of_its_mart(example):
    _, dashboard = example
    assert dashboard.FILTER["column"] in contract_columns(dashboard.FILTER["dataset"])


def test_charts_are_told_apart_and_fill_their_rows(example):
    _, dashboard = example
    names = [chart.name for chart in dashboard.CHARTS]
    assert len(set(names)) == len(names)
    for row in {chart.row for chart in dashboard.CHARTS}:
        assert sum(chart.width for chart in dashboard.CHARTS if chart.row == row) == 12


def in_memory(superset_class):
    """Superset without a server: keeps what it is sent, and adds of its own what Superset adds."""

    class InMemory(superset_class):
        def __init__(self, held):
            self.held, self.counts = held, Counter()

        def find(self, resource, **wanted):
            for number, row in self.held.setdefault(resource, {}).items():
                if all(row[name] == value for name, value in wanted.items()):
                    return number
            return None

        def call(self, method, path, body=None):
            resource, number, *_ = [*path.split("/"), ""]
            rows = self.held.setdefault(resource, {})
            if method == "POST":
                number = 1 + sum(map(len, self.held.values()))
                rows[number] = {"json_metadata": None, "position_json": None} | body
                return {"id": number}
            if path.endswith("/charts"):
                charts = self.held["chart"].items()
                rows = [
                    {"id": chart, "form_data": json.loads(held["params"])} for chart, held in charts
                ]
                return {"result": rows}
            if method == "DELETE":
                return rows.pop(int(number))
            row = rows[int(number)]
            if method == "PUT":
                row.update(body)
            answer = dict(row)
            if resource == "dataset":
                columns = contract_columns(row["table_name"])
                answer["columns"] = [{"column_name": name} for name in sorted(columns)]
            if resource == "chart":
                answer["dashboards"] = [{"id": number} for number in row["dashboards"]]
            if resource == "dashboard" and row["json_metadata"]:
                added = {"chart_configuration": {}}
                answer["json_metadata"] = json.dumps(json.loads(row["json_metadata"]) | added)
            return {"result": answer}

    return InMemory


def bring_up(bootstrap, superset):
    database = bootstrap.keep_database(superset, Path("/shop.duckdb"))
    datasets = bootstrap.keep_datasets(superset, database, "main_coterie")
    bootstrap.keep_dashboard(superset, datasets)
    return dict(+superset.counts)


def test_a_second_run_changes_nothing_and_mends_what_was_changed(example):
    bootstrap, dashboard = example
    superset_class = in_memory(bootstrap.Superset)
    held = {}
    count = 2 + len(dashboard.DATASETS) + len(dashboard.CHARTS)
    assert bring_up(bootstrap, superset_class(held)) == {"created": count}
    before = json.dumps(held)
    assert bring_up(bootstrap, superset_class(held)) == {"unchanged": count}
    assert json.dumps(held) == before

    chart = next(iter(held["chart"].values()))
    chart["description"] = "Something else."
    assert bring_up(bootstrap, superset_class(held)) == {"changed": 1, "unchanged": count - 1}
    assert json.dumps(held) == before


def test_a_chart_that_is_gone_is_removed_and_those_of_others_stay(example):
    bootstrap, _ = example
    superset_class = in_memory(bootstrap.Superset)
    held = {}
    bring_up(bootstrap, superset_class(held))
    old = {"slice_name": "Old", "params": json.dumps({bootstrap.MARK: True})}
    theirs = {"slice_name": "Theirs", "params": "{}"}
    held["chart"] |= {1000: old, 1001: theirs}
    assert bring_up(bootstrap, superset_class(held))["removed"] == 1
    assert 1000 not in held["chart"]
    assert 1001 in held["chart"]


def test_only_segmented_charts_follow_the_filter(example):
    bootstrap, dashboard = example
    superset = in_memory(bootstrap.Superset)({})
    bring_up(bootstrap, superset)
    [board] = superset.held["dashboard"].values()
    [native_filter] = json.loads(board["json_metadata"])["native_filter_configuration"]
    charts = superset.held["chart"]
    reached = {charts[number]["slice_name"] for number in native_filter["chartsInScope"]}
    assert reached == {
        chart.name
        for chart in dashboard.CHARTS
        if "segmentation_name" in contract_columns(chart.dataset)
    }
    assert not set(native_filter["chartsInScope"]) & set(native_filter["scope"]["excluded"])
