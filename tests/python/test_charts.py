"""Charts: the same table gives the same bytes, readable by people and by screen readers."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib", reason="charts need matplotlib")

from coterie import charts

SVG = "{http://www.w3.org/2000/svg}"

PROFILES = pd.DataFrame(
    {
        "segment_name": ["Champions", "Spends < $100 & more", "Über 65 \x0b 日本"],
        "customer_share": [0.25, 0.7, np.nan],
        "revenue_share": [0.6, 0.016, np.nan],
        "z_orders": [2.0, -0.3, np.nan],
        "z_amount": [0.0, -1.7, np.nan],
    }
)
MIGRATIONS = pd.DataFrame(
    {
        "from_segment_name": ["Champions", "Champions", "Loyal"],
        "to_segment_name": ["Loyal", "Loyal", "Champions"],
        "cause": ["customer_moved", "definition_moved", "customer_moved"],
        "customer_count": [7, 2, 31],
    }
)
CURVES = pd.DataFrame(
    {
        "predicted_mean": [0.1, 0.4, 0.8],
        "observed_rate": [0.12, 0.35, 0.81],
        "cumulative_share": [0.3, 0.6, 1.0],
        "cumulative_gain": [0.7, 0.9, 1.0],
    }
)
METRICS = pd.DataFrame(
    {
        "scorer_name": ["model", "base_rate", "model"],
        "metric_name": ["roc_auc", "roc_auc", "log_loss"],
        "metric_value": [0.9, 0.5, 0.34],
        "interval_lower": [0.88, np.nan, 0.32],
        "interval_upper": [0.92, np.nan, 0.36],
    }
)
CONCENTRATION = pd.DataFrame(
    {
        "measure": ["net", "net", "value", "value"],
        "top_share": [0.1, 0.2, 0.1, 0.2],
        "amount_share": [0.5, 0.8, 0.4, 0.7],
    }
)
QUALITY = pd.DataFrame(
    {
        "input_name": ["orders", "orders", "events"],
        "status": ["ok", "act", "watch"],
        "rule_count": [14, 1, 2],
    }
)

CHARTS = {
    "segment_sizes": lambda: charts.segment_sizes(PROFILES),
    "profile_heat_map": lambda: charts.profile_heat_map(
        PROFILES, {"z_orders": "orders", "z_amount": "amount"}
    ),
    "migration_matrix": lambda: charts.migration_matrix(MIGRATIONS, {"Champions": 100}),
    "calibration_curve": lambda: charts.calibration_curve(CURVES),
    "lift_curve": lambda: charts.lift_curve(CURVES),
    "metric_intervals": lambda: charts.metric_intervals(
        METRICS, {"roc_auc": "ROC-AUC", "log_loss": "log loss", "mae": "absent"}
    ),
    "value_concentration": lambda: charts.value_concentration(
        CONCENTRATION, {"value": "Value", "net": "Revenue"}
    ),
    "data_quality": lambda: charts.data_quality(QUALITY),
    "lines": lambda: charts.lines(
        pd.DataFrame({"a": [1.0, 2.0], "b": [1.5, 1.8]}),
        {"a": "expected", "b": "actual"},
        title="Orders",
        x_label="before",
        y_label="after",
        points=["b"],
    ),
}


@pytest.fixture(scope="module")
def drawn():
    return {name: draw() for name, draw in CHARTS.items()}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_well_formed_and_says_what_it_shows(drawn, name):
    root = ElementTree.fromstring(drawn[name])
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    told = {element.get("id"): element.text for element in root if element.get("id")}
    title, description = root.get("aria-labelledby").split()
    assert told[title].strip()
    assert len(told[description]) > 10
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert told[title] in texts, "the title is drawn, and text stays text"


@pytest.mark.parametrize("name", CHARTS)
def test_the_same_table_gives_the_same_bytes(drawn, name):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.hashsalt": "another"}):
        assert CHARTS[name]() == drawn[name]


@pytest.mark.parametrize("name", CHARTS)
def test_every_colour_turns_with_the_mode(drawn, name):
    body = drawn[name].split("</style>")[1]
    assert not re.search(r"(fill|stroke|color)[:=\" ]+#", body), "a colour that is no variable"
    used = set(re.findall(r"var\(--c-([a-z0-9-]+)\)", body))
    assert used <= set(charts.PALETTE)
    assert "prefers-color-scheme: dark" in drawn[name]


def test_charts_of_one_page_share_no_ids_and_ask_for_nothing(drawn):
    page = "".join(charts.inline(svg) for svg in drawn.values())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', page)) <= set(ids)
    assert "http" not in page
    assert "<style" not in page


def test_descriptions_have_the_numbers(drawn):
    def description(name):
        return ElementTree.fromstring(drawn[name]).find(f"{SVG}desc").text

    assert "Champions: 25 % of customers, 60 % of revenue" in description("segment_sizes")
    assert "Über 65 日本: not shown of customers" in description("segment_sizes").replace("  ", " ")
    assert "Spends < $100 & more: amount -1.7" in description("profile_heat_map")
    assert "40 customers moved" in description("migration_matrix")
    moved = "31 from Loyal to Champions; 9 from Champions to Loyal"
    assert moved in description("migration_matrix")
    assert "10 % and 12 %; 40 % and 35 %" in description("calibration_curve")
    assert "70 % in 30 %" in description("lift_curve")
    assert "ROC-AUC: model 0.900 (0.880 to 0.920), base_rate 0.500" in description(
        "metric_intervals"
    )
    assert "absent" not in description("metric_intervals")
    assert "Value: 40 % with the best 10 %, 70 % with the best 20 %" in description(
        "value_concentration"
    )
    assert "orders: 14 ok, 1 act" in description("data_quality")


def test_cells_carry_their_numbers_and_hidden_ones_none(drawn):
    texts = [
        element.text
        for element in ElementTree.fromstring(drawn["profile_heat_map"]).iter(f"{SVG}text")
    ]
    cells = [text for text in texts if re.fullmatch(r"[+\N{MINUS SIGN}]\d\.\d|·", text)]
    assert cells == ["+2.0", "+0.0", "\N{MINUS SIGN}0.3", "\N{MINUS SIGN}1.7", "·", "·"]


def test_a_chart_of_nothing_is_drawn():
    assert ElementTree.fromstring(charts.segment_sizes(PROFILES.head(0))) is not None
    assert ElementTree.fromstring(charts.segment_sizes(PROFILES.tail(1))) is not None


def _luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(first: str, second: str) -> float:
    """Contrast ratio of WCAG 2."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_textbook():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_and_lines_can_be_read_in_both_modes(mode):
    colors = {name: pair[mode] for name, pair in charts.PALETTE.items()}
    pairs = [(name, "paper") for name in ("ink", "faint", *charts.SERIES)]
    pairs += [(name, name[3:]) for name in colors if name.startswith("on-") and name[3:] in colors]
    pairs += [("on-series", name) for name in (*charts.STATUS_SERIES.values(), *charts.SERIES)]
    for above, below in pairs:
        assert contrast(colors[above], colors[below]) >= 4.5, (above, below)


def test_marks_of_colours_differ():
    marks = [light for light, _ in charts.PALETTE.values()]
    for first, second in itertools.combinations(marks, 2):
        assert first != second
