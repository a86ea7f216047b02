"""Charts of the marts as SVG: the same table gives the same bytes.

Every chart is a whole SVG document that reads well alone: text is text, a title and a description
are there for screen readers, and its colours are variables that turn with the reader's light or
dark mode. `inline` makes one part of a page that sets the variables for all of its charts
(`palette_css`).

Drawn by matplotlib, which the extra ``coterie[report]`` brings.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What each colour is in light and in dark mode. The first of a pair also marks the colour in what
#: matplotlib writes, so no two may be alike. Lines and text have a contrast of at least 4.5 to the
#: paper, words in a cell to their cell.
PALETTE: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "faint": ("#57606a", "#9ea7b3"),
    "grid": ("#d8dee4", "#30363d"),
    "series-1": ("#0b5cad", "#6cb6ff"),
    "series-2": ("#a34700", "#f0a35e"),
    "series-3": ("#1a7346", "#57c785"),
    "series-4": ("#7d3c98", "#c9a0ff"),
    "on-series": ("#fffffe", "#0d1118"),
    # A diverging scale, from far below to far above.
    "below-3": ("#8f3d00", "#f6b26b"),
    "below-2": ("#e8a87c", "#a35a1c"),
    "below-1": ("#f8dfcd", "#4d2f16"),
    "even": ("#f1f3f5", "#21262d"),
    "above-1": ("#d3e4f5", "#16324d"),
    "above-2": ("#86b6e0", "#245f94"),
    "above-3": ("#0a4a8c", "#8cc4ff"),
    "on-below-3": ("#fffffd", "#0d1119"),
    "on-below-2": ("#1f2329", "#fffdff"),
    "on-below-1": ("#1f232a", "#e6edf4"),
    "on-even": ("#1f232b", "#e6edf5"),
    "on-above-1": ("#1f232c", "#e6edf6"),
    "on-above-2": ("#1f232d", "#fdffff"),
    "on-above-3": ("#fffffc", "#0d111a"),
}

SERIES = ("series-1", "series-2", "series-3", "series-4")

#: Edges of the classes of z-scores, and of shares in a matrix of movements.
Z_EDGES = (-1.5, -0.75, -0.25, 0.25, 0.75, 1.5)
Z_CLASSES = ("below-3", "below-2", "below-1", "even", "above-1", "above-2", "above-3")
SHARE_EDGES = (0.02, 0.10, 0.25)
SHARE_CLASSES = ("even", "above-1", "above-2", "above-3")

STATUS_SERIES = {"ok": "series-1", "watch": "series-2", "act": "series-4", "unknown": "faint"}

_FONT = re.compile(r"font-family: [^;\"]*;?\s*")
_WIDTH_INCHES = 5.3
_SCALE = 1.2


def palette_css() -> str:
    """Give the variables of all colours, for light and dark mode and for print.

    Returns
    -------
    str
        CSS rules of the root element, to be put into a page beside `inline` charts.
    """
    light, dark = (
        f":root {{ {' '.join(f'--c-{name}: {pair[mode]};' for name, pair in PALETTE.items())} }}"
        for mode in (0, 1)
    )
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}"


def inline(svg: str) -> str:
    """Make a chart part of an HTML page: without namespaces, paper and colours of its own.

    Parameters
    ----------
    svg : str
        A chart of this module.

    Returns
    -------
    str
        The SVG element. The page must hold `palette_css`.
    """
    svg = re.sub(r"<style>.*?</style>\n?", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<rect class="paper"[^>]*/>\n?', "", svg, count=1)
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)


def segment_sizes(profiles: pd.DataFrame, *, title: str = "Size and revenue of segments") -> str:
    """Draw what share of the customers and of the revenue each segment holds.

    Parameters
    ----------
    profiles : DataFrame
        Columns segment_name, customer_share and revenue_share (0 to 1, or missing where they are
        hidden), as in ``coterie__segment_profiles``; drawn from top to bottom in its order.

    Returns
    -------
    str
        SVG.
    """
    names = _names(profiles["segment_name"])
    shares = {
        "of customers": profiles["customer_share"].astype(float).to_numpy(),
        "of revenue": profiles["revenue_share"].astype(float).to_numpy(),
    }
    described = [
        f"{name}: {_percent(customers)} of customers, {_percent(revenue)} of revenue"
        for name, customers, revenue in zip(names, *shares.values(), strict=True)
    ]
    with _chart(title, "; ".join(described), height=0.9 + 0.42 * len(names)) as chart:
        _bars(chart.axes(), names, shares, _percent)
    return chart.svg


def profile_heat_map(
    profiles: pd.DataFrame, labels: Mapping[str, str], *, title: str = "What sets segments apart"
) -> str:
    """Draw z-scores of features by segment, in seven classes with the number in each cell.

    Parameters
    ----------
    profiles : DataFrame
        Columns segment_name and those of `labels`: how far the mean of the segment lies from that
        of all customers, in standard deviations; missing values stay empty.
    labels : mapping of str to str
        Column to its words.

    Returns
    -------
    str
        SVG.
    """
    names = _names(profiles["segment_name"])
    values = profiles[list(labels)].astype(float).to_numpy()
    described = []
    for name, row in zip(names, values, strict=True):
        order = np.argsort(-np.abs(np.nan_to_num(row)), kind="stable")[:2]
        found = [f"{list(labels.values())[i]} {row[i]:+.1f}" for i in order if not np.isnan(row[i])]
        described.append(f"{name}: {', '.join(found) or 'not shown'}")
    description = (
        "Mean of each segment less that of all customers, in standard deviations; the two largest "
        f"of each: {'; '.join(described)}"
    )
    with _chart(title, description, 7.6, 1.7 + 0.35 * len(names)) as chart:
        _cells(
            chart.axes(),
            names,
            list(labels.values()),
            values,
            [[_class_of(value, Z_EDGES, Z_CLASSES) for value in row] for row in values],
            lambda value: f"{round(value, 1) or 0:+.1f}".replace("-", "\N{MINUS SIGN}"),
        )
    return chart.svg


def migration_matrix(
    migrations: pd.DataFrame, sizes: Mapping[str, int] | None = None, *, title: str = "Movements"
) -> str:
    """Draw how many customers went from where to where between two dates.

    Parameters
    ----------
    migrations : DataFrame
        Columns from_segment_name, to_segment_name and customer_count; rows of the same pair are
        added up.
    sizes : mapping of str to int, optional
        Customers of each segment on the date before, in the order in which they are drawn. Colours
        go by the share of these who moved; without it by the share of those who left.

    Returns
    -------
    str
        SVG.
    """
    counts = migrations.groupby(["from_segment_name", "to_segment_name"])["customer_count"].sum()
    table = counts.unstack(fill_value=0)
    found = sorted({*table.index, *table.columns})
    order = {name: i for i, name in enumerate(sizes or {})}
    everyone = sorted(found, key=lambda name: order.get(name, len(order)))
    table = table.reindex(index=everyone, columns=everyone, fill_value=0)
    values = table.to_numpy(dtype=float).copy()
    whole = np.array([float((sizes or {}).get(name, 0)) for name in everyone])
    whole = np.where(whole > 0, whole, values.sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(whole[:, None] > 0, values / whole[:, None], np.nan)
    values[values == 0] = np.nan
    largest = counts.sort_values(ascending=False, kind="stable").head(5)
    described = [f"{count} from {source} to {to}" for (source, to), count in largest.items()]
    description = (
        f"Rows are where customers were, columns where they are. {int(counts.sum())} customers "
        f"moved; the largest movements: {'; '.join(described)}"
    )
    names = _names(everyone)
    size = 1.8 + 0.35 * len(names)
    with _chart(title, description, max(_WIDTH_INCHES, 2.4 + 0.46 * len(names)), size) as chart:
        axes = chart.axes()
        _cells(
            axes,
            names,
            names,
            values,
            [[_class_of(share, SHARE_EDGES, SHARE_CLASSES) for share in row] for row in shares],
            lambda value: f"{value:,.0f}",
        )
        axes.set_ylabel("from")
        axes.set_xlabel("to", labelpad=2)
        axes.xaxis.set_label_position("top")
    return chart.svg


def calibration_curve(curve: pd.DataFrame, *, title: str = "Predicted and real rates") -> str:
    """Draw the real rate of each bin over the predicted one, with the line of a perfect model.

    Parameters
    ----------
    curve : DataFrame
        Columns predicted_mean and observed_rate, 0 to 1, from the lowest bin to the highest, as
        in ``coterie__model_curves``.

    Returns
    -------
    str
        SVG.
    """
    predicted = curve["predicted_mean"].astype(float).to_numpy()
    observed = curve["observed_rate"].astype(float).to_numpy()
    pairs = zip(predicted, observed, strict=True)
    description = "Predicted and real rate of each tenth: " + "; ".join(
        f"{_percent(expected)} and {_percent(found)}" for expected, found in pairs
    )
    with _chart(title, description, height=3.4) as chart:
        axes = chart.axes()
        limit = 1.05 * max(0.01, float(np.nanmax([*predicted, *observed, 0.0])))
        axes.plot([0, limit], [0, limit], color=_mark("faint"), linestyle=(0, (4, 3)), linewidth=1)
        axes.plot(predicted, observed, color=_mark("series-1"), marker="o", markersize=5)
        _corner(axes, "dashed: as predicted")
        axes.set_xlim(0, limit)
        axes.set_ylim(0, limit)
        _percent_axes(axes, "predicted", "happened")
    return chart.svg


def lift_curve(curve: pd.DataFrame, *, title: str = "How many are found from the top") -> str:
    """Draw the share of the outcomes found over the share of the customers contacted.

    Parameters
    ----------
    curve : DataFrame
        Columns cumulative_share and cumulative_gain, 0 to 1, from the highest probabilities down.

    Returns
    -------
    str
        SVG.
    """
    shares = np.r_[0.0, curve["cumulative_share"].astype(float).to_numpy()]
    gains = np.r_[0.0, curve["cumulative_gain"].astype(float).to_numpy()]
    pairs = list(zip(shares, gains, strict=True))[1:]
    description = "Share of the outcomes found among the best: " + "; ".join(
        f"{_percent(gain)} in {_percent(share)}" for share, gain in pairs
    )
    with _chart(title, description, height=3.4) as chart:
        axes = chart.axes()
        axes.plot([0, 1], [0, 1], color=_mark("faint"), linestyle=(0, (4, 3)), linewidth=1)
        axes.plot(shares, gains, color=_mark("series-1"), marker="o", markersize=5)
        _corner(axes, "dashed: by chance")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.03)
        _percent_axes(axes, "of the customers, best first", "of the outcomes found")
    return chart.svg


def metric_intervals(
    metrics: pd.DataFrame, labels: Mapping[str, str], *, title: str = "The model beside baselines"
) -> str:
    """Draw metrics of several scorers with their intervals, one panel each metric.

    Parameters
    ----------
    metrics : DataFrame
        Columns scorer_name, metric_name, metric_value, interval_lower and interval_upper, as in
        ``coterie__model_metrics``; one row a pair. Without an interval a point stands alone.
    labels : mapping of str to str
        The metrics to draw, and their words.

    Returns
    -------
    str
        SVG.
    """
    shown = {
        metric: metrics[metrics["metric_name"] == metric].set_index("scorer_name")
        for metric in labels
    }
    shown = {metric: rows for metric, rows in shown.items() if len(rows)}
    described = []
    for metric, rows in shown.items():
        found = [
            f"{scorer} {_interval(row.metric_value, row.interval_lower, row.interval_upper)}"
            for scorer, row in rows.iterrows()
        ]
        described.append(f"{labels[metric]}: {', '.join(found)}")
    heights = [0.55 + 0.24 * len(rows) for rows in shown.values()]
    with _chart(title, "; ".join(described), height=0.4 + sum(heights)) as chart:
        panels = chart.panels(heights)
        for axes, (metric, rows) in zip(panels, shown.items(), strict=True):
            places = np.arange(len(rows))
            for place, (scorer, row) in zip(places, rows.iterrows(), strict=True):
                color = _mark("series-1" if scorer == "model" else "faint")
                axes.plot(
                    [row["interval_lower"], row["interval_upper"]],
                    [place, place],
                    color=color,
                    linewidth=2,
                )
                marker = "o" if scorer == "model" else "s"
                axes.plot([row["metric_value"]], [place], color=color, marker=marker, markersize=6)
            axes.set_yticks(places, _names(rows.index))
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.margins(x=0.08)
            axes.locator_params(axis="x", nbins=5)
            axes.set_title(labels[metric], loc="left", color=_mark("faint"), fontsize=10, pad=3)
            axes.grid(axis="x", color=_mark("grid"), linewidth=0.8)
    return chart.svg


def value_concentration(
    concentration: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    title: str = "How much hangs on the best customers",
) -> str:
    """Draw the share of each amount that the best customers hold.

    Parameters
    ----------
    concentration : DataFrame
        Columns measure, top_share and amount_share, as in ``coterie__value_concentration``.
    labels : mapping of str to str
        Measure to its words, in the order in which they are drawn.

    Returns
    -------
    str
        SVG.
    """
    table = concentration.pivot_table(
        index="measure", columns="top_share", values="amount_share", aggfunc="first"
    )
    table = table.reindex([measure for measure in labels if measure in table.index]).astype(float)
    names = [labels[measure] for measure in table.index]
    shares = {f"best {_percent(top)}": table[top].to_numpy() for top in table.columns}
    described = [
        f"{name}: "
        + ", ".join(f"{_percent(held[i])} with the {who}" for who, held in shares.items())
        for i, name in enumerate(names)
    ]
    with _chart(title, "; ".join(described), height=0.9 + 0.5 * len(names)) as chart:
        _bars(chart.axes(), names, shares, _percent)
    return chart.svg


def data_quality(counts: pd.DataFrame, *, title: str = "Checks of each input") -> str:
    """Draw how many rules of each input have which status.

    Parameters
    ----------
    counts : DataFrame
        Columns input_name, status (ok, watch, act, unknown) and rule_count.

    Returns
    -------
    str
        SVG.
    """
    table = counts.pivot_table(
        index="input_name", columns="status", values="rule_count", aggfunc="sum", fill_value=0
    )
    table = table.reindex(columns=[name for name in STATUS_SERIES if name in table.columns])
    described = [
        f"{name}: " + ", ".join(f"{int(count)} {status}" for status, count in row.items() if count)
        for name, row in table.iterrows()
    ]
    with _chart(title, "; ".join(described), height=0.9 + 0.28 * len(table)) as chart:
        axes = chart.axes()
        places = np.arange(len(table))
        start = np.zeros(len(table))
        for status in table.columns:
            widths = table[status].to_numpy(dtype=float)
            axes.barh(
                places,
                widths,
                left=start,
                height=0.72,
                color=_mark(STATUS_SERIES[status]),
                edgecolor=_mark("paper"),
                label=status,
            )
            for place, left, width in zip(places, start, widths, strict=True):
                if width:
                    axes.text(
                        *(left + width / 2, place, f"{width:.0f}"),
                        color=_mark("on-series"),
                        va="center",
                        ha="center",
                        fontsize=9,
                    )
            start = start + widths
        axes.set_yticks(places, _names(table.index))
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xticks([])
        _legend(axes)
    return chart.svg


def lines(
    table: pd.DataFrame,
    labels: Mapping[str, str],
    *,
    title: str,
    x_label: str,
    y_label: str,
    points: Sequence[str] = (),
) -> str:
    """Draw columns over the index: as lines, and those of `points` as points.

    Parameters
    ----------
    table : DataFrame
        Numbers over a numeric index.
    labels : mapping of str to str
        Column to its words; at most four.
    points : sequence of str, optional
        Columns to draw as points.

    Returns
    -------
    str
        SVG.
    """
    described = [
        f"{words}: " + ", ".join(f"{x} {value:.2f}" for x, value in table[name].items())
        for name, words in labels.items()
    ]
    description = f"{y_label} by {x_label}. {'; '.join(described)}"
    with _chart(title, description, 6.4, 3.8) as chart:
        axes = chart.axes()
        dashes = iter(["-", (0, (5, 3)), (0, (1, 2)), "-."])
        for (name, words), series in zip(labels.items(), SERIES, strict=False):
            if name in points:
                style: dict[str, Any] = {"color": _mark("ink"), "marker": "o", "linestyle": "none"}
            else:
                style = {"color": _mark(series), "linestyle": next(dashes), "linewidth": 2}
            axes.plot(table.index, table[name], label=words, **style)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(axis="y", color=_mark("grid"), linewidth=0.8)
        _legend(axes)
    return chart.svg


class _Chart:
    """A figure while it is drawn; `svg` once it is done."""

    def __init__(self, figure: Figure):
        self.figure = figure
        self.svg = ""

    def axes(self) -> Axes:
        return self.panels([1.0])[0]

    def panels(self, heights: Sequence[float]) -> list[Axes]:
        found = self.figure.subplots(len(heights), 1, squeeze=False, height_ratios=list(heights))
        for axes in found[:, 0]:
            for side in ("top", "right", "left"):
                axes.spines[side].set_visible(False)
            axes.spines["bottom"].set_color(_mark("grid"))
            axes.tick_params(length=0, labelcolor=_mark("ink"))
            axes.set_axisbelow(True)
        return list(found[:, 0])


@contextmanager
def _chart(
    title: str, description: str, width: float = _WIDTH_INCHES, height: float = 3.0
) -> Iterator[_Chart]:
    """Set up a figure, and write it as SVG when it is drawn."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'Charts need matplotlib: pip install "coterie[report]"', name=error.name
        ) from None
    title, description = _clean(title), _clean(description)
    settings = {
        "axes.edgecolor": _mark("grid"),
        "axes.facecolor": "none",
        "axes.labelcolor": _mark("faint"),
        "axes.labelsize": 10,
        "figure.facecolor": "none",
        "figure.constrained_layout.use": True,
        "font.family": "DejaVu Sans",
        "font.size": 10.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "coterie",
        "text.color": _mark("ink"),
        # A name such as "over $100 or $200" is no formula.
        "text.parse_math": False,
        "xtick.color": _mark("faint"),
        "xtick.labelsize": 10,
    }
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Whatever else the process draws with, ours look alike.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        # Readers' fonts draw the text; that ours lacks a letter is no matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(width, height))
        chart = _Chart(figure)
        yield chart
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    chart.svg = _finish(buffer.getvalue(), title, description)


def _finish(svg: str, title: str, description: str) -> str:
    """Turn what matplotlib wrote into a chart that reads well: see the module."""
    svg = svg[svg.index("<svg") :]
    # Charts of a page must not share ids.
    name = "c" + hashlib.md5((title + svg).encode(), usedforsecurity=False).hexdigest()[:10]
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    for color, (light, _) in PALETTE.items():
        svg = svg.replace(light, f"var(--c-{color})")
    svg = _FONT.sub("", svg)
    # A hundredth of a pixel is enough, and alike on every processor.
    svg = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{round(float(m[0]), 2) or 0:g}", svg)
    svg = re.sub(r"\s*\n\s*(?=[LMQCz\"])", " ", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = svg.replace('xmlns:xlink="http://www.w3.org/1999/xlink" ', "", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    width, height = box[1], box[2]
    # Larger than it was laid out, so that text has about the size of text in the page.
    sizes = [f"{_SCALE * float(size):.0f}" for size in (width, height)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sizes[0]}" height="{sizes[1]}" '
        f'viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" '
        'font-family="system-ui, sans-serif" style="stroke-linejoin: round">\n'
        f'<title id="{name}-title">{html.escape(title)}</title>\n'
        f'<desc id="{name}-desc">{html.escape(description)}.</desc>\n'
        f"<style>\n{palette_css()}\n</style>\n"
        '<rect class="paper" width="100%" height="100%" fill="var(--c-paper)"/>\n'
    )
    svg = head + svg[svg.index(">") + 1 :].lstrip("\n")
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def _mark(color: str) -> str:
    """Give the colour by which matplotlib draws what `_finish` makes a variable."""
    return PALETTE[color][0]


def _clean(text: object) -> str:
    """Leave out what XML forbids, and line breaks."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+", " ", str(text)).strip()


def _names(values: Sequence[object] | pd.Series | pd.Index) -> list[str]:
    """Shorten names to what fits beside an axis."""
    return [textwrap.shorten(_clean(value), 30, placeholder=" …") or "?" for value in values]


def _percent(share: float) -> str:
    if share is None or np.isnan(share):
        return "not shown"
    digits = 1 if 0 < abs(share) < 0.0995 else 0
    return f"{100 * share:.{digits}f} %"


def _interval(value: float, lower: float, upper: float) -> str:
    return f"{value:.3f}" + ("" if np.isnan(lower) else f" ({lower:.3f} to {upper:.3f})")


def _class_of(value: float, edges: Sequence[float], classes: Sequence[str]) -> str:
    return "paper" if np.isnan(value) else classes[int(np.searchsorted(edges, value, side="right"))]


def _bars(
    axes: Axes,
    names: Sequence[str],
    groups: Mapping[str, np.ndarray],
    words: Callable[[float], str],
) -> None:
    """Draw bars side by side, each with its value at its end."""
    places = np.arange(len(names), dtype=float)
    height = 0.8 / max(1, len(groups))
    limit = 1.25 * max((np.nan_to_num(g).max(initial=0.0) for g in groups.values()), default=0) or 1
    for i, ((label, widths), series) in enumerate(zip(groups.items(), SERIES, strict=False)):
        offset = (i - (len(groups) - 1) / 2) * height
        drawn = np.nan_to_num(widths)
        axes.barh(places + offset, drawn, height=0.9 * height, color=_mark(series), label=label)
        for place, width, value in zip(places + offset, drawn, widths, strict=True):
            color = _mark(series if not np.isnan(value) else "faint")
            place_of_words = width + 0.02 * limit
            axes.text(place_of_words, place, words(value), va="center", color=color, fontsize=9.5)
    axes.set_yticks(places, names)
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_xlim(0, limit)
    _legend(axes)


def _cells(
    axes: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    classes: Sequence[Sequence[str]],
    words: Callable[[float], str],
) -> None:
    """Draw a table of coloured cells with their values."""
    from matplotlib.patches import Rectangle

    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if np.isnan(value):
                axes.text(j, i, "·", ha="center", va="center", color=_mark("faint"), fontsize=9)
                continue
            color = classes[i][j]
            axes.add_patch(
                Rectangle((j - 0.48, i - 0.46), 0.96, 0.92, facecolor=_mark(color), linewidth=0)
            )
            axes.text(
                *(j, i, words(value)),
                ha="center",
                va="center",
                color=_mark(f"on-{color}"),
                fontsize=9.5,
            )
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", labelcolor=_mark("ink"), pad=2)
    axes.spines["bottom"].set_visible(False)


def _corner(axes: Axes, words: str) -> None:
    """Say below the curves what the dashed line is."""
    axes.text(*(0.97, 0.06, words), color=_mark("faint"), ha="right", transform=axes.transAxes)


def _percent_axes(axes: Axes, x_label: str, y_label: str) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.locator_params(nbins=6)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(color=_mark("grid"), linewidth=0.8)


def _legend(axes: Axes) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        frameon=False,
        borderpad=0.2,
        handlelength=1.6,
        columnspacing=1.2,
        borderaxespad=0,
        fontsize=10,
    )
