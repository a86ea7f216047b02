"""The report: numbers of the marts, safely, in one file, with nothing from elsewhere."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import duckdb
import pytest
from marts import HOSTILE, write_marts

pytest.importorskip("matplotlib", reason="the page has charts")

from coterie.report import gather, render_html, render_markdown
from coterie.warehouse import open_marts

SECTIONS = ["segments", "predictions", "value", "audiences", "data-quality", "gates"]


class Page(HTMLParser):
    """What a page asks for, its ids, and its tables by caption."""

    def __init__(self, text: str):
        super().__init__()
        self.asked: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._cell: list[str] | None = None
        self._caption: list[str] | None = None
        self._rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.asked += [given[name] for name in ("src", "href", "srcset", "data") if name in given]
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag == "caption":
            self._caption = []

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)
        if self._caption is not None:
            self._caption.append(data)

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self._cell is not None:
            self._rows[-1].append("".join(self._cell).strip())
            self._cell = None
        elif tag == "caption" and self._caption is not None:
            self.tables["".join(self._caption)] = self._rows
            self._caption = None


def report_of(path):
    with open_marts(path) as marts:
        return gather(marts)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return report_of(write_marts(tmp_path_factory.mktemp("shop") / "c.duckdb", audiences=True))


@pytest.fixture(scope="module")
def text(content):
    return render_html(content)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_asks_for_nothing_outside_itself(page, text):
    assert [asked for asked in page.asked if not asked.startswith("#")] == []
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert not re.search(r"@import|url\((?!#)", text)
    assert "script" not in page.tags


def test_every_section_can_be_reached(page):
    assert [asked[1:] for asked in page.asked if asked[1:] in SECTIONS] == SECTIONS
    assert set(SECTIONS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert page.tags.count(landmark) == 1
    assert page.tags.count("caption") == page.tags.count("table") > 8
    assert page.tags.count("svg") == page.tags.count("title") - 1 == page.tags.count("desc") > 6


def test_names_are_text_and_never_html_or_markdown(content, text):
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    written = render_markdown(content)
    assert "<script" not in written
    assert "@all" not in written
    for line in written.splitlines():
        if line.startswith("| Fans"):
            assert len(re.findall(r"(?<!\\)\|", line)) in {6, 10}


def test_segments_say_what_has_changed(page):
    rows = page.tables[
        "Recency, frequency, monetary value: all segments, and what has changed since 2025-09-01"
    ]
    assert rows[0][:7] == [
        *("segment", "customers", "of customers", "of revenue", "change", "came", "left")
    ]
    # Of 20 good ones 2 left, and 3 came from the 17 bad ones, who got those 2.
    assert rows[1][:7] == [HOSTILE, "22", "55.0 %", "75.0 %", "+1", "3", "2"]
    assert rows[2][:7] == ["Bad", "15", "37.5 %", "25.0 %", "\N{MINUS SIGN}1", "2", "3"]
    assert rows[3][:7] == ["Few", "few", *["\N{EN DASH}"] * 5]


def test_movements_tell_customers_from_definitions(page, content):
    rows = page.tables["Recency, frequency, monetary value: the largest movements since 2025-09-01"]
    assert rows[1:] == [
        ["Bad", HOSTILE, "customer moved", "3", "300"],
        [HOSTILE, "Bad", "definition moved", "2", "200"],
    ]
    assert content.segmentations[0].movement_words == (
        "3 customers moved since 2025-09-01; 2 are in another segment because its definition moved."
    )


def test_models_stand_beside_their_baselines(page):
    rows = page.tables[
        "purchase_30d beside its baselines, on dates after those it learned from (95 % intervals)"
    ]
    assert rows[0] == ["scorer", "ROC-AUC (more is better)", "log loss (less is better)"]
    assert rows[1] == ["model", "0.876 (0.866 to 0.886)", "0.300 (0.290 to 0.310)"]
    assert rows[2] == ["RFM cell", "0.700 (0.690 to 0.710)", "\N{EN DASH}"]
    gates = page.tables["The newest version of every model"]
    assert ["second_order_90d", "insufficient data", "no"] in [row[:3] for row in gates]
    assert page.tables["Customers by prediction and band"][1] == [
        *("purchase_30d", "40", "0", "25.0 %", "0", "0", "40", "0", "0")
    ]


def test_audiences_and_their_changes_are_told(page):
    assert page.tables["Audiences"][1][:4] == ["win_back", "held", "17", "90"]
    assert page.tables["Changes as of 2025-10-01"][1] == ["win_back", "2", "0", "1"]


def test_what_is_not_built_is_said(tmp_path):
    path = write_marts(tmp_path / "c.duckdb")
    with duckdb.connect(str(path)) as connection:
        for name in (
            *("segment_profiles", "segment_migrations", "customer_segment_history"),
            *("model_versions", "model_metrics", "model_curves", "customer_predictions"),
            *("customer_lifetime_values", "value_concentration", "data_quality"),
        ):
            connection.execute(f"drop table main_coterie.coterie__{name}")
    found = render_html(report_of(path))
    for words in (
        "coterie__segment_profiles is not built",
        "coterie__customer_predictions is not built",
        "coterie__customer_lifetime_values is not built",
        "Not built: coterie__audiences, coterie__audience_changes, coterie__audience_statuses",
        "coterie__data_quality is not built",
        "coterie__model_versions is not built",
    ):
        assert words in found
    assert set(SECTIONS) <= set(Page(found).ids)
    assert "coterie\\_\\_audiences" in render_markdown(report_of(path))


def test_a_first_build_has_nothing_to_compare_with(tmp_path):
    path = write_marts(tmp_path / "c.duckdb")
    with duckdb.connect(str(path)) as connection:
        history = "main_coterie.coterie__customer_segment_history"
        connection.execute(f"delete from {history} where valid_from_on < '2025-10-01'")
        connection.execute("delete from main_coterie.coterie__segment_migrations")
    found = report_of(path)
    assert found.previous_date is None
    assert "nothing to compare it with yet" in render_html(found)
    assert "change" not in found.segmentations[0].table.columns


def test_the_same_marts_give_the_same_bytes(content, text):
    assert render_html(content) == text


def test_markdown_is_a_page_of_tables(content):
    written = render_markdown(content)
    assert written.startswith("## Customers as of 2025-10-01\n")
    for heading in ("### Gates", "### Predictions", "### Audiences", "### Data quality"):
        assert f"\n{heading}\n" in written
    assert "| second\\_order\\_90d | insufficient data | no |" in written
    assert "| Bad | 15 | 37.5 % | 25.0 % | \N{MINUS SIGN}1 | 2 | 3 |" in written
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in written.splitlines()]
    for above, below in itertools.pairwise(widths):
        assert above == below or 0 in (above, below), "rows of a table have one width"
