import datetime

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from coterie.quality import (
    BACKTEST_INTERVAL_SCHEMA,
    METRICS,
    bootstrap_intervals,
    centred_interval,
    draw_weights,
    weighted_metrics,
)

DAY = datetime.date(2024, 2, 1)

#: Eight rows of six customers, the same as in the unit tests of int_coterie__backtest_metrics.
CUSTOMER = np.array([0, 0, 1, 2, 3, 4, 4, 5])
OUTCOME = np.array([1, 1, 0, 1, 0, 1, 0, 0])
PROBABILITY = np.array([0.75, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.25])


def weighted(weights, customer=CUSTOMER, outcome=OUTCOME, probability=PROBABILITY):
    weights = np.asarray(weights, dtype=float).reshape(-1, 1)
    metrics = weighted_metrics(customer, outcome, probability, weights)
    return {name: values[0] for name, values in metrics.items()}


def simulated(count=2000, seed=0, customer_count=None, scorers=("model",), shift=0.0):
    """Back-tests at one or several dates of customers who have a level of their own."""
    rng = np.random.default_rng(seed)
    customer = np.arange(count) % (customer_count or count)
    level = rng.normal(-1.5, 1.2, customer.max() + 1)
    outcome = (rng.random(count) < expit(level[customer])).astype(int)
    origin = [DAY + datetime.timedelta(days=30 * int(i)) for i in np.arange(count) // len(level)]
    return pa.concat_tables(
        pa.table(
            {
                "model_name": ["purchase_30d"] * count,
                "model_version": ["v1"] * count,
                "origin": pa.array(origin, pa.date32()),
                "scorer_name": [scorer] * count,
                "customer_id": [f"c{i:05d}" for i in customer],
                "outcome": outcome,
                "probability": expit(np.round((level[customer] + shift) / (1 + place), 4)),
            }
        )
        for place, scorer in enumerate(scorers)
    )


def interval(table, metric_name, origin="pooled", scorer_name="model"):
    found = [
        row
        for row in table.to_pylist()
        if (row["metric_name"], row["origin"], row["scorer_name"])
        == (metric_name, origin, scorer_name)
    ]
    assert len(found) == 1
    return found[0]


def test_metrics_are_those_of_the_hand_computed_example():
    # Two of the three rows at 0.75 are outcomes; bins of three, two and three rows.
    assert weighted(np.ones(6)) == {
        "top_decile_lift": pytest.approx((2 / 3) / (1 / 2)),
        "calibration_error": pytest.approx((0.25 + 0 + 0.25) / 8),
        "excess_calibration_error": pytest.approx(-0.1576270531, abs=1e-10),
    }


@pytest.mark.parametrize("seed", range(20))
def test_a_weight_counts_as_that_many_copies_of_the_customers_rows(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    customer = rng.integers(0, 25, count)
    outcome = rng.integers(0, 2, count)
    probability = rng.integers(1, 12, count) / 12
    weights = rng.integers(0, 4, 25)
    if not weights[customer].any():
        weights[customer] = 1
    copies = np.repeat(np.arange(count), weights[customer])
    copied = weighted(np.ones(25), customer[copies], outcome[copies], probability[copies])
    for name, value in weighted(weights, customer, outcome, probability).items():
        np.testing.assert_allclose(value, copied[name], atol=1e-12)


def test_metrics_follow_their_definitions_row_by_row():
    rng = np.random.default_rng(5)
    probability = rng.integers(1, 40, 500) / 40
    outcome = (rng.random(500) < probability).astype(int)
    below = np.array([(probability < p).sum() for p in probability])
    above = np.array([(probability > p).sum() for p in probability])
    error = excess = 0.0
    for number in range(10):
        rows = 10 * below // 500 == number
        difference = abs(probability[rows].sum() - outcome[rows].sum())
        error += difference / 500
        variance = (probability[rows] * (1 - probability[rows])).sum()
        excess += (difference - np.sqrt(2 / np.pi * variance)) / 500
    assert weighted(np.ones(500), np.arange(500), outcome, probability) == {
        "top_decile_lift": pytest.approx(outcome[above < 50].mean() / outcome.mean()),
        "calibration_error": pytest.approx(error),
        "excess_calibration_error": pytest.approx(excess),
    }


def test_draws_hold_as_many_customers_as_there_are():
    weights = draw_weights(50, 400, np.random.default_rng(0))
    assert weights.shape == (50, 400)
    np.testing.assert_array_equal(weights.sum(axis=0), 50)
    # A customer is drawn once on average, with the variance of a binomial of 50 at 1/50.
    assert weights.mean(axis=1) == pytest.approx(1, abs=0.25)
    assert weights.var() == pytest.approx(0.98, abs=0.05)


def test_there_is_a_row_for_each_round_scorer_and_metric():
    backtests = simulated(600, customer_count=200, scorers=("model", "base_rate", "bg_nbd"))
    table = bootstrap_intervals(backtests, None)
    assert table.schema == BACKTEST_INTERVAL_SCHEMA
    rounds = {"2024-02-01", "2024-03-02", "2024-04-01", "pooled"}
    assert set(table["origin"].to_pylist()) == rounds
    assert table.num_rows == len(rounds) * 3 * len(METRICS)
    assert set(table["draw_count"].to_pylist()) == {200}


@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_an_interval_holds_its_metric(shift):
    for row in bootstrap_intervals(simulated(shift=shift), None).to_pylist():
        assert row["interval_lower"] <= row["metric_value"] <= row["interval_upper"], row


def test_intervals_tell_how_far_a_metric_varies_from_shop_to_shop():
    shops = [
        bootstrap_intervals(simulated(1500, seed=seed, shift=0.4), None, draw_count=100)
        for seed in range(60)
    ]
    for metric_name in METRICS:
        rows = [interval(shop, metric_name) for shop in shops]
        mean = np.mean([row["metric_value"] for row in rows])
        held = [row["interval_lower"] <= mean <= row["interval_upper"] for row in rows]
        # 95 % of 60, give or take three standard errors.
        assert np.mean(held) >= 0.86, metric_name
        width = np.mean([row["interval_upper"] - row["interval_lower"] for row in rows])
        spread = 2 * 1.96 * np.std([row["metric_value"] for row in rows])
        assert 0.75 < width / spread < 1.35, metric_name


def test_rows_of_one_customer_are_no_independent_evidence():
    once = simulated(1000, seed=1)
    again = once.set_column(
        2, "origin", pa.array([DAY + datetime.timedelta(days=30)] * 1000, pa.date32())
    )
    alone = interval(bootstrap_intervals(once, None), "top_decile_lift", "2024-02-01")
    twice = interval(bootstrap_intervals(pa.concat_tables([once, again]), None), "top_decile_lift")
    assert twice["metric_value"] == pytest.approx(alone["metric_value"])
    width = [row["interval_upper"] - row["interval_lower"] for row in (alone, twice)]
    # Were they independent, twice the rows would make it narrower by a factor of 0.71.
    assert width[1] == pytest.approx(width[0], rel=0.15)


def test_the_same_rows_give_the_same_intervals_in_any_order_and_company():
    backtests = simulated(300, customer_count=100, scorers=("model", "base_rate"))
    shuffled = backtests.take(np.random.default_rng(2).permutation(backtests.num_rows))
    other = backtests.set_column(1, "model_version", pa.array(["v2"] * backtests.num_rows))
    first = bootstrap_intervals(backtests, None)
    assert bootstrap_intervals(shuffled, None).equals(first)
    both = bootstrap_intervals(pa.concat_tables([other, backtests]), None)
    of_first = [version == "v1" for version in both["model_version"].to_pylist()]
    assert both.filter(pa.array(of_first)).equals(first)


def test_a_version_is_drawn_once_and_nothing_when_empty():
    backtests = simulated(100)
    table = bootstrap_intervals(backtests, None)
    assert bootstrap_intervals(backtests, table).num_rows == 0
    assert bootstrap_intervals(backtests, table.slice(0, 0)).equals(table)
    for nothing in (
        bootstrap_intervals(backtests, None, is_empty=True),
        bootstrap_intervals(backtests.slice(0, 0), None),
    ):
        assert nothing.num_rows == 0
        assert nothing.schema == BACKTEST_INTERVAL_SCHEMA


def test_what_is_not_defined_is_null():
    one = simulated(1)
    one = one.set_column(5, "outcome", pa.array([0]))
    table = bootstrap_intervals(one, None)
    lift = interval(table, "top_decile_lift")
    assert (lift["metric_value"], lift["interval_lower"]) == (None, None)
    error = interval(table, "calibration_error")
    assert error["metric_value"] is not None
    assert (error["interval_lower"], error["interval_upper"]) == (None, None)


def test_wrong_input_is_refused_by_name():
    backtests = simulated(10)
    with pytest.raises(ValueError, match="the back-tests has no column probability"):
        bootstrap_intervals(backtests.drop_columns("probability"), None)
    with pytest.raises(ValueError, match="outcome holds other values"):
        bootstrap_intervals(backtests.set_column(5, "outcome", pa.array([2] * 10)), None)
    with pytest.raises(ValueError, match="draw_count is 1"):
        bootstrap_intervals(backtests, None, draw_count=1)


def test_an_interval_holds_its_metric_where_few_draws_pull_the_mean_beyond_a_percentile():
    draws = np.r_[np.zeros(198), 50.0, 60.0]
    lower, upper = centred_interval(0.0, draws)
    assert lower <= 0.0 <= upper
