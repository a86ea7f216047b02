"""Create the connection, the datasets, the charts and the dashboard in a running Superset.

Everything is found again by its name: what is missing is created, what differs is set right, and
what is alike is left alone, so that a second run changes nothing. Charts that ``dashboard.py`` has
no longer are removed; those that somebody else made stay. Needs only the standard library.

    python bootstrap.py --url http://127.0.0.1:8088 --database ../../coterie.duckdb
"""

import argparse
import http.cookiejar
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from dashboard import CHARTS, DATASETS, FILTER, Chart

HERE = Path(__file__).resolve().parent
DATABASE_NAME = "Coterie"
SLUG = "coterie"
# Stands in the settings of charts that are ours to remove once dashboard.py has them no longer.
MARK = "made_by_coterie_example"
TITLE = "Customers: segments, predictions and how far to trust them"
INTRODUCTION = """\
The filter chooses among segmentations: `rfm`, `default` (clusters), `interest`, `demographic`. \
It reaches the charts by segment. A prediction is shown only where its model has beaten simple \
baselines on past dates; where there is none, the status says why."""


class Superset:
    """A session with Superset's REST interface, logged in as a person would.

    The form and its cookie are used because charts refuse the token of ``/security/login``.

    Parameters
    ----------
    url : str
        Where Superset listens.
    username, password : str
        An account that may create databases.

    Raises
    ------
    PermissionError
        If the account is refused.
    """

    def __init__(self, url: str, username: str, password: str):
        self.url = url.rstrip("/")
        self.csrf_token = ""
        self.counts: Counter[str] = Counter()
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        # No proxy: Superset is on this machine.
        self._opener = urllib.request.build_opener(cookies, urllib.request.ProxyHandler({}))
        self._log_in(username, password)

    def _log_in(self, username: str, password: str) -> None:
        page = self._open("/login/").decode()
        form = {"username": username, "password": password}
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        if token:
            form["csrf_token"] = token.group(1)
        self._open("/login/", urllib.parse.urlencode(form).encode())
        try:
            self.csrf_token = self.call("GET", "security/csrf_token/")["result"]
        except RuntimeError as error:
            raise PermissionError(f"Superset refuses {username}: {error}") from error

    def _open(self, path: str, data: bytes | None = None, **options: Any) -> bytes:
        request = urllib.request.Request(self.url + path, data=data, **options)
        request.add_header("Referer", self.url + "/login/")
        with self._opener.open(request, timeout=120) as response:
            return response.read()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call one address of the interface and return what it answers.

        Parameters
        ----------
        method : str
            HTTP method.
        path : str
            What follows ``/api/v1/``.
        body : dict, optional
            Sent as JSON.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        RuntimeError
            If Superset answers with an error; with its words.
        """
        headers = {"Content-Type": "application/json", "X-CSRFToken": self.csrf_token}
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = self._open("/api/v1/" + path, data, method=method, headers=headers)
        except urllib.error.HTTPError as error:
            words = error.read().decode(errors="replace")[:2000]
            raise RuntimeError(f"{method} {path}: {error.code} {words}") from error
        return json.loads(answer)

    def find(self, resource: str, **wanted: str) -> int | None:
        """Return the number of what has these values, or None.

        Parameters
        ----------
        resource : str
            ``database``, ``dataset``, ``chart`` or ``dashboard``.
        **wanted : str
            Values by column.

        Returns
        -------
        int or None
            Its number.
        """
        # In Rison, an exclamation mark escapes.
        escaped = {name: re.sub(r"([!'])", r"!\1", value) for name, value in wanted.items()}
        filters = ",".join(
            f"(col:{name},opr:eq,value:'{value}')" for name, value in escaped.items()
        )
        query = urllib.parse.quote(f"(filters:!({filters}),page_size:100)")
        found = self.call("GET", f"{resource}/?q={query}")["result"]
        return min((row["id"] for row in found), default=None)

    def keep(self, resource: str, found: int | None, body: dict[str, Any], same: bool) -> int:
        """Create, change or leave one thing, count which of them, and return its number.

        Parameters
        ----------
        resource : str
            ``database``, ``dataset``, ``chart`` or ``dashboard``.
        found : int or None
            Its number, if it exists.
        body : dict
            What it is to be.
        same : bool
            Whether it is that already.

        Returns
        -------
        int
            Its number.
        """
        if found is None:
            self.counts["created"] += 1
            return self.call("POST", f"{resource}/", body)["id"]
        if same:
            self.counts["unchanged"] += 1
        else:
            self.counts["changed"] += 1
            self.call("PUT", f"{resource}/{found}", body)
        return found


def alike(text: str | None, wanted: dict[str, Any]) -> bool:
    """Tell whether JSON text holds these entries; Superset adds some of its own."""
    held = json.loads(text or "{}")
    return all(held.get(key) == json.loads(json.dumps(value)) for key, value in wanted.items())


def keep_database(superset: Superset, path: Path) -> int:
    """Connect the DuckDB file, read-only, and return the connection's number."""
    uri = f"duckdb:///{path}"
    # Read-only, or Superset would keep dbt from writing the file.
    extra = {"engine_params": {"connect_args": {"read_only": True}}}
    body = {
        "database_name": DATABASE_NAME,
        "sqlalchemy_uri": uri,
        "extra": json.dumps(extra),
        "expose_in_sqllab": True,
        "allow_dml": False,
    }
    found = superset.find("database", database_name=DATABASE_NAME)
    same = False
    if found is not None:
        held = superset.call("GET", f"database/{found}/connection")["result"]
        same = held["sqlalchemy_uri"] == uri and alike(held["extra"], extra)
    return superset.keep("database", found, body, same)


def keep_datasets(superset: Superset, database: int, schema: str) -> dict[str, int]:
    """Register the marts and return their numbers by name."""
    numbers = {}
    for mart in DATASETS:
        found = superset.find("dataset", table_name=mart, schema=schema)
        body = {"database": database, "schema": schema, "table_name": mart}
        numbers[mart] = superset.keep("dataset", found, body, same=True)
    return numbers


def column_names(superset: Superset, dataset: int) -> set[str]:
    """Return the columns of a dataset."""
    columns = superset.call("GET", f"dataset/{dataset}")["result"]["columns"]
    return {column["column_name"] for column in columns}


def keep_chart(superset: Superset, chart: Chart, dataset: int, dashboard: int) -> int:
    """Save one chart on the dashboard and return its number."""
    where = {
        "expressionType": "SQL",
        "sqlExpression": chart.where,
        "clause": "WHERE",
        "filterOptionName": "filter_where",
    }
    params = chart.params | {
        MARK: True,
        "viz_type": chart.viz_type,
        "datasource": f"{dataset}__table",
        "adhoc_filters": [where] if chart.where else [],
        "dashboards": [dashboard],
    }
    body = {
        "slice_name": chart.name,
        "description": chart.question,
        "viz_type": chart.viz_type,
        "datasource_id": dataset,
        "datasource_type": "table",
        "params": json.dumps(params),
        "dashboards": [dashboard],
    }
    found = superset.find("chart", slice_name=chart.name)
    same = False
    if found is not None:
        held = superset.call("GET", f"chart/{found}")["result"]
        same = (
            json.loads(held["params"] or "{}") == json.loads(body["params"])
            and held["description"] == chart.question
            and held["viz_type"] == chart.viz_type
            and dashboard in [row["id"] for row in held["dashboards"]]
        )
    return superset.keep("chart", found, body, same)


def layout(numbers: dict[str, int]) -> dict[str, Any]:
    """Return the places of the charts as Superset keeps them.

    Parameters
    ----------
    numbers : dict of str to int
        Numbers of the charts by name.

    Returns
    -------
    dict
        Components by their id.
    """
    places: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": TITLE}},
    }
    rows = []

    def add(kind: str, name: str, parents: list[str], meta: dict[str, Any]) -> str:
        places[name] = {
            "type": kind,
            "id": name,
            "children": [],
            "parents": parents,
            "meta": meta,
        }
        return name

    def add_row(name: str) -> str:
        rows.append(name)
        return add("ROW", name, ["ROOT_ID", "GRID_ID"], {"background": "BACKGROUND_TRANSPARENT"})

    row = add_row("ROW-introduction")
    text = {"code": INTRODUCTION, "width": 12, "height": 10}
    parents = ["ROOT_ID", "GRID_ID", row]
    places[row]["children"].append(add("MARKDOWN", "MARKDOWN-introduction", parents, text))
    for chart in CHARTS:
        row = f"ROW-{chart.row}"
        if row not in places:
            add_row(row)
        number = numbers[chart.name]
        meta = {
            "chartId": number,
            "sliceName": chart.name,
            "width": chart.width,
            "height": chart.height,
        }
        parents = ["ROOT_ID", "GRID_ID", row]
        places[row]["children"].append(add("CHART", f"CHART-{number}", parents, meta))
    places["GRID_ID"] = {
        "type": "GRID",
        "id": "GRID_ID",
        "children": rows,
        "parents": ["ROOT_ID"],
    }
    return places


def settings(
    charts: dict[str, int], datasets: dict[str, int], filtered: set[str]
) -> dict[str, Any]:
    """Return the dashboard's settings, the filter among them.

    Parameters
    ----------
    charts : dict of str to int
        Numbers of the charts by name.
    datasets : dict of str to int
        Numbers of the datasets by mart.
    filtered : set of str
        Marts that have the filter's column.

    Returns
    -------
    dict
        Settings by their key.
    """
    chosen = [FILTER["value"]]
    reached = [charts[chart.name] for chart in CHARTS if chart.dataset in filtered]
    others = [charts[chart.name] for chart in CHARTS if chart.dataset not in filtered]
    condition = {"col": FILTER["column"], "op": "IN", "val": chosen}
    native_filter = {
        "id": "NATIVE_FILTER-segmentation",
        "type": "NATIVE_FILTER",
        "name": FILTER["name"],
        "filterType": "filter_select",
        "description": "Segmentations are never added up: every customer is in each of them.",
        "targets": [
            {"datasetId": datasets[FILTER["dataset"]], "column": {"name": FILTER["column"]}}
        ],
        "controlValues": {
            "enableEmptyFilter": True,
            "defaultToFirstItem": False,
            "multiSelect": False,
            "searchAllOptions": False,
            "inverseSelection": False,
        },
        "defaultDataMask": {
            "extraFormData": {"filters": [condition]},
            "filterState": {"value": chosen, "label": FILTER["value"], "validateStatus": False},
        },
        "cascadeParentIds": [],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": others},
        "chartsInScope": reached,
        "tabsInScope": [],
    }
    return {
        "native_filter_configuration": [native_filter],
        "filter_bar_orientation": "HORIZONTAL",
        "cross_filters_enabled": False,
        "color_scheme": "",
        "refresh_frequency": 0,
    }


def keep_dashboard(superset: Superset, datasets: dict[str, int]) -> int:
    """Save the dashboard with its charts and return its number."""
    found = superset.find("dashboard", slug=SLUG)
    body: dict[str, Any] = {"dashboard_title": TITLE, "slug": SLUG, "published": True}
    number = superset.keep("dashboard", found, body, same=True)
    charts = {
        chart.name: keep_chart(superset, chart, datasets[chart.dataset], number) for chart in CHARTS
    }
    filtered = {
        mart
        for mart, dataset in datasets.items()
        if FILTER["column"] in column_names(superset, dataset)
    }
    for chart in superset.call("GET", f"dashboard/{number}/charts")["result"]:
        if chart["id"] not in charts.values() and chart["form_data"].get(MARK):
            superset.counts["removed"] += 1
            superset.call("DELETE", f"chart/{chart['id']}")
    wanted = settings(charts, datasets, filtered)
    places = layout(charts)
    held = superset.call("GET", f"dashboard/{number}")["result"]
    same = (
        alike(held["json_metadata"], wanted)
        and json.loads(held["position_json"] or "{}") == places
        and held["dashboard_title"] == TITLE
    )
    if not same:
        metadata = json.loads(held["json_metadata"] or "{}") | wanted
        body |= {"json_metadata": json.dumps(metadata), "position_json": json.dumps(places)}
        superset.call("PUT", f"dashboard/{number}", body)
        if found is not None:
            superset.counts["unchanged"] -= 1
            superset.counts["changed"] += 1
    return number


def main() -> None:
    """Read the arguments and bring Superset to what ``dashboard.py`` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=os.environ.get("SUPERSET_URL", "http://127.0.0.1:8088"))
    parser.add_argument("--username", default=os.environ.get("SUPERSET_ADMIN", "admin"))
    parser.add_argument(
        "--database",
        type=Path,
        default=Path(os.environ.get("COTERIE_DATABASE", HERE.parents[1] / "coterie.duckdb")),
        help="the DuckDB file that dbt has built",
    )
    parser.add_argument(
        "--schema",
        default=os.environ.get("COTERIE_SCHEMA", "main_coterie"),
        help="where the marts are",
    )
    arguments = parser.parse_args()
    if not arguments.database.exists():
        parser.error(f"There is no {arguments.database}: build it first, or name it by --database.")
    password = os.environ.get("SUPERSET_ADMIN_PASSWORD")
    if not password:
        home = Path(os.environ.get("SUPERSET_HOME") or HERE / "local")
        password = (home / "admin_password").read_text().strip()

    superset = Superset(arguments.url, arguments.username, password)
    database = keep_database(superset, arguments.database.resolve())
    datasets = keep_datasets(superset, database, arguments.schema)
    keep_dashboard(superset, datasets)
    words = ("created", "changed", "removed", "unchanged")
    counts = ", ".join(f"{superset.counts[word]} {word}" for word in words)
    print(f"{counts}: {superset.url}/superset/dashboard/{SLUG}/")


if __name__ == "__main__":
    main()
