"""The report and the doctor on what dbt has built, and how the page looks in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from harness import Host

from coterie.cli import main
from coterie.report import gather, render_html
from coterie.warehouse import Marts, find_database, find_manifest, open_marts

matplotlib = pytest.importorskip("matplotlib.image", reason="the page has charts")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

#: Reads what a page in a frame of another width holds, and shows it.
FRAME = """<!DOCTYPE html>
<html><head><style>body {{ margin: 0 }} iframe {{ border: 0; display: block }}</style></head>
<body><iframe src="report.html" width="{width}" height="{height}"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const inside = frame.contentDocument;
  const style = frame.contentWindow.getComputedStyle(inside.body);
  document.body.dataset.found = JSON.stringify({{
    scroll: inside.documentElement.scrollWidth,
    background: style.backgroundColor,
    color: style.color,
    sections: [...inside.querySelectorAll("main section")].filter(s => s.offsetHeight > 40).length,
    narrow: [...inside.querySelectorAll("p, h1, h2, h3, dl, nav")]
      .filter(e => e.getBoundingClientRect().right > {width} + 1).length,
    empty: [...inside.querySelectorAll("svg")].filter(s => s.getBoundingClientRect().width < 100)
      .length,
  }});
}};
</script></body></html>
"""


class Links(HTMLParser):
    """The addresses that a page asks for."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        names = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}
        self.found += [value for name, value in attrs if name in names]


@pytest.fixture(scope="module")
def page(every_input: Host) -> str:
    return render_html(read(every_input, gather))


def read(host: Host, function):
    with open_marts(host.database, manifest=find_manifest(host.project)) as marts:
        return function(marts)


def test_the_page_asks_for_nothing_outside_itself(page):
    assert [link for link in Links(page).found if not link.startswith("#")] == []
    assert "http" not in page.replace("http-equiv", "")
    assert len(page) < 2_000_000


def test_numbers_of_the_page_are_those_of_the_marts(every_input, page):
    customers, revenue = every_input.query(
        "select count(*) as n, sum(net_amount_365d) as revenue from {coterie__customers}"
    ).iloc[0]
    assert f'<dd class="value">{customers:,.0f}</dd>' in page
    assert f'<dd class="value">{revenue:,.0f}</dd>' in page
    cells = re.sub(r"\s*\n\s*", "", page)
    segments = every_input.query(
        "select * from {coterie__segment_profiles} where not is_suppressed"
    )
    assert len(segments) > 10
    for _, row in segments.iterrows():
        expected = (
            f'<th scope="row">{row["segment_name"]}</th>'
            f'<td class="number">{row["customer_count"]:,.0f}</td>'
            f'<td class="number">{100 * row["customer_share"]:.1f} %</td>'
            f'<td class="number">{100 * row["revenue_share"]:.1f} %</td>'
        )
        assert expected in cells
    findings = every_input.query("select * from {coterie__data_quality} where status <> 'ok'")
    for words in findings["words"]:
        assert words.replace("'", "&#39;").replace(">", "&gt;").replace("<", "&lt;") in page
    versions = every_input.query("select * from {coterie__model_versions} where is_newest")
    for _, row in versions.iterrows():
        assert f'<th scope="row">{row["model_name"]}</th>' in page
        assert f'<td class="number">{row["training_row_count"]:,}</td>' in page


def test_hidden_figures_stay_hidden(every_input, page):
    hidden = every_input.query("select * from {coterie__segment_profiles} where is_suppressed")
    cells = re.sub(r"\s*\n\s*", "", page)
    for name in hidden["segment_name"]:
        start = f'<th scope="row">{name}</th>'
        if start in cells:
            assert f'{start}<td class="number">few</td>' in cells


def test_the_doctor_agrees_with_the_marts(every_input):
    done = CliRunner().invoke(main, ["doctor", "--json", "--database", str(every_input.database)])
    told = json.loads(done.output)
    acts = [f for f in told["findings"] if f["status"] == "act"]
    act_rules = every_input.value(
        "select count(*) from {coterie__data_quality} where status = 'act'"
    )
    assert len([f for f in acts if f["check"] == "data_quality"]) == act_rules
    assert done.exit_code == (1 if acts else 0)


def test_schemas_that_the_host_names_are_found(own_schemas):
    # Where the profile says, under the names of the manifest.
    assert find_database(project=own_schemas.project).name == own_schemas.database.name

    def look(marts: Marts) -> tuple[bool, str, str]:
        schema = own_schemas.node("coterie__customers")["schema"]
        return marts.has(*marts.expected), schema, marts.relations["coterie__customers"]

    is_whole, schema, relation = read(own_schemas, look)
    assert is_whole, "every mart that is enabled is found"
    assert relation.startswith(f'"{schema}".')
    assert "Customers as of" in render_html(read(own_schemas, gather))


def test_a_shop_without_topics_has_a_report(topics_off):
    found = render_html(read(topics_off, gather))
    for words in ("segments are switched off", "values are switched off"):
        assert words in found


@pytest.mark.matrix
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look with")
@pytest.mark.parametrize(
    ("width", "mode"),
    [(1280, "light"), (390, "light"), (1280, "dark"), (390, "dark")],
    ids=["desktop", "phone", "dark desktop", "dark phone"],
)
def test_the_page_can_be_read_on_every_screen(page, tmp_path, width, mode):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, height=2000), encoding="utf-8")
    picture = tmp_path / "page.png"
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--user-data-dir={tmp_path / 'browser'}", "--allow-file-access-from-files"),
        *(f"--window-size={max(width, 500)},2000", "--virtual-time-budget=10000"),
        *(["--blink-settings=preferredColorScheme=0"] if mode == "dark" else []),
    ]

    def browse(*options: str) -> str:
        done = subprocess.run(
            [*command, *options, frame.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    shown = re.search(r'data-found="([^"]*)"', browse("--dump-dom"))
    found = json.loads(shown[1].replace("&quot;", '"'))
    assert found["scroll"] <= width, "the page itself does not scroll sideways"
    assert found["narrow"] == 0
    assert found["empty"] == 0
    assert found["sections"] == 7
    dark = "rgb(13, 17, 23)"
    assert (found["background"] == dark) == (mode == "dark")

    browse(f"--screenshot={picture}")
    pixels = matplotlib.imread(picture)[:, :width, :3]
    is_dark = pixels.mean() < 0.5
    assert is_dark == (mode == "dark")
    assert pixels.std() > 0.05, "something is drawn"


@pytest.mark.matrix
def test_the_command_runs_as_a_module(every_input):
    done = subprocess.run(
        [sys.executable, "-m", "coterie", "summary", "--database", str(every_input.database)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "customers as of" in done.stdout
    assert Path(every_input.database).name in done.stdout
