"""The demo shop, built by this project itself: what was planted is found again."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from harness import REPOSITORY, run_command
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from coterie.additive import AdditiveClassifier
from coterie.demo.catalogue import ACTIVE_REGIONS
from coterie.lifetime_value import predict_values
from coterie.quality import draw_weights
from coterie.runs import read_run
from coterie.summary import summarise
from coterie.warehouse import UnreadableError

#: What a model reads and no reason names.
UNTOLD = {"nbd_probability_alive", "nbd_purchase_probability_90d", "days_since_signup"}


@pytest.fixture(scope="module")
def read(demo: Path):
    """Return a function that reads a query on the marts and the tables behind them."""
    with duckdb.connect(str(demo), read_only=True) as connection:
        connection.execute("set search_path = 'main_coterie,main_coterie_internal'")
        yield lambda query: connection.sql(query).df()


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    return pd.read_csv(REPOSITORY / "seeds/demo/truth.tsv", sep="\t")


@pytest.fixture(scope="module")
def pooled(read) -> pd.DataFrame:
    rows = read(
        "select * from coterie__model_metrics "
        "where model_name = 'purchase_30d' "
        "and origin = 'pooled' and scorer_name = 'model' and group_name = 'all'"
    )
    return rows.set_index("metric_name")


def test_unit_tests_run_at_home(demo):
    results = json.loads((demo.parent / "target/run_results.json").read_text())["results"]
    unit_tests = [r["status"] for r in results if r["unique_id"].startswith("unit_test.")]
    assert len(unit_tests) > 20
    assert set(unit_tests) == {"pass"}


def test_every_model_and_column_is_documented(demo, read):
    manifest = json.loads((demo.parent / "target/manifest.json").read_text())
    nodes = {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] in {"model", "seed"} and node["package_name"] == "coterie"
    }
    assert [name for name, node in nodes.items() if not node["description"].strip()] == []
    described = {
        (name, column)
        for name, node in nodes.items()
        for column, documented in node["columns"].items()
        if documented["description"].strip()
    }
    columns = read("select table_name, column_name from information_schema.columns")
    assert described == set(columns.itertuples(index=False, name=None))
    loose = [
        name
        for name, node in nodes.items()
        if "marts" in node["fqn"] and not node["config"]["contract"]["enforced"]
    ]
    assert loose == []
    assert all(
        "One row per" in node["description"] and "Answers:" in node["description"]
        for node in nodes.values()
        if "marts" in node["fqn"]
    )


def test_every_customer_has_one_rfm_code_and_one_segment(read):
    rows = read(
        "select count(*) as n, count(distinct customer_id) as customers, "
        "count(rfm_segment_code) as rfm, count(segment_code) as segments from coterie__customers"
    ).iloc[0]
    assert rows["n"] == rows["customers"] == rows["rfm"] == rows["segments"]
    assert rows["n"] >= 2000
    memberships = read(
        "select count(*) as n, count(distinct customer_id) as customers "
        "from coterie__customer_segments"
    ).iloc[0]
    assert memberships["n"] == memberships["customers"] == rows["n"]


def test_planted_groups_are_recovered(read, truth):
    segments = read("select customer_id, segment_code from coterie__customer_segments")
    both = segments.merge(truth, on="customer_id")
    assert len(both) == len(truth)
    assert adjusted_rand_score(both["group"], both["segment_code"]) >= 0.6


def test_the_purchase_model_is_published_and_beats_the_rfm_cell(read, pooled):
    version = read(
        "select * from coterie__model_versions where is_champion and model_name = 'purchase_30d'"
    ).iloc[0]
    assert version["gate_status"] == "published", version["gate_reason"]
    assert pooled.loc["log_loss_gain_over_rfm_cell", "interval_lower"] > 0
    assert pooled.loc["log_loss_gain_over_base_rate", "interval_lower"] > 0
    assert 0.8 <= pooled.loc["predicted_over_observed", "metric_value"] <= 1.25


def test_planted_probabilities_are_recovered(read, truth):
    published = read(
        "select customer_id, probability from coterie__customer_predictions "
        "where prediction_name = 'purchase_30d' and score_status = 'scored'"
    )
    both = published.merge(truth, on="customer_id")
    true_probability = both["true_purchase_probability_30d"]
    assert both["probability"].corr(true_probability, method="spearman") > 0.8
    assert both["probability"].mean() == pytest.approx(true_probability.mean(), abs=0.03)
    fifths = pd.qcut(both["probability"].rank(method="first"), 5)
    by_fifth = both.groupby(fifths, observed=True)
    gaps = by_fifth["probability"].mean() - by_fifth["true_purchase_probability_30d"].mean()
    assert gaps.abs().max() < 0.08


def test_metrics_in_sql_equal_scikit_learn(read, pooled):
    rows = read(
        "select * from int_coterie__propensity_backtests "
        "where model_name = 'purchase_30d' and scorer_name = 'model'"
    )
    assert pooled.loc["roc_auc", "metric_value"] == pytest.approx(
        roc_auc_score(rows["outcome"], rows["probability"]), abs=1e-9
    )
    assert rows["origin"].nunique() == 4


@pytest.mark.parametrize(
    ("metric_name", "numerator", "denominator"),
    [
        ("log_loss", "log_loss", "one"),
        ("brier_score", "squared_error", "one"),
        ("predicted_over_observed", "probability", "outcome"),
        ("roc_auc", None, None),
    ],
)
@pytest.mark.parametrize("origin", ["pooled", "one date"])
def test_intervals_in_closed_form_are_those_of_draws_of_customers(
    read, metric_name, numerator, denominator, origin
):
    rows = read(
        "select * from int_coterie__backtest_rows where model_name = 'purchase_30d' "
        "and scorer_name = 'model' and group_name = 'all'"
    ).assign(one=1.0)
    origin = origin if origin == "pooled" else rows["origin"].min()
    rows = rows[rows["origin"] == origin]
    told = read(
        "select metric_value, interval_lower, interval_upper from int_coterie__backtest_metrics "
        f"where origin = '{origin}' and metric_name = '{metric_name}' "
        "and model_name = 'purchase_30d' and scorer_name = 'model' and group_name = 'all'"
    ).iloc[0]
    # Rows of one customer come along together.
    customer, customers = pd.factorize(rows["customer_id"], sort=True)
    weights = draw_weights(len(customers), 500, np.random.default_rng(0))[customer].T
    if metric_name == "roc_auc":
        outcome, probability = rows["outcome"].to_numpy(), rows["probability"].to_numpy()
        draws = np.array([roc_auc_score(outcome, probability, sample_weight=w) for w in weights])
    else:
        draws = weights @ rows[numerator].to_numpy() / (weights @ rows[denominator].to_numpy())
    assert draws.mean() == pytest.approx(told["metric_value"], rel=0.01)
    # The spread of 500 draws is known to 3 %; without the clusters it would be a tenth off.
    width = told["interval_upper"] - told["interval_lower"]
    assert 2 * 1.959964 * draws.std() == pytest.approx(width, rel=0.1)


@pytest.fixture(scope="module")
def scored(read):
    """Return the stored model as an estimator, its features, and what SQL made of them."""
    weights = read(
        """
        select
            weights.feature, weights.bin, weights.weight, weights.intercept, bins.upper_edge
        from int_coterie__propensity_weights as weights
        inner join int_coterie__feature_bins as bins
            on weights.bin_set_id = bins.bin_set_id
            and weights.feature = bins.feature
            and weights.bin = bins.bin
        inner join coterie__model_versions as versions
            on weights.model_version = versions.model_version
        where versions.is_champion and versions.model_name = 'purchase_30d'
        """
    )
    features = sorted(weights["feature"].unique())
    model = AdditiveClassifier.from_table(
        pa.Table.from_pandas(weights, preserve_index=False), features=features
    )
    made = {name: "n" if name.startswith("nbd_") else "f" for name in features}
    columns = ", ".join(f"cast({made[name]}.{name} as double) as {name}" for name in features)
    rows = read(
        f"""
        select s.*, {columns}
        from int_coterie__propensity_scores as s
        inner join int_coterie__customer_features as f
            on s.customer_id = f.customer_id and f.is_scoring_date
        left join int_coterie__customer_nbd as n
            on s.customer_id = n.customer_id and n.is_scoring_date
        where s.is_champion and s.model_name = 'purchase_30d'
        order by s.customer_id
        """
    )
    return model, rows[features].astype(float), rows, features


def test_sql_scores_equal_predict_proba(scored):
    model, X, rows, _ = scored
    assert X.isna().to_numpy().any()
    assert np.abs(model.predict_proba(X)[:, 1] - rows["probability"]).max() < 1e-9


def test_base_plus_contributions_is_the_log_odds_for_every_customer(scored):
    model, X, rows, features = scored
    weights = model.contributions(X)
    contributions = weights - weights.mean(axis=0)
    base = model.intercept_ + weights.mean(axis=0).sum()
    assert np.abs(base - rows["base_log_odds"]).max() < 1e-6
    total = rows["base_log_odds"] + contributions.sum(axis=1)
    assert np.abs(total - rows["log_odds"]).max() < 1e-6
    stored = rows["base_log_odds"] + rows["total_contribution"]
    assert np.abs(stored - rows["log_odds"]).max() < 1e-6
    # The reasons are the largest contributions of what may be told, the counter-reasons the least.
    told = [place for place, name in enumerate(features) if name not in UNTOLD]
    assert len(told) == len(features) - len(UNTOLD)
    ranked = np.sort(contributions[:, told], axis=1)
    for number in (1, 2, 3):
        highest, lowest = ranked[:, -number], ranked[:, number - 1]
        for part, expected in {
            "reason": np.where(highest > 1e-9, highest, np.nan),
            "counter_reason": np.where(lowest < -1e-9, lowest, np.nan),
        }.items():
            stored = rows[f"{part}_{number}_contribution"]
            np.testing.assert_allclose(stored, expected, atol=1e-6)
            has_one = stored.notna().to_numpy()
            named = [features.index(name) for name in rows.loc[has_one, f"{part}_{number}_code"]]
            np.testing.assert_allclose(
                contributions[has_one, named], stored[has_one], atol=1e-6, err_msg=part
            )


@pytest.mark.parametrize("horizon_days", [90, 365])
def test_sql_values_equal_those_of_the_library(read, horizon_days):
    def table(query: str) -> pa.Table:
        return pa.Table.from_pandas(read(query), preserve_index=False)

    as_of = read("from int_coterie__as_of")
    for column in as_of.columns.drop("last_ordered_on", errors="ignore"):
        as_of[column] = pd.to_datetime(as_of[column]).dt.date
    date, settings = read_run(
        table("from int_coterie__fit_settings"),
        pa.Table.from_pandas(as_of, preserve_index=False),
        topic="value",
    )
    made = {name: "n" if name.startswith("nbd_") else "f" for name in settings["features"]}
    columns = ", ".join(f"cast({where}.{name} as double) as {name}" for name, where in made.items())
    customers = table(
        f"""
        select
            v.customer_id, v.cohort_amount as cohort_amount_{horizon_days}d,
            h.repeat_count, h.recency_days, h.age_days, h.avg_repeat_net_amount as mean_spend,
            {columns}
        from int_coterie__customer_values as v
        inner join int_coterie__customer_features as f
            on v.customer_id = f.customer_id and f.is_scoring_date
        inner join int_coterie__purchase_histories as h
            on v.customer_id = h.customer_id and h.is_scoring_date
        left join int_coterie__customer_nbd as n
            on v.customer_id = n.customer_id and n.is_scoring_date
        where v.horizon_days = {horizon_days} and v.is_newest
        order by v.customer_id
        """
    )
    expected = predict_values(
        customers,
        table(f"from int_coterie__value_weights where horizon_days = {horizon_days}"),
        table("from int_coterie__feature_bins"),
        table("from int_coterie__nbd_parameters"),
        table("from int_coterie__gamma_gamma_parameters"),
        as_of_date=date,
        settings=settings,
    ).to_pandas()
    found = read(
        "select customer_id, predicted_amount, lower_amount, upper_amount "
        f"from int_coterie__customer_values where horizon_days = {horizon_days} and is_newest "
        "order by customer_id"
    )
    assert len(found) > 1000
    assert (found["customer_id"] == expected["customer_id"]).all()
    for made, named in [
        ("predicted_amount", "predicted_amount"),
        ("lower_amount", "value_lower"),
        ("upper_amount", "value_upper"),
    ]:
        assert np.allclose(found[made], expected[named], rtol=1e-6, atol=1e-5)


def test_values_are_published_and_beat_their_baselines(read):
    versions = read("from coterie__model_versions where starts_with(model_name, 'value_')")
    assert set(versions["model_name"]) == {"value_90d", "value_365d"}
    assert set(versions["gate_status"]) <= {"published", "provisional"}
    metrics = read(
        "from coterie__model_metrics where starts_with(model_name, 'value_') "
        "and origin = 'pooled' and group_name = 'all'"
    ).set_index(["model_name", "scorer_name", "metric_name"])["metric_value"]
    for model in ("value_90d", "value_365d"):
        found = metrics[model]
        for baseline in ("last_period", "cohort_mean"):
            assert found["model", "mae"] < found[baseline, "mae"]
            assert found["model", "normalised_gini"] > found[baseline, "normalised_gini"]
        assert 0.8 < found["model", "predicted_over_observed"] < 1.25
        assert 0.75 < found["model", "interval_coverage"] < 0.95


def test_values_are_believable(read):
    rows = read("from coterie__customer_lifetime_values")
    customers = read("from coterie__customers")
    assert set(rows["customer_id"]) == set(customers["customer_id"])
    scored = rows[rows["value_status"] == "scored"]
    assert len(scored) == (customers["order_count"] > 0).sum()
    assert set(rows.loc[rows["cohort"] == "prospect", "value_status"]) == {"cohort_rate"}
    money = ["predicted_value_90d", "predicted_value_365d", "discounted_value_365d"]
    assert (rows[money] >= 0).all(axis=None)
    # A year brings more than its first quarter, and about what the last one brought.
    assert (rows["predicted_value_365d"] >= rows["predicted_value_90d"]).mean() > 0.98
    ratio = float(scored["predicted_value_365d"].sum()) / float(customers["net_amount_365d"].sum())
    assert 0.7 < ratio < 1.4
    shares = (rows["discounted_value_365d"] / rows["predicted_value_365d"]).astype(float).dropna()
    assert shares.between(0.9, 1).all()
    both = rows.merge(customers, on="customer_id", suffixes=("", "_told"))
    assert (both["predicted_value_365d"] == both["predicted_value_365d_told"]).all()
    assert (both["value_status"] == both["value_status_told"]).all()
    # Who has ordered often and lately is alive and has a date; who is gone has none.
    dated = rows["next_order_status"] == "predicted"
    assert 0.1 < dated.mean() < 0.9
    assert (rows.loc[dated, "expected_next_order_on"] >= rows.loc[dated, "as_of_date"]).all()
    assert rows.loc[~dated, "expected_next_order_on"].isna().all()


def test_who_is_planted_as_gone_is_worth_little(read, truth):
    rows = read("from coterie__customer_lifetime_values").merge(truth, on="customer_id")
    value = rows["predicted_value_365d"].astype(float)
    planted = rows["true_orders_per_year"] * rows["is_alive"]
    assert value.corr(planted, method="spearman") > 0.75
    assert value[~rows["is_alive"]].mean() < 0.25 * value[rows["is_alive"]].mean()
    sure = rows["next_order_status"] == "predicted"
    assert rows.loc[sure, "is_alive"].mean() > 0.9


def test_concentration_adds_up_the_mart(read):
    rows = read("from coterie__value_concentration").set_index(["measure", "top_share"])
    values = read("from coterie__customer_lifetime_values")["predicted_value_365d"].astype(float)
    top = values.sort_values(ascending=False).head(int(np.ceil(0.1 * len(values)))).sum()
    assert rows.loc[("predicted_value_365d", 0.1), "amount_share"] == pytest.approx(
        top / values.sum(), abs=1e-5
    )
    assert rows["amount_share"].between(0, 1).all()


def test_orders_and_revenue_reconcile_with_the_seeds(read):
    marts = read(
        "select sum(order_count) as orders, sum(net_amount) as amount from coterie__customers"
    ).iloc[0]
    seeds = pd.read_csv(REPOSITORY / "seeds/demo/coterie__demo_orders.csv")
    seeds = seeds[seeds["order_id"].notna() & seeds["order_amount"].notna()]
    seeds = seeds[pd.to_datetime(seeds["ordered_at"]) < "2025-10-01"]
    seeds = seeds.sort_values("ordered_at", ascending=False, kind="stable")
    changed = pd.to_datetime(seeds["status_changed_at"]).fillna(pd.to_datetime(seeds["ordered_at"]))
    refunded = pd.to_datetime(seeds["refunded_at"]).fillna(pd.to_datetime(seeds["ordered_at"]))
    is_known_invalid = seeds["status"].str.lower().isin(
        ["cancelled", "canceled", "failed", "voided", "pending", "test"]
    ) & (changed < "2025-10-01")
    refund = seeds["refund_amount"].fillna(0).where(refunded < "2025-10-01", 0)
    net_amount = (seeds["order_amount"] - refund).round(2)
    is_valid = ~is_known_invalid & ~seeds["is_test"].fillna(False).astype(bool) & (net_amount > 0)
    # Of two rows of one order the accepted one decides; the planted pairs differ in their state.
    accepted = read("select order_id from int_coterie__orders")
    duplicated = seeds["order_id"].duplicated(keep=False)
    plain = seeds[is_valid & ~duplicated & seeds["customer_id"].notna()]
    pairs = read(
        """
        select count(*) as orders, coalesce(sum(net_amount), 0) as amount
        from (
            select
                orders.*,
                order_amount
                - case when refunded_at < as_of_date then refund_amount else 0 end as net_amount
            from int_coterie__orders as orders, int_coterie__as_of
            where
                ordered_at < as_of_date
                and not is_test
                and not (has_invalid_status and status_changed_at < as_of_date)
                and customer_id is not null
        ) as known_orders
        where net_amount > 0 and order_id in (
            select order_id from main_coterie_staging.stg_coterie__orders
            group by order_id having count(*) > 1
        )
        """
    ).iloc[0]
    assert accepted["order_id"].is_unique
    assert marts["orders"] == len(plain) + pairs["orders"]
    plain_amount = net_amount[plain.index].sum()
    assert float(marts["amount"]) == pytest.approx(plain_amount + float(pairs["amount"]), abs=0.005)


def test_customer_days_add_up_to_the_orders_as_they_were_known(read):
    """On days without a feature table too: on any date the sums are what the definitions say."""
    first, last = read(
        "select min(known_on), max(known_on) from int_coterie__customer_days where order_count != 0"
    ).iloc[0]
    dates = pd.date_range(first, last).to_series().sample(25, random_state=1)
    wrong = read(
        f"""
        with

        dates as (

            select unnest({[str(day.date()) for day in dates]}::date[]) as as_of_date

        ),

        summed as (

            select
                as_of_date,
                customer_id,
                happened_on,
                sum(placed_order_count) as placed_order_count,
                sum(order_count) as order_count,
                sum(net_amount) as net_amount

            from dates

            inner join int_coterie__customer_days
                on known_on < as_of_date

            group by all

        ),

        recounted as (

            select
                as_of_date,
                customer_id,
                ordered_on as happened_on,
                count(*) filter (not is_test) as placed_order_count,
                count(*) filter (is_valid) as order_count,
                sum(net_amount) filter (is_valid) as net_amount

            from (
                select
                    *,
                    order_amount
                    - case when refunded_at < as_of_date then refund_amount else 0 end
                        as net_amount,
                    not is_test
                    and not (has_invalid_status and status_changed_at < as_of_date)
                    and net_amount > 0 as is_valid

                from dates

                inner join int_coterie__orders
                    on ordered_at < as_of_date
            ) as orders

            where customer_id is not null

            group by all

        )

        select *

        from recounted

        full join summed
            using (as_of_date, customer_id, happened_on)

        where
            coalesce(recounted.placed_order_count, 0) != coalesce(summed.placed_order_count, 0)
            or coalesce(recounted.order_count, 0) != coalesce(summed.order_count, 0)
            or coalesce(recounted.net_amount, 0) != coalesce(summed.net_amount, 0)
        """
    )
    assert wrong.empty, wrong.head()
    corrections = read(
        "select count(*) from int_coterie__customer_days "
        "where known_on > happened_on and order_count < 0"
    )
    assert corrections.iloc[0, 0] > 20


def test_shares_and_dates_are_believable(read):
    profiles = read(
        "select segmentation_name, sum(customer_share) as customers, "
        "sum(revenue_share) as revenue, bool_or(is_suppressed) as has_hidden "
        "from coterie__segment_profiles group by segmentation_name"
    ).set_index("segmentation_name")
    assert set(profiles.index) == {"default", "rfm", "demographic", "interest"}
    # What is hidden is of fewer than ten customers.
    missing = 1 - profiles[["customers", "revenue"]]
    assert (missing.abs()[~profiles["has_hidden"]] < 1e-5).all(axis=None)
    assert missing.to_numpy().min() > -1e-5
    assert missing.to_numpy().max() < 0.02
    dates = read(
        "select max(c.last_ordered_at) < max(c.as_of_date) as is_past, "
        "min(p.expires_on) > max(p.as_of_date) as expires_later "
        "from coterie__customers as c "
        "inner join coterie__customer_predictions as p using (customer_id)"
    ).iloc[0]
    assert dates["is_past"]
    assert dates["expires_later"]


def test_a_complement_is_the_opposite_with_reasons_turned_round(read):
    both = read(
        """
        select
            purchase.probability + churn.probability as total,
            churn.percentile,
            churn.probability,
            churn.reason_1_code,
            purchase.counter_reason_code,
            churn.reason_1_contribution + purchase.counter_reason_contribution as difference,
            churn.reason_1_sentence
        from coterie__customer_predictions as purchase
        inner join coterie__customer_predictions as churn using (customer_id)
        where
            purchase.prediction_name = 'purchase_90d'
            and churn.prediction_name = 'churn_90d'
            and churn.score_status = 'scored'
        """
    )
    assert len(both) > 500
    assert both["total"].to_numpy() == pytest.approx(1, abs=1e-9)
    told = both.dropna(subset="reason_1_code")
    assert len(told) > 0.9 * len(both)
    assert (told["reason_1_code"] == told["counter_reason_code"]).all()
    assert told["difference"].abs().max() < 1e-9
    assert told["reason_1_sentence"].str.endswith("associated with a higher probability").all()
    assert both["percentile"].corr(both["probability"], method="spearman") > 0.999


def test_who_is_outside_what_was_learned_is_marked(read):
    rows = read(
        "select prediction_name, score_status, is_extrapolated, probability "
        "from coterie__customer_predictions"
    )
    scored = rows["score_status"] == "scored"
    assert rows["is_extrapolated"].notna().equals(scored)
    assert rows.loc[scored, "is_extrapolated"].astype(bool).mean() < 0.1
    newcomers = rows[rows["score_status"] == "cohort_rate"]
    assert set(newcomers["prediction_name"]) <= {"purchase_30d", "purchase_90d"}
    assert len(newcomers) > 0
    assert newcomers["probability"].between(0, 1, inclusive="neither").all()


def test_the_summary_is_read_back_from_the_marts(demo):
    text = summarise(demo)
    for words in ("customers as of 2025-10-01", "purchase_30d", "published", "rfm_cell", str(demo)):
        assert words in text
    predictions = text.split("Quality of predictions")[1].split("Quality of values")[0]
    assert not re.search("^default", predictions, flags=re.MULTILINE)


def test_the_summary_says_what_to_do_without_a_database(tmp_path):
    with pytest.raises(UnreadableError, match="dbt build"):
        summarise(tmp_path / "none.duckdb")
    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    with pytest.raises(UnreadableError, match="dbt build"):
        summarise(tmp_path / "empty.duckdb")


#: Which group the shop makes fond of which taste, and the categories of the taste.
PLANTED_DEMAND = [
    ("gender", "female", ("beauty", "audio")),
    ("gender", "male", ("fitness", "outdoor")),
    ("age_band", "under_25", ("beauty", "audio")),
    ("age_band", "35_to_44", ("garden", "kids")),
    ("age_band", "65_and_over", ("kitchen", "coffee")),
    *[("region", region, ("fitness", "outdoor")) for region in ACTIVE_REGIONS],
]


@pytest.mark.parametrize(("attribute", "group", "categories"), PLANTED_DEMAND)
def test_planted_tastes_of_groups_are_found(read, attribute, group, categories):
    """A group buys more of what it is made fond of than of the rest."""
    rows = read(
        "select * from int_coterie__group_demand "
        f"where attribute_name = '{attribute}' and group_code = '{group}'"
    ).set_index("category")
    assert rows.loc[list(categories), "lift"].mean() > 1
    assert rows.loc[list(categories), "lift"].mean() > rows["lift"].drop(list(categories)).mean()


def test_notable_demand_was_planted(read):
    """In a shop of a thousand active customers only strong tastes can be told from chance."""
    rows = read("select * from coterie__group_product_demand where is_notable and lift > 1")
    assert len(rows) >= 2
    planted = {(attribute, group): categories for attribute, group, categories in PLANTED_DEMAND}
    for row in rows.itertuples():
        assert row.category in planted[row.attribute_name, row.group_code]
        assert row.lift_lower > 1


def test_no_demand_is_invented_of_shuffled_customers(demo):
    """Attributes dealt out among the customers at random: in one run of twenty at most a find."""
    path = "compiled/coterie/models/intermediate/demographics/int_coterie__group_demand.sql"
    query = (demo.parent / "target" / path).read_text()
    name = '"coterie"."main_coterie_internal"."int_coterie__customer_groups"'
    assert name in query
    with duckdb.connect() as connection:
        connection.execute(f"attach '{demo}' as coterie (read_only)")
        groups = connection.sql(f"select * from {name}").df()
        wide = groups.pivot(index="customer_id", columns="attribute_name", values="group_code")
        finds = 0
        for seed in range(100):
            order = np.random.default_rng(seed).permutation(len(wide))
            shuffled = wide.iloc[order].set_index(wide.index).reset_index()
            shuffled = shuffled.melt("customer_id", value_name="group_code")
            connection.register("shuffled_groups", shuffled)
            found = connection.sql(
                f"select count(*) from ({query.replace(name, 'shuffled_groups')}) where is_notable"
            ).fetchall()
            finds += found[0][0] > 0
    assert finds <= 5


def test_profiles_read_like_sentences(read):
    profiles = read("select * from coterie__segment_profiles")
    shown = profiles[~profiles["is_suppressed"]]
    assert set(profiles["segmentation_name"]) >= {"default", "rfm", "demographic"}
    assert shown["profile"].str.match(r"^[\d,]+ customers \(.+? %\) ").all()
    assert shown["suggested_action"].notna().all()
    for profile in shown["profile"]:
        assert not re.search(r"\b(NULL|None|nan|inf|1 (days|orders|customers))\b", profile)
        assert profile.endswith(".")
        assert "  " not in profile
        assert "_" not in profile
    hidden = profiles[profiles["is_suppressed"]]
    assert hidden[["customer_count", "customer_share", "net_amount"]].isna().all(axis=None)
    assert shown["customer_count"].min() >= 10


# ---- what is written about the marts ------------------------------------------------------------


def test_the_data_dictionary_is_current(demo, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "tools")
    from dictionary import PAGE, dictionary

    manifest = json.loads((demo.parent / "target" / "manifest.json").read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == dictionary(manifest), "Run make dictionary."


#: Metrics, what they are grouped by, and the query on the marts that gives the same rows.
METRICS = {
    "customers, repeat and retention rate": (
        "coterie_customers coterie_buyers coterie_repeat_rate coterie_retention_rate_365d",
        "customer__rfm_segment_code",
        """
        select
            rfm_segment_code,
            count(*),
            count(*) filter (where order_count > 0),
            count(*) filter (where order_count > 1)
                / nullif(count(*) filter (where order_count > 0), 0),
            count(*) filter (where order_count > order_count_365d and order_count_365d > 0)
                / nullif(count(*) filter (where order_count > order_count_365d), 0)
        from coterie__customers
        group by all
        """,
    ),
    "revenue, seen by the days of the orders and by the customers": (
        "coterie_revenue coterie_orders coterie_avg_order_value coterie_revenue_365d "
        "coterie_predicted_value coterie_avg_predicted_value",
        "customer__rfm_segment_code",
        """
        select
            rfm_segment_code,
            nullif(sum(net_amount), 0),
            nullif(sum(order_count), 0),
            sum(net_amount) / nullif(sum(order_count), 0),
            sum(net_amount_365d),
            sum(predicted_value_365d),
            avg(predicted_value_365d)
        from coterie__customers
        group by all
        """,
    ),
    "newcomers by month": (
        "coterie_new_customers",
        "metric_time__month",
        """
        select date_trunc('month', first_ordered_at), count(*)
        from coterie__customers
        where order_count > 0
        group by all
        """,
    ),
    "members of every segmentation": (
        "coterie_segment_members",
        "segment_membership__segmentation_name segment_membership__segment_code",
        """
        select segmentation_name, segment_code, count(*)
        from coterie__customer_segment_memberships
        group by all
        """,
    ),
    "scores": (
        "coterie_scored_customers_30d coterie_expected_buyers_30d",
        "customer__rfm_segment_code",
        """
        select rfm_segment_code, count(purchase_probability_30d), sum(purchase_probability_30d)
        from coterie__customers
        group by all
        """,
    ),
    "model quality": (
        "coterie_model_roc_auc",
        "model_metric__model_name",
        """
        select model_name, avg(metric_value)
        from coterie__model_metrics
        where
            metric_name = 'roc_auc'
            and scorer_name = 'model'
            and group_name = 'all'
            and origin = 'pooled'
        group by all
        """,
    ),
    "versions in use": (
        "coterie_model_version_total coterie_models_in_use",
        "model_version__learner",
        """
        select
            learner,
            count(*) filter (where model_version != 'none'),
            count(*) filter (where is_champion)
        from coterie__model_versions
        group by all
        """,
    ),
}

#: Installed apart, because MetricFlow pins another dbt than requirements.txt does.
MF = os.environ.get("COTERIE_METRICFLOW", "")
needs_metricflow = pytest.mark.skipif(
    not MF, reason="COTERIE_METRICFLOW names no mf (pip install 'dbt-metricflow[dbt-duckdb]')"
)


def mf(demo: Path, *arguments: str) -> str:
    """Run MetricFlow on the demo and return what it prints."""
    # It writes the folder `target` of the project and opens the database for itself alone, so it
    # gets a project and a copy of its own.
    project = demo.parent / "mf"
    copy = project / "target" / demo.name
    if not project.exists():
        copy.parent.mkdir(parents=True)
        shutil.copy(demo, copy)
        for name in ("semantic_manifest.json", "manifest.json"):
            shutil.copy(demo.parent / "target" / name, project / "target")
        for name in ("dbt_project.yml", "docs", "macros", "models", "python_models", "seeds"):
            (project / name).symlink_to(REPOSITORY / name)
    done = run_command(
        [MF, *arguments],
        cwd=project,
        environment=os.environ
        | {
            "COTERIE_DATABASE": str(copy),
            "DBT_PROFILES_DIR": str(REPOSITORY),
            "DO_NOT_TRACK": "1",
        },
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.matrix
@needs_metricflow
def test_metricflow_finds_no_fault(demo):
    words = mf(demo, "validate-configs")
    assert words.count("ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0") >= 6, words


@pytest.mark.matrix
@needs_metricflow
@pytest.mark.parametrize("name", METRICS)
def test_metrics_equal_sql_on_the_marts(name, demo, read, tmp_path):
    metrics, groups = (names.split() for names in METRICS[name][:2])
    out = tmp_path / "metrics.csv"
    given = ["--metrics", ",".join(metrics), "--group-by", ",".join(groups), "--csv", str(out)]
    mf(demo, "query", *given, "--decimals", "12")
    told = pd.read_csv(out).sort_values(groups).reset_index(drop=True)
    expected = read(METRICS[name][2])
    expected.columns = [*groups, *metrics]
    for column in groups:
        told[column] = told[column].astype(expected[column].dtype)
    expected = expected.sort_values(groups).reset_index(drop=True)
    assert len(told) > 1
    pd.testing.assert_frame_equal(
        told[expected.columns].astype(dict.fromkeys(metrics, float)),
        expected.astype(dict.fromkeys(metrics, float)),
        rtol=1e-9,
    )
