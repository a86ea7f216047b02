"""What the dashboard shows: marts, charts and their places. Data only; ``bootstrap.py`` sends it.

Expressions are SQL over the columns of one mart; a test holds each to the mart's contract.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

DATASETS = (
    "coterie__customers",
    "coterie__segment_profiles",
    "coterie__customer_segment_memberships",
    "coterie__customer_predictions",
    "coterie__model_metrics",
    "coterie__customer_lifetime_values",
    "coterie__value_concentration",
    "coterie__segment_migrations",
    "coterie__data_quality",
)

# The one filter of the dashboard. It reaches the charts over marts with its column.
FILTER = {
    "name": "Segmentation",
    "dataset": "coterie__segment_profiles",
    "column": "segmentation_name",
    "value": "rfm",
}


@dataclass(frozen=True)
class Chart:
    """One chart and its place.

    Parameters
    ----------
    name : str
        Title; charts are found again by it.
    dataset : str
        Mart that it reads.
    viz_type : str
        Superset's name of the kind of chart.
    question : str
        What it answers; its description.
    params : dict
        Settings as Superset's explorer would save them.
    where : str
        SQL condition on the mart's rows, or empty.
    row : int
        Row of the dashboard, from 0.
    width : int
        Columns of the row's twelve.
    height : int
        Height in units of 8 pixels.
    """

    name: str
    dataset: str
    viz_type: str
    question: str
    params: dict[str, Any]
    where: str = ""
    row: int = 0
    width: int = 6
    height: int = 50
    sql: tuple[str, ...] = field(init=False)

    def __post_init__(self):
        expressions = [self.where] if self.where else []
        expressions += list(_expressions(self.params))
        object.__setattr__(self, "sql", tuple(expressions))


def _expressions(value: Any):
    if isinstance(value, dict):
        if "sqlExpression" in value:
            yield value["sqlExpression"]
        yield from value.get("all_columns", [])
        yield from (json.loads(order)[0] for order in value.get("order_by_cols", []))
        for part in value.values():
            yield from _expressions(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _expressions(part)


def metric(label: str, expression: str) -> dict[str, Any]:
    """Return an aggregate under a name."""
    return {
        "expressionType": "SQL",
        "sqlExpression": expression,
        "label": label,
        "hasCustomLabel": True,
        "optionName": "metric_" + re.sub(r"\W+", "_", label.lower()),
    }


def column(label: str, expression: str) -> dict[str, Any]:
    """Return an expression over a row under a name."""
    return {"expressionType": "SQL", "sqlExpression": expression, "label": label}


def bars(x: dict[str, Any], *metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the settings of a bar chart, by default ordered by the first metric, largest first.

    Parameters
    ----------
    x : dict
        The bars, a `column`.
    *metrics : dict
        Their lengths.
    **more
        Further settings of Superset, over these.
    """
    horizontal = more.get("orientation", "horizontal") == "horizontal"
    return {
        "x_axis": x,
        "xAxisForceCategorical": True,
        "metrics": list(metrics),
        "groupby": [],
        "orientation": "horizontal",
        # Horizontal bars are drawn from the bottom, so that ascending puts the largest on top.
        "x_axis_sort": metrics[0]["label"],
        "x_axis_sort_asc": horizontal,
        "row_limit": 100,
        "truncate_metric": True,
        "show_value": True,
        "show_legend": False,
        "y_axis_format": ",d",
        "color_scheme": "supersetColors",
        "rich_tooltip": True,
        "zoomable": False,
        "x_axis_title": "",
        "y_axis_title": "",
        "extra_form_data": {},
    } | more


SEGMENT = column("Segment", "segment_name")

CHARTS = (
    Chart(
        name="Customers by segment",
        dataset="coterie__customer_segment_memberships",
        viz_type="echarts_timeseries_bar",
        question="How many customers are in each segment?",
        params=bars(SEGMENT, metric("Customers", "count(customer_id)")),
        row=0,
        width=6,
        height=46,
    ),
    Chart(
        name="Revenue of the last year by segment",
        dataset="coterie__segment_profiles",
        viz_type="echarts_timeseries_bar",
        question="What did each segment spend in the RFM look-back, 365 days by default?",
        params=bars(
            SEGMENT,
            metric("Revenue", "sum(net_amount)"),
            y_axis_format=".3~s",
        ),
        where="not is_suppressed",
        row=0,
        width=6,
        height=46,
    ),
    Chart(
        name="Predicted value per customer by segment",
        dataset="coterie__segment_profiles",
        viz_type="echarts_timeseries_bar",
        question="What is a customer of each segment expected to spend in the next 365 days?",
        params=bars(
            SEGMENT,
            metric("Predicted value, 365 days", "max(avg_predicted_value_365d)"),
        ),
        where="not is_suppressed and avg_predicted_value_365d is not null",
        row=1,
        width=6,
        height=46,
    ),
    Chart(
        name="Customers by probability of an order in 30 days",
        dataset="coterie__customer_predictions",
        viz_type="echarts_timeseries_bar",
        question="How many customers are likely to order? Who has no score, and why?",
        params=bars(
            column(
                "Band",
                "case band when 'very_low' then '1 very low' when 'low' then '2 low'"
                " when 'medium' then '3 medium' when 'high' then '4 high'"
                " when 'very_high' then '5 very high'"
                " else 'no score: ' || replace(score_status, '_', ' ') end",
            ),
            metric("Customers", "count(customer_id)"),
            x_axis_sort="Band",
            x_axis_sort_asc=False,
        ),
        where="prediction_name = 'purchase_30d'",
        row=1,
        width=6,
        height=46,
    ),
    Chart(
        name="Customers by recency (across) and frequency (up)",
        dataset="coterie__customers",
        viz_type="heatmap_v2",
        question="How many customers are in each cell of the RFM grid, 5 being the best score?",
        params={
            "x_axis": column("Recency score", "cast(recency_score as varchar)"),
            "groupby": column(
                "Frequency score (5: most often)", "cast(frequency_score as varchar)"
            ),
            "metric": metric("Customers", "count(*)"),
            "normalize_across": "heatmap",
            "sort_x_axis": "alpha_asc",
            "sort_y_axis": "alpha_asc",
            "xscale_interval": -1,
            "yscale_interval": -1,
            "left_margin": "auto",
            "bottom_margin": "auto",
            "linear_color_scheme": "schemeBlues",
            "legend_type": "continuous",
            "show_legend": False,
            "show_values": True,
            "show_percentage": False,
            "value_bounds": [None, None],
            "y_axis_format": ",d",
            "x_axis_time_format": "smart_date",
            "row_limit": 100,
        },
        where="recency_score is not null",
        row=2,
        width=5,
        height=54,
    ),
    Chart(
        name="Movements between segments",
        dataset="coterie__segment_migrations",
        viz_type="sankey_v2",
        question="Between which segments did customers move? Moves of 3 customers or more.",
        params={
            # A segment is both left and entered; without the words the flow would have circles.
            "source": column("From", "'from ' || from_segment_name"),
            "target": column("To", "'to ' || to_segment_name"),
            "metric": metric("Customers", "sum(customer_count)"),
            "row_limit": 100,
            "sort_by_metric": True,
            "color_scheme": "supersetColors",
        },
        where="cause = 'customer_moved' and customer_count >= 3",
        row=2,
        width=7,
        height=54,
    ),
    Chart(
        name="Share held by the best customers",
        dataset="coterie__value_concentration",
        viz_type="echarts_timeseries_bar",
        question="What share of revenue and predicted value hangs on the best tenth and fifth?",
        params=bars(
            column(
                "Measure",
                "case measure when 'net_amount_365d' then 'spent, 365 days'"
                " when 'predicted_value_90d' then 'next 90 days'"
                " else 'next 365 days' end",
            ),
            metric("Share", "max(amount_share)"),
            groupby=[
                column(
                    "Customers",
                    "case when top_share < 0.15 then 'best tenth' else 'best fifth' end",
                )
            ],
            x_axis_sort="Measure",
            show_legend=True,
            legendOrientation="top",
            legendType="scroll",
            y_axis_format=".0%",
            y_axis_bounds=[0, 1],
            truncateYAxis=True,
        ),
        row=3,
        width=5,
        height=44,
    ),
    Chart(
        name="Overdue customers of the highest value",
        dataset="coterie__customer_lifetime_values",
        viz_type="table",
        question="Whose next order is late, and who of them is worth most in the next 365 days?",
        params={
            "query_mode": "aggregate",
            "groupby": [
                column("Customer", "customer_id"),
                column("Expected on", "cast(expected_next_order_on as varchar)"),
            ],
            "metrics": [
                metric("Predicted value", "max(predicted_value_365d)"),
                metric("At least", "max(value_lower_365d)"),
                metric("At most", "max(value_upper_365d)"),
                metric("Still a customer", "max(probability_alive)"),
            ],
            "timeseries_limit_metric": metric("Predicted value", "max(predicted_value_365d)"),
            "order_desc": True,
            "row_limit": 50,
            "page_length": 0,
            "show_cell_bars": False,
            "column_config": {
                "Predicted value": {"d3NumberFormat": ",.0f"},
                "At least": {"d3NumberFormat": ",.0f"},
                "At most": {"d3NumberFormat": ",.0f"},
                "Still a customer": {"d3NumberFormat": ".0%"},
            },
        },
        where="is_overdue and value_status = 'scored' and probability_alive >= 0.5",
        row=3,
        width=7,
        height=44,
    ),
    Chart(
        name="Model quality against baselines, with 95 % intervals",
        dataset="coterie__model_metrics",
        viz_type="table",
        question="How well were past dates ranked by each model, and how well without it?",
        params={
            "query_mode": "raw",
            "all_columns": [
                "model_name",
                "scorer_name",
                "metric_name",
                "metric_value",
                "interval_lower",
                "interval_upper",
                "model_version",
            ],
            "order_by_cols": [
                json.dumps(["model_name", True]),
                json.dumps(["model_version", True]),
                json.dumps(["metric_value", False]),
            ],
            "row_limit": 200,
            "page_length": 0,
            "show_cell_bars": True,
            "column_config": {
                "metric_value": {"d3NumberFormat": ".3f"},
                "interval_lower": {"d3NumberFormat": ".3f", "showCellBars": False},
                "interval_upper": {"d3NumberFormat": ".3f", "showCellBars": False},
            },
        },
        where=(
            "origin = 'pooled' and group_name = 'all'"
            " and metric_name in ('roc_auc', 'normalised_gini')"
        ),
        row=4,
        width=12,
        height=56,
    ),
    Chart(
        name="Data quality: what deserves a look",
        dataset="coterie__data_quality",
        viz_type="table",
        question="What is wrong with the inputs, and what is to be done? What is ok is left out.",
        params={
            "query_mode": "aggregate",
            "groupby": [
                column("Status", "status"),
                column("Input", "input_name"),
                column("Rule", "rule_name"),
                column("What was found", "words"),
            ],
            "metrics": [],
            "timeseries_limit_metric": metric(
                "Urgency",
                "max(case status when 'act' then 3 when 'watch' then 2 when 'unknown' then 1"
                " else 0 end)",
            ),
            "order_desc": True,
            "row_limit": 200,
            "page_length": 0,
            "show_cell_bars": False,
        },
        where="status != 'ok'",
        row=5,
        width=12,
        height=34,
    ),
)
