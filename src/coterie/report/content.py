"""What stands in the report: read from the marts, put into words and numbers."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import coterie
from coterie.doctor import Finding, examine
from coterie.warehouse import Marts

SEGMENTATION_TITLES = {
    "default": "Clusters",
    "rfm": "Recency, frequency, monetary value",
    "interest": "Interests",
    "demographic": "Demographics",
}

#: Segments that a chart shows; tables show them all.
CHART_SEGMENTS = 16
#: Movements that a table shows.
MOVEMENT_ROWS = 15

Z_LABELS = {
    "z_days_since_last_order": "days since last order",
    "z_order_count_365d": "orders in a year",
    "z_net_amount_365d": "spent in a year",
    "z_avg_net_amount": "size of an order",
    "z_avg_gap_days": "days between orders",
    "z_discount_share": "discounts",
    "z_refund_share": "refunds",
    "z_category_count": "categories",
    "z_session_count_90d": "visits",
    "z_open_share_90d": "messages opened",
}

PREDICTION_METRICS = {
    "roc_auc": "ROC-AUC (more is better)",
    "log_loss": "log loss (less is better)",
    "calibration_error": "calibration error (less is better)",
    "predicted_over_observed": "predicted / observed (1 is right)",
    "top_decile_lift": "lift of the best tenth (more is better)",
}

VALUE_METRICS = {
    "normalised_gini": "normalised Gini (more is better)",
    "mae": "mean absolute error (less is better)",
    "predicted_over_observed": "predicted / observed (1 is right)",
    "top_decile_share": "share of the best tenth",
    "interval_coverage": "inside the interval of 80 %",
}

SCORERS = {
    "base_rate": "base rate",
    "rfm_cell": "RFM cell",
    "bg_nbd": "BG/NBD",
    "nbd": "purchase model",
    "cohort_mean": "mean of cohort",
    "last_period": "last period",
}

MEASURES = {
    "net_amount_365d": "Revenue of the last 365 days",
    "predicted_value_90d": "Value of the next 90 days",
    "predicted_value_365d": "Value of the next 365 days",
}

BANDS = ("very_low", "low", "medium", "high", "very_high")

AUDIENCE_MARTS = (
    "coterie__audiences",
    "coterie__audience_changes",
    "coterie__audience_statuses",
)


#: Stands where there is no number or word to show.
NOTHING = "\N{EN DASH}"


@dataclass
class Table:
    """A table of words: numbers stand to the right.

    Parameters
    ----------
    caption : str
    columns : list of str
    rows : list of list of str
    numbers : frozenset of int
        Which columns hold numbers.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    numbers: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.rows)


@dataclass
class Segmentation:
    """One segmentation: its segments and what has moved."""

    name: str
    title: str
    table: Table
    profiles: pd.DataFrame
    stories: list[tuple[str, str]]
    movement_words: str
    movements: Table
    migrations: pd.DataFrame
    sizes_before: dict[str, int]


@dataclass
class Model:
    """One model of predictions or values: its gate and its evidence."""

    name: str
    gate_status: str
    gate_reason: str
    metrics: pd.DataFrame
    table: Table
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    lift: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass
class Content:
    """All that stands in the report."""

    as_of_date: datetime.date | None
    version: str
    figures: list[tuple[str, str, str]]
    findings: list[Finding]
    segmentations: list[Segmentation]
    previous_date: datetime.date | None
    predictions: Table
    prediction_models: list[Model]
    outcomes: Table
    values: Table
    value_models: list[Model]
    concentration: Table
    concentration_frame: pd.DataFrame
    audiences: Table
    audience_changes: Table
    audience_words: str
    lookalikes: Table
    quality: Table
    quality_counts: pd.DataFrame
    quality_words: str
    gates: Table


def number(value: Any, digits: int = 0) -> str:
    """Write a number with thousands set apart; a dash where there is none."""
    return NOTHING if pd.isna(value) else f"{value:,.{digits}f}"


def percent(value: Any, digits: int = 1) -> str:
    """Write a share as percent."""
    return NOTHING if pd.isna(value) else f"{100 * value:.{digits}f} %"


def change(value: Any) -> str:
    """Write a difference with its sign."""
    if pd.isna(value):
        return NOTHING
    return f"{value:+,.0f}".replace("-", "\N{MINUS SIGN}") if value else "0"


def text(value: Any) -> str:
    """Write anything else; a dash where there is nothing."""
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return NOTHING
    if value is pd.NA:
        return NOTHING
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return str(value)


def gather(marts: Marts) -> Content:
    """Read what stands in the report.

    Parameters
    ----------
    marts : Marts
        Of a built database. Sections of marts that are not built say so.

    Returns
    -------
    Content
    """
    as_of_date = marts.rows("select max(as_of_date) from {coterie__customers}")[0][0]
    previous = _previous_date(marts, as_of_date)
    predictions, prediction_models, outcomes = _predictions(marts)
    values, value_models, concentration, concentration_frame = _values(marts)
    audiences, audience_changes, audience_words, lookalikes = _audiences(marts, as_of_date)
    quality, quality_counts, quality_words = _quality(marts)
    return Content(
        as_of_date=as_of_date,
        version=coterie.__version__,
        figures=_figures(marts),
        findings=examine(marts),
        segmentations=_segmentations(marts, as_of_date, previous),
        previous_date=previous,
        predictions=predictions,
        prediction_models=prediction_models,
        outcomes=outcomes,
        values=values,
        value_models=value_models,
        concentration=concentration,
        concentration_frame=concentration_frame,
        audiences=audiences,
        audience_changes=audience_changes,
        audience_words=audience_words,
        lookalikes=lookalikes,
        quality=quality,
        quality_counts=quality_counts,
        quality_words=quality_words,
        gates=_gates(marts),
    )


def _figures(marts: Marts) -> list[tuple[str, str, str]]:
    customers, active, revenue = marts.rows(
        "select count(*), count(*) filter (where order_count_365d > 0), sum(net_amount_365d) "
        "from {coterie__customers}"
    )[0]
    share = percent(active / customers if customers else None, 0)
    figures = [
        ("Customers", number(customers), f"{number(active)} ordered in 365 days ({share})"),
        ("Revenue", number(revenue), "of the last 365 days, by known customers"),
    ]
    if marts.has("coterie__customer_lifetime_values"):
        value, counted = marts.rows(
            "select sum(predicted_value_365d), count(predicted_value_365d) "
            "from {coterie__customer_lifetime_values}"
        )[0]
        note = f"expected in the next 365 days of {number(counted)} customers"
        figures.append(("Predicted value", number(value), note))
    if marts.has("coterie__model_versions"):
        models, used = marts.rows(
            "select count(distinct model_name), "
            "count(distinct model_name) filter (where is_champion) from {coterie__model_versions}"
        )[0]
        figures.append(("Models in use", f"{used} of {models}", "have passed their gate"))
    if marts.has("coterie__audience_statuses"):
        (members,) = marts.rows("select sum(member_count) from {coterie__audience_statuses}")[0]
        figures.append(("Audience members", number(members), "of all audiences together"))
    if marts.has("coterie__data_quality"):
        act, watch = marts.rows(
            "select count(*) filter (where status = 'act'), "
            "count(*) filter (where status = 'watch') from {coterie__data_quality}"
        )[0]
        figures.append(("Data quality", f"{act} to mend", f"and {watch} to watch"))
    return figures


def _previous_date(marts: Marts, as_of_date: datetime.date | None) -> datetime.date | None:
    if not marts.has("coterie__customer_segment_history"):
        return None
    return marts.rows(
        "select max(valid_from_on) from {coterie__customer_segment_history} "
        "where valid_from_on < $as_of_date",
        as_of_date=as_of_date,
    )[0][0]


def _segmentations(
    marts: Marts, as_of_date: datetime.date | None, previous: datetime.date | None
) -> list[Segmentation]:
    if not marts.has("coterie__segment_profiles"):
        return []
    profiles = marts.frame(
        "select * from {coterie__segment_profiles} "
        "order by segmentation_name, revenue_share desc nulls last, "
        "customer_count desc nulls last, segment_code"
    )
    order = {name: i for i, name in enumerate(SEGMENTATION_TITLES)}
    names = sorted(set(profiles["segmentation_name"]), key=lambda n: (order.get(n, 9), n))
    return [
        _segmentation(
            marts,
            name,
            profiles[profiles["segmentation_name"] == name].reset_index(drop=True),
            as_of_date,
            previous,
        )
        for name in names
    ]


def _segmentation(
    marts: Marts,
    name: str,
    profiles: pd.DataFrame,
    as_of_date: datetime.date | None,
    previous: datetime.date | None,
) -> Segmentation:
    sizes = pd.DataFrame()
    if previous is not None:
        sizes = marts.frame(
            """
            select
                segment_code,
                count(*) filter (
                    where valid_from_on <= $previous
                    and (valid_to_on is null or valid_to_on > $previous)
                ) as before,
                count(*) filter (where valid_to_on is null) as now,
                count(*) filter (
                    where valid_from_on = $as_of_date and previous_segment_code is not null
                ) as moved_in,
                count(*) filter (where valid_to_on = $as_of_date) as moved_out
            from {coterie__customer_segment_history}
            where segmentation_name = $name
            group by segment_code
            """,
            previous=previous,
            as_of_date=as_of_date,
            name=name,
        ).set_index("segment_code")
    columns = ["segment", "customers", "of customers", "of revenue"]
    if previous is not None:
        columns += ["change", "came", "left"]
    columns += ["expected in 365 days, each", "what to do"]
    rows = []
    for _, row in profiles.iterrows():
        few = bool(row["is_suppressed"])
        cells = [
            text(row["segment_name"]),
            "few" if few else number(row["customer_count"]),
            percent(row["customer_share"]),
            percent(row["revenue_share"]),
        ]
        if previous is not None:
            code = row["segment_code"]
            if few or code not in sizes.index:
                cells += [NOTHING, NOTHING, NOTHING]
            else:
                size = sizes.loc[code]
                cells += [
                    change(size["now"] - size["before"]),
                    number(size["moved_in"]),
                    number(size["moved_out"]),
                ]
        cells += [number(row["avg_predicted_value_365d"], 2), text(row["suggested_action"])]
        rows.append(cells)
    migrations, movements, words = _movements(marts, name, as_of_date, previous)
    before = {}
    if previous is not None:
        named = zip(profiles["segment_code"], profiles["segment_name"], strict=True)
        before = {text(words): int(sizes["before"].get(code, 0)) for code, words in named}
    since = f", and what has changed since {previous}" if previous else ""
    return Segmentation(
        name=name,
        title=SEGMENTATION_TITLES.get(name, name.replace("_", " ").capitalize()),
        table=Table(
            f"{SEGMENTATION_TITLES.get(name, name)}: all segments{since}",
            columns,
            rows,
            frozenset(range(1, len(columns) - 1)),
        ),
        profiles=profiles,
        stories=[
            (text(row["segment_name"]), text(row["profile"]))
            for _, row in profiles.iterrows()
            if not row["is_suppressed"]
        ],
        movement_words=words,
        movements=movements,
        migrations=migrations,
        sizes_before=before,
    )


def _movements(
    marts: Marts, name: str, as_of_date: datetime.date | None, previous: datetime.date | None
) -> tuple[pd.DataFrame, Table, str]:
    columns = ["from", "to", "cause", "customers", "their revenue"]
    title = SEGMENTATION_TITLES.get(name, name)
    caption = f"{title}: the largest movements since {previous}"
    nothing = Table(caption, columns, [])
    if not marts.has("coterie__segment_migrations"):
        return pd.DataFrame(), nothing, "coterie__segment_migrations is not built."
    if previous is None:
        words = "Movements are counted from the second date on that the database is built for."
        return pd.DataFrame(), nothing, words
    found = marts.frame(
        "select * from {coterie__segment_migrations} "
        "where segmentation_name = $name and as_of_date = $as_of_date "
        "order by customer_count desc, from_segment_code, to_segment_code, cause",
        name=name,
        as_of_date=as_of_date,
    )
    if found.empty:
        return found, nothing, f"Nobody changed segment since {previous}."
    by_cause = found.groupby("cause")["customer_count"].sum()
    moved, drawn = int(by_cause.get("customer_moved", 0)), int(by_cause.get("definition_moved", 0))
    words = f"{moved:,} customers moved since {previous}"
    words += (
        f"; {drawn:,} are in another segment because its definition moved."
        if drawn
        else "; no definition did."
    )
    rows = [
        [
            text(row["from_segment_name"]),
            text(row["to_segment_name"]),
            text(row["cause"]).replace("_", " "),
            number(row["customer_count"]),
            number(row["net_amount"]),
        ]
        for _, row in found.head(MOVEMENT_ROWS).iterrows()
    ]
    if len(found) > MOVEMENT_ROWS:
        words += f" The {MOVEMENT_ROWS} largest of {len(found)} movements:"
    return found, Table(caption, columns, rows, frozenset({3, 4})), words


def _models(marts: Marts, names: list[str], labels: dict[str, str], caption: str) -> list[Model]:
    """Read gate and evidence of the newest version of each of these models."""
    if not marts.has("coterie__model_versions", "coterie__model_metrics"):
        return []
    versions = marts.frame(
        "select * from {coterie__model_versions} where is_newest or model_version = 'none' "
        "order by model_name"
    ).set_index("model_name")
    metrics = marts.frame(
        """
        select metrics.*
        from {coterie__model_metrics} as metrics
        inner join {coterie__model_versions} using (model_name, model_version)
        where is_newest and origin = 'pooled' and group_name = 'all'
        order by model_name, scorer_name <> 'model', scorer_name, metric_name
        """
    ).replace({"scorer_name": SCORERS})
    curves = pd.DataFrame()
    if marts.has("coterie__model_curves"):
        curves = marts.frame(
            """
            select curves.*
            from {coterie__model_curves} as curves
            inner join {coterie__model_versions} using (model_name, model_version)
            where is_newest
            order by model_name, curve_name, bin
            """
        )
    models = []
    for name in names:
        if name not in versions.index:
            continue
        version = versions.loc[name]
        own = metrics[metrics["model_name"] == name]
        curve = curves[curves["model_name"] == name] if len(curves) else curves
        models.append(
            Model(
                name=name,
                gate_status=text(version["gate_status"]),
                gate_reason=text(version["gate_reason"]),
                metrics=own,
                table=_metric_table(own, labels, caption.format(name)),
                calibration=curve[curve["curve_name"] == "calibration"] if len(curve) else curve,
                lift=curve[curve["curve_name"] == "lift"] if len(curve) else curve,
            )
        )
    return models


def _metric_table(metrics: pd.DataFrame, labels: dict[str, str], caption: str) -> Table:
    shown = [metric for metric in labels if metric in set(metrics["metric_name"])]
    rows = []
    for scorer in dict.fromkeys(metrics["scorer_name"]):
        own = metrics[metrics["scorer_name"] == scorer].set_index("metric_name")
        cells = [scorer]
        for metric in shown:
            if metric not in own.index:
                cells.append(NOTHING)
                continue
            row = own.loc[metric]
            digits = 2 if metric == "mae" else 3
            cell = f"{row['metric_value']:.{digits}f}"
            if not pd.isna(row["interval_lower"]):
                lower, upper = row["interval_lower"], row["interval_upper"]
                cell += f" ({lower:.{digits}f} to {upper:.{digits}f})"
            cells.append(cell)
        rows.append(cells)
    columns = ["scorer", *(labels[metric] for metric in shown)]
    return Table(caption, columns, rows, frozenset(range(1, len(columns))))


def _predictions(marts: Marts) -> tuple[Table, list[Model], Table]:
    bands = [band.replace("_", " ") for band in BANDS]
    columns = ["prediction", "published", "not published", "mean probability", *bands]
    table = Table("Customers by prediction and band", columns, [], frozenset(range(1, 9)))
    outcome_columns = ["prediction", "as of", "band", "customers", "predicted", "happened", "95 %"]
    outcomes = Table(
        "What was published, and what happened", outcome_columns, [], frozenset({3, 4, 5, 6})
    )
    if not marts.has("coterie__customer_predictions"):
        return table, [], outcomes
    found = marts.frame(
        """
        select
            prediction_name,
            max(model_name) as model_name,
            count(probability) as published_count,
            count(*) filter (where probability is null and score_status <> 'not_eligible')
                as withheld_count,
            avg(probability) as mean_probability,
            {bands}
        from {{coterie__customer_predictions}}
        group by prediction_name
        order by prediction_name
        """.format(bands=", ".join(f"count(*) filter (where band = '{b}') as {b}" for b in BANDS))
    )
    for _, row in found.iterrows():
        table.rows.append(
            [
                text(row["prediction_name"]),
                number(row["published_count"]),
                number(row["withheld_count"]),
                percent(row["mean_probability"]),
                *(number(row[band]) for band in BANDS),
            ]
        )
    models = _models(
        marts,
        sorted(set(found["model_name"].dropna())),
        PREDICTION_METRICS,
        "{} beside its baselines, on dates after those it learned from (95 % intervals)",
    )
    if marts.has("coterie__prediction_outcomes"):
        happened = marts.frame(
            """
            select *
            from {coterie__prediction_outcomes}
            where observed_rate is not null
            qualify
                as_of_date = max(as_of_date) over (partition by prediction_name)
            order by
                prediction_name,
                list_position(['very_low', 'low', 'medium', 'high', 'very_high'], band)
            """
        )
        for _, row in happened.iterrows():
            lower, upper = row["observed_rate_lower"], row["observed_rate_upper"]
            outcomes.rows.append(
                [
                    text(row["prediction_name"]),
                    text(row["as_of_date"]),
                    text(row["band"]).replace("_", " "),
                    number(row["customer_count"]),
                    percent(row["predicted_rate"]),
                    percent(row["observed_rate"]),
                    NOTHING if pd.isna(lower) else f"{percent(lower)} to {percent(upper)}",
                ]
            )
    return table, models, outcomes


def _values(marts: Marts) -> tuple[Table, list[Model], Table, pd.DataFrame]:
    columns = ["status", "method", "customers", "next 90 days", "next 365 days", "mean of 365 days"]
    values = Table("What customers are expected to spend", columns, [], frozenset({2, 3, 4, 5}))
    measure_columns = ["measure", "best", "customers", "amount", "of all"]
    concentration = Table(
        "What the best customers hold", measure_columns, [], frozenset({1, 2, 3, 4})
    )
    if marts.has("coterie__customer_lifetime_values"):
        found = marts.rows(
            """
            select
                value_status,
                method,
                count(*),
                sum(predicted_value_90d),
                sum(predicted_value_365d),
                avg(predicted_value_365d)
            from {coterie__customer_lifetime_values}
            group by value_status, method
            order by count(*) desc, value_status, method
            """
        )
        for status, method, customers, quarter, year, mean in found:
            values.rows.append(
                [
                    text(status).replace("_", " "),
                    text(method).replace("_", " "),
                    number(customers),
                    number(quarter),
                    number(year),
                    number(mean, 2),
                ]
            )
    names = ["value_365d", "value_90d"] if values.rows else []
    models = _models(
        marts,
        names,
        VALUE_METRICS,
        "{} beside its baselines, on dates after those it learned from (95 % intervals)",
    )
    frame = pd.DataFrame()
    if marts.has("coterie__value_concentration"):
        frame = marts.frame(
            "select * from {coterie__value_concentration} order by measure, top_share"
        )
        for _, row in frame.iterrows():
            concentration.rows.append(
                [
                    MEASURES.get(row["measure"], text(row["measure"])),
                    percent(row["top_share"], 0),
                    number(row["top_customer_count"]),
                    number(row["top_amount"]),
                    percent(row["amount_share"]),
                ]
            )
    return values, models, concentration, frame


def _audiences(marts: Marts, as_of_date: datetime.date | None) -> tuple[Table, Table, str, Table]:
    status_columns = ["audience", "status", "members", "proposed", "in words"]
    audiences = Table("Audiences", status_columns, [], frozenset({2, 3}))
    change_columns = ["audience", "added", "updated", "removed"]
    changes = Table(f"Changes as of {as_of_date}", change_columns, [], frozenset({1, 2, 3}))
    missing = [name for name in AUDIENCE_MARTS if not marts.has(name)]
    words = ""
    if missing:
        words = (
            f"Not built: {', '.join(missing)}. The topic activation is switched off, or the "
            "package is of an older version."
        )
    if marts.has("coterie__audience_statuses"):
        for code, status, members, proposed, told in marts.rows(
            "select audience_code, status, member_count, proposed_count, words "
            "from {coterie__audience_statuses} order by audience_code"
        ):
            audiences.rows.append(
                [text(code), text(status), number(members), number(proposed), text(told)]
            )
    elif marts.has("coterie__audiences"):
        for code, members in marts.rows(
            "select audience_code, count(*) from {coterie__audiences} group by 1 order by 1"
        ):
            audiences.rows.append([text(code), NOTHING, number(members), NOTHING, NOTHING])
    if marts.has("coterie__audience_changes"):
        for code, *counts in marts.rows(
            """
            select
                audience_code,
                count(*) filter (where action = 'add'),
                count(*) filter (where action = 'update'),
                count(*) filter (where action = 'remove')
            from {coterie__audience_changes}
            where as_of_date = $as_of_date
            group by audience_code
            order by audience_code
            """,
            as_of_date=as_of_date,
        ):
            changes.rows.append([text(code), *(number(count) for count in counts)])
        if not changes.rows and not missing:
            words = f"No audience has changed as of {as_of_date}."
    lookalike_columns = ["audience", "status", "members", "ranked", "ROC-AUC (95 %)", "in words"]
    lookalikes = Table("Lookalikes of your lists", lookalike_columns, [], frozenset({2, 3, 4}))
    if marts.has("coterie__lookalike_audiences"):
        for code, status, members, ranked, auc, lower, upper, told in marts.rows(
            "select audience_code, status, member_count, ranked_customer_count, roc_auc, "
            "roc_auc_lower, roc_auc_upper, words from {coterie__lookalike_audiences} "
            "order by audience_code"
        ):
            cell = NOTHING if auc is None else f"{auc:.3f} ({lower:.3f} to {upper:.3f})"
            lookalikes.rows.append(
                [text(code), text(status), number(members), number(ranked), cell, text(told)]
            )
    return audiences, changes, words, lookalikes


def _quality(marts: Marts) -> tuple[Table, pd.DataFrame, str]:
    columns = ["input", "rule", "status", "what was found"]
    table = Table("Findings", columns, [])
    if not marts.has("coterie__data_quality"):
        return table, pd.DataFrame(), "coterie__data_quality is not built."
    rows = marts.rows(
        "select input_name, rule_name, status, words from {coterie__data_quality} "
        "where status <> 'ok' "
        "order by list_position(['act', 'watch', 'unknown', 'not_mapped'], status), 1, 2"
    )
    for name, rule, status, words in rows:
        table.rows.append([name, text(rule).replace("_", " "), status.replace("_", " "), words])
    counts = marts.frame(
        "select input_name, status, count(*) as rule_count from {coterie__data_quality} "
        "where status <> 'not_mapped' group by all order by all"
    )
    fine = int(counts.loc[counts["status"] == "ok", "rule_count"].sum())
    total = int(counts["rule_count"].sum())
    words = f"{fine} of {total} checks are fine."
    return table, counts, words if rows else words + " There is nothing to tell."


def _gates(marts: Marts) -> Table:
    columns = ["model", "gate", "in use", "fitted as of", "rows learned from", "why"]
    table = Table("The newest version of every model", columns, [], frozenset({4}))
    if not marts.has("coterie__model_versions"):
        return table
    for model, gate, used, fitted, rows, why in marts.rows(
        """
        select
            model_name,
            gate_status,
            bool_or(is_champion) over (partition by model_name),
            fitted_as_of,
            training_row_count,
            gate_reason
        from {coterie__model_versions}
        qualify is_newest or model_version = 'none'
        order by model_name
        """
    ):
        table.rows.append(
            [
                model,
                text(gate).replace("_", " "),
                "yes" if used else "no",
                text(fitted),
                number(rows),
                text(why),
            ]
        )
    return table
