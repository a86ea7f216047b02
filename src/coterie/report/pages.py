"""The report as an HTML page and as Markdown."""

from __future__ import annotations

import html
import re
from typing import Any

import jinja2
from markupsafe import Markup

from coterie import charts
from coterie.report.content import (
    CHART_SEGMENTS,
    MEASURES,
    PREDICTION_METRICS,
    VALUE_METRICS,
    Z_LABELS,
    Content,
    Model,
    Segmentation,
)

#: Metrics that are drawn; the others stand in the table.
DRAWN = ("roc_auc", "log_loss", "top_decile_lift", "normalised_gini", "mae")


def render_html(content: Content) -> str:
    """Write the report as one HTML page.

    Parameters
    ----------
    content : Content

    Returns
    -------
    str
        The page: charts and styles inside, no script, nothing from elsewhere.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing.
    """
    template = _environment(autoescape=True).get_template("report.html.j2")
    page = template.render(
        content=content,
        palette=Markup(charts.palette_css()),
        segmentations=[(one, _segment_charts(one)) for one in content.segmentations],
        prediction_models=[
            (model, _model_charts(model, PREDICTION_METRICS)) for model in content.prediction_models
        ],
        value_models=[
            (model, _model_charts(model, VALUE_METRICS)) for model in content.value_models
        ],
        concentration_chart=_chart(
            charts.value_concentration(content.concentration_frame, MEASURES)
            if len(content.concentration_frame)
            else ""
        ),
        quality_chart=_chart(
            charts.data_quality(content.quality_counts) if len(content.quality_counts) else ""
        ),
    )
    return page.strip() + "\n"


def render_markdown(content: Content) -> str:
    """Write a summary of the report for a pull request.

    Parameters
    ----------
    content : Content

    Returns
    -------
    str
        Markdown with tables, a page long.
    """
    environment = _environment(autoescape=False)
    environment.finalize = _as_markdown
    page = environment.get_template("report.md.j2").render(content=content)
    page = re.sub(r" +$", "", page, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def _environment(autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("coterie.report"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["anchor"] = _anchor
    environment.filters["unescaped"] = Markup
    return environment


def _as_markdown(value: Any) -> Any:
    """Keep what users name from being read as Markdown or HTML."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    value = html.escape(re.sub(r"\s+", " ", value), quote=False).replace("@", "&#64;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", value)


def _anchor(value: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-") or "x"


def _chart(svg: str) -> Markup:
    return Markup(charts.inline(svg))


def _segment_charts(segmentation: Segmentation) -> dict[str, Markup]:
    """Draw the largest segments of a segmentation, and its movements."""
    shown = segmentation.profiles[~segmentation.profiles["is_suppressed"].astype(bool)]
    shown = shown.nlargest(CHART_SEGMENTS, "customer_count", keep="first").sort_index()
    if shown.empty:
        return {}
    title = segmentation.title
    drawn = {
        "sizes": _chart(charts.segment_sizes(shown, title=f"{title}: size and revenue")),
    }
    features = {name: words for name, words in Z_LABELS.items() if shown[name].notna().any()}
    if features:
        drawn["profile"] = _chart(
            charts.profile_heat_map(shown, features, title=f"{title}: what sets them apart")
        )
    if len(segmentation.migrations):
        drawn["movements"] = _chart(
            charts.migration_matrix(
                segmentation.migrations, segmentation.sizes_before, title=f"{title}: movements"
            )
        )
    return drawn


def _model_charts(model: Model, labels: dict[str, str]) -> dict[str, Markup]:
    """Draw the evidence of a model."""
    drawn = {}
    metrics = model.metrics[model.metrics["metric_name"].isin(DRAWN)]
    if len(metrics):
        shown = {name: words for name, words in labels.items() if name in DRAWN}
        drawn["metrics"] = _chart(
            charts.metric_intervals(metrics, shown, title=f"{model.name}: beside its baselines")
        )
    if len(model.calibration):
        drawn["calibration"] = _chart(
            charts.calibration_curve(model.calibration, title=f"{model.name}: calibration")
        )
    if len(model.lift):
        drawn["lift"] = _chart(charts.lift_curve(model.lift, title=f"{model.name}: gain"))
    return drawn
