"""What must not be published: labels by chance, too little data, a shop that has changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from harness import Host, edit_package
from shops import FIRST_DAY, simulate_orders

pytestmark = pytest.mark.matrix

OUTCOMES = "models/intermediate/features/int_coterie__customer_outcomes.sql"

#: Each customer gets the outcome of another one of the same date and prediction.
SHUFFLED = """,

numbered as (

    select
        *,
        row_number() over (
            partition by as_of_date, prediction_name, is_eligible order by customer_id
        ) as place,
        row_number() over (
            partition by as_of_date, prediction_name, is_eligible order by md5(customer_id)
        ) as other_place

    from customer_outcomes

)

select
    numbered.* exclude (place, other_place) replace (others.outcome as outcome)

from numbered

inner join numbered as others
    on
        numbered.as_of_date = others.as_of_date
        and numbered.prediction_name = others.prediction_name
        and numbered.is_eligible = others.is_eligible
        and numbered.place = others.other_place
"""

#: These recount outcomes, which are not those of the shop once they are shuffled.
ABOUT_OUTCOMES = ("--exclude", "assert_outcomes_lie_in_their_window")


def build(host: Host, orders: pd.DataFrame, *options: str) -> Host:
    host.write({"shop.orders": orders})
    host.dbt("build", *options, timeout=600)
    assert host.last_build.results_with("error", "fail", "skipped") == []
    return host


def verdict(host: Host, model_name: str) -> pd.Series:
    versions = host.table("coterie__model_versions").set_index("model_name")
    assert versions.index.is_unique
    return versions.loc[model_name]


def assert_withheld(host: Host, *prediction_names: str) -> None:
    predictions = host.table("coterie__customer_predictions")
    for name in prediction_names:
        rows = predictions[predictions["prediction_name"] == name]
        assert set(rows["score_status"]) <= {"withheld", "not_eligible"}, name
        # Of few customers nobody may be eligible for a second order.
        assert name == "second_order_90d" or "withheld" in set(rows["score_status"]), name
        assert rows.filter(regex="probability|percentile|sentence").isna().all(axis=None), name
    if "purchase_30d" in prediction_names:
        customers = host.table("coterie__customers")
        assert customers["purchase_probability_30d"].isna().all()
        assert set(customers["purchase_score_status_30d"]) <= {"withheld", "not_eligible"}


def assert_plain_words(reason: str, *words: str) -> None:
    """No name of a column, no gap where a number should stand."""
    assert [word for word in words if word not in reason] == [], reason
    assert reason.endswith(".")
    assert [word for word in ("_", "None", "null", "nan", "inf ") if word in reason] == []


def test_outcomes_by_chance_are_worse_than_the_baseline(new_host):
    host = new_host("bare_shop")
    edit_package(
        host,
        [(OUTCOMES, ")\n\nselect * from customer_outcomes\n", ")" + SHUFFLED)],
    )
    build(host, simulate_orders(4000, seed=71), *ABOUT_OUTCOMES)
    for name in ("purchase_30d", "purchase_90d"):
        version = verdict(host, name)
        assert version["gate_status"] == "worse_than_baseline", version["gate_reason"]
        assert not version["is_champion"]
        assert_plain_words(version["gate_reason"], "did not clearly", "would add nothing")
    assert_withheld(host, "purchase_30d", "purchase_90d", "churn_90d")
    # Outcomes become rarer as this shop grows: who tells the rate of late better than a baseline
    # does has a gain in log loss and still no use.
    aucs = host.query(
        "select model_name, interval_lower, metric_value from {coterie__model_metrics} where "
        "origin = 'pooled' and scorer_name = 'model' and group_name = 'all' "
        "and metric_name = 'roc_auc' and model_name like 'purchase%'"
    )
    assert len(aucs) == 2
    assert aucs["metric_value"].between(0.45, 0.55).all()

    # What beat the model can stand in for it, if asked for. With rates that fall as fast as here
    # no baseline keeps within the usual limits.
    host.variables |= {
        "coterie__publish_baseline": True,
        "coterie__gates": {"max_excess_calibration_error": 0.2, "max_predicted_over_observed": 3},
    }
    host.dbt("build", *ABOUT_OUTCOMES, timeout=600)
    assert host.last_build.results_with("error", "fail", "skipped") == []
    predictions = host.table("coterie__customer_predictions")
    by_name = {
        name: rows.set_index("customer_id") for name, rows in predictions.groupby("prediction_name")
    }
    published = 0
    for name in ("purchase_30d", "purchase_90d"):
        version = verdict(host, name)
        rates = host.query(
            "select scorer_name, metric_name, metric_value, interval_lower, interval_upper "
            "from {coterie__model_metrics} where origin = 'pooled' and group_name = 'all' "
            f"and model_name = '{name}' and scorer_name in ('base_rate', 'rfm_cell')"
        ).set_index(["metric_name", "scorer_name"])
        ratio = rates.loc["predicted_over_observed"]
        excess = rates.loc["excess_calibration_error"]["metric_value"]
        calibrated = (
            (ratio["interval_upper"] >= 0.8) & (ratio["interval_lower"] <= 3) & (excess <= 0.2)
        )
        shown = by_name[name][by_name[name]["score_status"] == "baseline_rate"]
        assert (len(shown) > 0) == calibrated.any()
        published += len(shown)
        assert shown["probability"].between(0, 1, inclusive="neither").all()
        assert set(shown["model_version"]) <= {version["model_version"]}
        assert shown.filter(regex="percentile|sentence|code|contribution").isna().all(axis=None)
    assert published > 0
    churn = by_name["churn_90d"]
    churn = churn[churn["score_status"] == "baseline_rate"]
    np.testing.assert_allclose(
        churn["probability"],
        1 - by_name["purchase_90d"].loc[churn.index, "probability"],
        atol=1e-12,
    )


def test_a_small_shop_has_too_little_to_learn_from(new_host):
    host = build(new_host("bare_shop"), simulate_orders(120, seed=72))
    versions = host.table("coterie__model_versions")
    assert not versions["is_champion"].any()
    assert set(versions["gate_status"]) == {"insufficient_data", "unstable"}
    segmentation = versions[versions["gate_status"] == "unstable"]
    assert segmentation["model_name"].tolist() == ["default"]
    for reason in versions["gate_reason"].drop(segmentation.index):
        assert_plain_words(reason, "Too little to learn from")
    assert_withheld(host, "purchase_30d", "purchase_90d", "churn_90d", "second_order_90d")
    # What needs no learning is there.
    assert host.table("coterie__customers")["rfm_segment_code"].notna().all()


def test_a_young_shop_has_too_short_a_past(new_host):
    host = new_host("bare_shop")
    orders = simulate_orders(4000, seed=73, day_count=230)
    build(host, orders)
    version = verdict(host, "purchase_90d")
    assert version["training_row_count"] > 1000
    assert version["positive_count"] > 200
    assert version["gate_status"] == "insufficient_data"
    assert_plain_words(version["gate_reason"], "only 0 of 2 test dates")
    assert_withheld(host, "purchase_90d", "churn_90d")


@pytest.mark.parametrize(
    ("factor", "tells"),
    [pytest.param(0.25, "more", id="fewer orders"), pytest.param(2, "less", id="more orders")],
)
def test_a_shop_that_has_changed_is_not_published(new_host, factor, tells):
    """From a day on everybody buys otherwise; the season of a year ago says what it was before."""
    orders = simulate_orders(4000, seed=74, day_count=760)
    changed = changed_from(orders, FIRST_DAY + pd.Timedelta(days=630), factor)
    host = build(new_host("bare_shop"), changed)
    version = verdict(host, "purchase_30d")
    assert version["gate_status"] in {"miscalibrated", "worse_than_baseline"}
    assert not version["is_champion"]
    assert_plain_words(version["gate_reason"], "On later dates")
    assert_withheld(host, "purchase_30d")
    ratio = host.value(
        "select metric_value from {coterie__model_metrics} where model_name = 'purchase_30d' "
        "and origin = 'pooled' and scorer_name = 'model' and group_name = 'all' "
        "and metric_name = 'predicted_over_observed'"
    )
    assert (ratio > 1) == (tells == "more")


def changed_from(orders: pd.DataFrame, day: pd.Timestamp, factor: float) -> pd.DataFrame:
    """Each order from a day on is kept with a chance, or there is one more, of anybody."""
    generator = np.random.default_rng(1)
    is_late = orders["ordered_at"] >= day
    if factor <= 1:
        return orders[~is_late | (generator.random(len(orders)) < factor)]
    again = orders[is_late & (generator.random(len(orders)) < factor - 1)]
    again = again.assign(
        order_id="again-" + again["order_id"],
        customer_id=generator.choice(orders["customer_id"].unique(), len(again)),
    )
    return pd.concat([orders, again], ignore_index=True).sort_values(["ordered_at", "order_id"])
