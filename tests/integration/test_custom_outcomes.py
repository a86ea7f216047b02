"""What a host wants predicted beside purchases: answers to messages, on the demo data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from harness import DEMO_SEEDS, Host

NAME = "answer_30d"
HORIZON = pd.Timedelta(days=30)


@pytest.fixture(scope="module")
def messages() -> pd.DataFrame:
    """Return the messages of the demo, counted here without any of the package."""
    times = ["sent_at", "opened_at", "clicked_at", "unsubscribed_at", "bounced_at"]
    rows = pd.read_csv(DEMO_SEEDS / "coterie__demo_messages.csv", parse_dates=times)
    # Repeated rows are rejected but for one.
    rows = rows.dropna(subset=["message_id", "customer_id", "sent_at"])
    return rows.sort_values("sent_at", kind="stable").drop_duplicates("message_id")


@pytest.fixture(scope="module")
def answered_at(messages) -> pd.DataFrame:
    answers = messages.assign(answered_at=messages[["opened_at", "clicked_at"]].min(axis=1))
    return answers.dropna(subset="answered_at")


@pytest.fixture(scope="module")
def outcomes(custom_outcomes: Host) -> pd.DataFrame:
    return custom_outcomes.query(
        f"select * from {{int_coterie__customer_outcomes}} where prediction_name = '{NAME}'"
    )


@pytest.fixture(scope="module")
def version(custom_outcomes: Host) -> pd.Series:
    versions = custom_outcomes.table("coterie__model_versions").set_index("model_name")
    assert versions.loc[NAME, "model_version"] != "none"
    return versions.loc[NAME]


def test_the_build_is_green(custom_outcomes):
    assert custom_outcomes.last_build.results_with("error", "fail", "skipped") == []
    assert len(custom_outcomes.last_build.results_with("pass")) > 15


def test_the_input_is_read_and_checked_like_any_other(custom_outcomes, answered_at):
    rows = custom_outcomes.table("coterie__data_quality")
    rows = rows[rows["input_name"] == "custom_outcomes"].set_index("rule_name")
    assert set(rows["status"]) == {"ok"}
    assert rows.loc["empty_input", "measured_value"] >= len(answered_at) > 1000
    assert "outcomes" in rows.loc["duplicate", "words"]


def test_outcomes_are_the_answers_of_the_window(outcomes, answered_at):
    told = outcomes.dropna(subset="outcome")
    assert told["as_of_date"].nunique() > 5
    for date, rows in told.groupby("as_of_date"):
        answers = answered_at[answered_at["answered_at"].between(date, date + HORIZON, "left")]
        expected = rows["customer_id"].isin(answers["customer_id"]).astype(int)
        assert rows["outcome"].tolist() == expected.tolist(), date
    assert 0.05 < told["outcome"].mean() < 0.95


def test_windows_that_no_answer_reaches_to_the_end_of_are_open(outcomes, answered_at):
    ends_on = answered_at["answered_at"].max().normalize() + pd.Timedelta(days=1)
    is_open = outcomes["as_of_date"] + HORIZON > ends_on
    assert outcomes.loc[is_open, "is_scoring_date"].any()
    assert outcomes["outcome"].isna().equals(is_open)


def test_only_who_gets_messages_is_predicted(custom_outcomes, outcomes, messages):
    predictions = custom_outcomes.table("coterie__customer_predictions")
    predictions = predictions[predictions["prediction_name"] == NAME].set_index("customer_id")
    date = predictions["as_of_date"].iloc[0]
    lately = messages["sent_at"].between(date - pd.Timedelta(days=90), date, "left")
    receivers = set(messages.loc[lately, "customer_id"])
    receivers -= set(messages.loc[messages["unsubscribed_at"] < date, "customer_id"])
    eligible = outcomes[outcomes["is_scoring_date"] & outcomes["is_eligible"]]["customer_id"]
    known = receivers & set(predictions.index)
    assert set(eligible) == known
    assert len(known) > 300
    is_scored = predictions["score_status"] == "scored"
    assert set(predictions.index[is_scored]) == known
    assert set(predictions.loc[~is_scored, "score_status"]) == {"not_eligible"}


def test_scores_are_published_like_those_of_purchases(custom_outcomes, version):
    assert version["gate_status"] in {"published", "provisional"}, version["gate_reason"]
    assert version["is_champion"]
    scored = custom_outcomes.query(
        "select * from {coterie__customer_predictions} "
        f"where prediction_name = '{NAME}' and score_status = 'scored'"
    )
    assert scored["probability"].between(0, 1).all()
    assert set(scored["horizon_days"]) == {30}
    assert set(scored["model_version"]) == {version["model_version"]}
    assert scored["is_extrapolated"].notna().all()
    assert scored["percentile"].between(1, 100).all()
    assert scored["reason_1_sentence"].notna().mean() > 0.9
    told = scored["reason_1_sentence"].dropna()
    assert told.str.endswith("associated with a higher probability").all()
    assert told.str.contains("message").any()


def test_base_plus_contributions_is_the_log_odds(custom_outcomes, version):
    scores = custom_outcomes.query(
        f"select * from {{int_coterie__propensity_scores}} where model_name = '{NAME}'"
    )
    assert set(scores["model_version"]) == {version["model_version"]}
    total = scores["base_log_odds"] + scores["total_contribution"]
    assert np.abs(total - scores["log_odds"]).max() < 1e-6
    expected = 1 / (1 + np.exp(-scores["log_odds"]))
    assert np.abs(expected - scores["probability"]).max() < 1e-6
    assert np.ptp(scores["probability"]) > 0.1


def test_predicted_and_observed_rates_agree_on_later_dates(custom_outcomes):
    metrics = custom_outcomes.query(
        "select * from {coterie__model_metrics} where origin = 'pooled' and group_name = 'all' "
        f"and model_name = '{NAME}'"
    )
    # What was learned from no purchase is not compared with a model of purchases.
    assert set(metrics["scorer_name"]) == {"model", "base_rate", "rfm_cell"}
    model = metrics[metrics["scorer_name"] == "model"].set_index("metric_name")
    backtests = custom_outcomes.query(
        "select outcome, probability from {int_coterie__propensity_backtests} "
        f"where scorer_name = 'model' and model_name = '{NAME}'"
    )
    assert backtests["probability"].between(0, 1).all()
    assert model.loc["row_count", "metric_value"] == len(backtests) > 1000
    observed = backtests["outcome"].mean()
    assert model.loc["observed_rate", "metric_value"] == pytest.approx(observed, abs=1e-9)
    # Newsletters come in some months and not in others: as near as the gate asks.
    assert 0.8 <= backtests["probability"].mean() / observed <= 1.25
    assert model.loc["log_loss_gain_over_base_rate", "interval_lower"] > 0


def test_features_that_are_left_out_weigh_nothing(custom_outcomes):
    weights = custom_outcomes.query(
        "select model_name, feature, max(abs(weight)) as weight "
        "from {int_coterie__propensity_weights} group by all"
    ).set_index(["model_name", "feature"])["weight"]
    left_out = ["days_since_signup", "weekend_order_share"]
    assert weights.loc[NAME][left_out].tolist() == [0, 0]
    assert (weights.loc["purchase_30d"][left_out] > 0).any()
    assert weights.loc[NAME].gt(0).sum() > 10


def test_a_prediction_that_is_set_to_null_is_left_out(custom_outcomes):
    names = {"purchase_30d", "purchase_90d", "churn_90d", NAME}
    predictions = custom_outcomes.table("coterie__customer_predictions")
    assert set(predictions["prediction_name"]) == names
    versions = custom_outcomes.table("coterie__model_versions")
    others = {"default", "value_90d", "value_365d"}
    assert set(versions["model_name"]) - others == names - {"churn_90d"}


def test_sensitive_attributes_are_never_read(custom_outcomes):
    """The host lists age_years among the features; the package reads it only when told twice."""
    features = set(custom_outcomes.table("coterie__model_features")["feature"])
    features -= {"(score)"}
    assert "days_since_last_order" in features
    assert features.isdisjoint({"age_years", "gender"})
    assert features == set(custom_outcomes.table("int_coterie__propensity_weights")["feature"])
    predictions = custom_outcomes.table("coterie__customer_predictions")
    codes = set(predictions.filter(regex="reason.*_code$").stack().dropna())
    assert len(codes) > 5
    assert codes <= features
