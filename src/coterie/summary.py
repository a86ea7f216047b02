"""Print what the marts of a built DuckDB file say: ``coterie summary``."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from coterie.warehouse import Marts, UnreadableError, open_marts

SEGMENTS = """
    select
        segment_name as segment,
        coalesce(cast(customer_count as varchar), 'few') as customers,
        printf('%5.1f %%', 100 * customer_share) as "of customers",
        printf('%5.1f %%', 100 * revenue_share) as "of revenue"
    from {coterie__segment_profiles}
    where segmentation_name = $segmentation
    order by revenue_share desc nulls last, customer_count desc nulls last, segment_name
    limit 12
"""

SCORES = """
    select
        prediction_name as prediction,
        count(*) as customers,
        count(probability) as "with a published probability",
        printf('%.1f %%', 100 * avg(probability)) as "mean probability"
    from {coterie__customer_predictions}
    group by prediction_name
    order by prediction_name
"""

VALUES = """
    select
        value_status as status,
        method,
        count(*) as customers,
        round(sum(predicted_value_365d), 0) as "value in the next year",
        round(avg(predicted_value_365d), 2) as "mean",
        count(expected_next_order_on) as "with a next order",
        count(*) filter (where is_overdue) as overdue
    from {coterie__customer_lifetime_values}
    group by value_status, method
    order by customers desc, method
"""

VERSIONS = """
    select
        model_name as model,
        model_version as version,
        gate_status as gate,
        training_row_count as "rows learnt from",
        gate_reason as why
    from {coterie__model_versions}
    where is_newest or model_version = 'none'
    order by model_name
"""

# What kind a model is of tells a metric that only its kind has.
POOLED = """
    with

    pooled as (

        select *
        from {coterie__model_metrics}
        inner join {coterie__model_versions} using (model_name, model_version)
        where is_newest and origin = 'pooled' and group_name = 'all'

    )
"""

VALUE_METRICS = (
    POOLED
    + """
    select
        model_name as model,
        scorer_name as scorer,
        round(max(metric_value) filter (where metric_name = 'normalised_gini'), 3)
            as "normalised Gini",
        round(max(metric_value) filter (where metric_name = 'mae'), 2) as "mean absolute error",
        round(max(metric_value) filter (where metric_name = 'predicted_over_observed'), 2)
            as "predicted / observed",
        round(max(metric_value) filter (where metric_name = 'top_decile_share'), 3)
            as "share of the top tenth",
        round(max(metric_value) filter (where metric_name = 'interval_coverage'), 3)
            as "in the interval of 80 %"
    from pooled
    group by model_name, scorer_name
    having count(*) filter (where metric_name = 'normalised_gini') > 0
    order by model_name, "normalised Gini" desc
"""
)

METRICS = (
    POOLED
    + """
    select
        model_name as model,
        scorer_name as scorer,
        round(max(metric_value) filter (where metric_name = 'roc_auc'), 3) as "ROC-AUC",
        round(max(metric_value) filter (where metric_name = 'log_loss'), 3) as "log loss",
        round(max(metric_value) filter (where metric_name = 'calibration_error'), 3) as "ECE",
        round(max(metric_value) filter (where metric_name = 'predicted_over_observed'), 2)
            as "predicted / observed",
        round(max(metric_value) filter (where metric_name = 'top_decile_lift'), 1)
            as "top-decile lift"
    from pooled
    group by model_name, scorer_name
    having count(*) filter (where metric_name = 'roc_auc') > 0
    order by model_name, "log loss"
"""
)

QUERIES = """\
-- Who slips away: customers who bought often, but not for long
select customer_id, days_since_last_order, order_count, net_amount
from {coterie__customers}
where rfm_segment_code in ('cant_lose', 'at_risk')
order by net_amount desc limit 10;

-- Who is likely to buy in the next 30 days, and why
select customer_id, round(probability, 3) as probability, reason_1_sentence, reason_2_sentence
from {coterie__customer_predictions}
where score_status = 'scored' order by probability desc, customer_id limit 10;

-- Who is worth most in the next year, within which limits, and when they order next
select customer_id, predicted_value_365d, value_lower_365d, value_upper_365d, expected_next_order_on
from {coterie__customer_lifetime_values}
where value_status = 'scored' order by predicted_value_365d desc, customer_id limit 10;

-- How far to trust it: the model beside its baselines, on dates after those it learnt from
select origin, scorer_name, metric_name, metric_value, interval_lower, interval_upper
from {coterie__model_metrics}
where metric_name in ('roc_auc', 'log_loss', 'predicted_over_observed')
order by metric_name, origin, scorer_name;"""


def summarise(database: Path) -> str:
    """Read the marts of a built database as a page of text.

    Parameters
    ----------
    database : Path
        A DuckDB file in which the package was built. It is opened read-only.

    Returns
    -------
    str
        Segments, published predictions, model quality and queries to try.

    Raises
    ------
    UnreadableError
        If the file cannot be read or holds no mart ``coterie__customers``.
    """
    with open_marts(database) as marts:
        return summarise_marts(marts)


def summarise_marts(marts: Marts) -> str:
    """Read marts as a page of text.

    Parameters
    ----------
    marts : Marts
        Of an open database.

    Returns
    -------
    str
        As `summarise` gives it.
    """

    def table(query: str, **parameters: str) -> str:
        return _as_text(marts.frame(query, **parameters))

    as_of_date, customers = marts.rows(
        "select max(as_of_date), count(*) from {coterie__customers}"
    )[0]
    parts = [f"{customers:,} customers as of {as_of_date}"]
    if marts.has("coterie__segment_profiles"):
        names = marts.rows(
            "select distinct segmentation_name from {coterie__segment_profiles} "
            "order by segmentation_name"
        )
        for (name,) in names:
            parts.append(f"Segments ({name})\n" + table(SEGMENTS, segmentation=name))
    if marts.has("coterie__customer_predictions"):
        parts.append("Predictions\n" + table(SCORES))
    if marts.has("coterie__customer_lifetime_values"):
        parts.append("What customers are worth\n" + table(VALUES))
    if marts.has("coterie__model_versions"):
        parts.append("Models and their gates\n" + table(VERSIONS))
    quality = "Quality of {} on later dates, pooled, beside the baselines\n"
    if marts.has("coterie__customer_predictions"):
        parts.append(quality.format("predictions") + table(METRICS))
    if marts.has("coterie__customer_lifetime_values"):
        parts.append(quality.format("values") + table(VALUE_METRICS))
    plain = {name: relation.replace('"', "") for name, relation in marts.relations.items()}
    parts.append("Four queries to try\n" + _queries(plain))
    parts.append(
        f"The database: {marts.path.resolve()}\n"
        "The same with charts: make report, or coterie report --database FILE"
    )
    return "\n\n".join(parts)


def _queries(relations: Mapping[str, str]) -> str:
    """Give the queries whose marts are built."""
    given = []
    for query in QUERIES.split("\n\n"):
        with contextlib.suppress(KeyError):
            given.append(query.format_map(relations))
    return "\n\n".join(given)


def _as_text(frame: pd.DataFrame) -> str:
    """Lay out a frame as text: words to the left, numbers to the right."""
    is_text = [name for name in frame.columns if pd.api.types.is_string_dtype(frame[name])]
    frame = frame.fillna(dict.fromkeys(is_text, ""))
    words = {
        name: f"{{:<{int(frame[name].str.len().max())}}}".format for name in is_text if len(frame)
    }
    return frame.to_string(index=False, justify="left", formatters=words, na_rep="")


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m coterie.summary", description=__doc__)
    parser.add_argument(
        "database",
        nargs="?",
        type=Path,
        default=Path(os.environ.get("COTERIE_DATABASE", "coterie.duckdb")),
        help="the DuckDB file (default: $COTERIE_DATABASE or coterie.duckdb)",
    )
    try:
        print(summarise(parser.parse_args().database))
    except UnreadableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
