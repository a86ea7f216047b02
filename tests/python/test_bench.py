import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(autouse=True)
def _bench_modules(monkeypatch):
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCH)
    yield
    # Their names are too plain to stay among those of other tests.
    for name in {
        "accuracy",
        "cdnow",
        "common",
        "compare_features",
        "gates",
        "learning_curve",
        "nbd",
        "run",
        "value_accuracy",
    } & (set(sys.modules) - before):
        del sys.modules[name]


def test_growth_is_the_exponent_between_the_smallest_and_the_largest_size():
    from run import growth

    assert growth([100, 1_000, 10_000], [1.0, 5.0, 100.0]) == "1.00"
    assert growth([100, 10_000], [1.0, 10.0]) == "0.50"
    assert growth([100, 10_000], [None, 10.0]) == ""
    assert growth([100, 10_000], [0.001, 0.1], 0.2) == ""


def test_models_are_found_from_raw_rows_to_features():
    from run import ancestors, reads_raw

    def node(path, *parents):
        return {"original_file_path": path, "depends_on": {"nodes": [*parents]}}

    nodes = {
        "staging": node("models/staging/a.sql", "source"),
        "checked": node("models/intermediate/inputs/b.sql", "staging"),
        "features": node("models/intermediate/features/c.sql", "checked"),
        "mart": node("models/marts/d.sql", "features"),
    }

    assert ancestors(nodes, "features") == {"staging", "checked", "features"}
    assert [name for name in nodes if reads_raw(nodes, nodes[name])] == ["staging", "checked"]


def test_text_replaces_only_what_stands_between_its_marks(tmp_path):
    from common import write_between_marks

    page = tmp_path / "page.md"
    marks = "<!-- {0}: written by bench -->\nold {0}\n<!-- {0}: end -->\n"
    page.write_text("before\n" + marks.format("one") + "middle\n" + marks.format("two"))

    write_between_marks(page, "one", r"new \1")
    words = page.read_text()
    assert r"new \1" in words
    assert "old one" not in words
    assert all(kept in words for kept in ("before", "middle", "old two"))

    with pytest.raises(ValueError, match="lacks the marks"):
        write_between_marks(page, "three", "new")


def test_weighted_auc_is_that_of_scikit_learn():
    from learning_curve import weighted_auc

    generator = np.random.default_rng(1)
    y = generator.integers(0, 2, 300).astype(float)
    score = np.round(generator.normal(size=300) + y, 1)
    weight = generator.integers(0, 4, 300).astype(float)
    order = np.argsort(score, kind="stable")
    ties = np.cumsum(np.r_[0, np.diff(score[order]) > 0])

    found = weighted_auc(order, ties, y, weight)
    assert found == pytest.approx(roc_auc_score(y, score, sample_weight=weight))


def test_simulated_customers_are_possible_and_the_same_for_a_seed():
    from nbd import in_weeks, simulate

    customers = simulate(2000, seed=3)
    np.testing.assert_array_equal(customers, simulate(2000, seed=3))
    assert (customers != simulate(2000, seed=4)).any()
    for x, t_x, age in (customers.T, in_weeks(customers).T):
        assert ((t_x > 0) == (x > 0)).all()
        assert (t_x <= age).all()
    np.testing.assert_allclose(customers[:, 1:] * 7, np.round(customers[:, 1:] * 7), atol=1e-9)
    assert 0.2 < (customers[:, 0] > 0).mean() < 0.6


def test_a_benchmark_of_states_says_what_was_reached():
    from nbd import gap, targets

    one = {"parameters": {"r": 1.0, "alpha": 10.0, "a": 1.0, "b": 2.0}}
    other = {"parameters": {"r": 1.0, "alpha": 10.5, "a": 1.0, "b": 2.0}, "cpu_seconds": 9.0}
    assert gap(other, one) == pytest.approx(0.05)
    states = {**one, "cpu_seconds": 1.0, "peak_extra_bytes": 50e6}
    found = targets({"states": states, "days": other, "lifetimes": other})
    assert {name: is_met for name, (_, _, is_met) in found.items()} == {
        "CPU seconds of the states": True,
        "extra MB of the states": True,
        "parameters, states to customers": False,
        "times faster than lifetimes": False,
    }
    assert "times faster than lifetimes" not in targets({"states": states, "days": other})


def test_a_peer_as_good_as_coterie_is_neither_better_nor_worse():
    from accuracy import OWN, compare, is_better, is_worse

    rows, p = ranked_rows()
    noise = np.random.default_rng(2).uniform(0.05, 0.95, len(p))
    scorers = {
        OWN: {"roc_auc": p[np.newaxis], "log_loss": p[np.newaxis]},
        "same": {"roc_auc": p[np.newaxis], "log_loss": p[np.newaxis]},
        "noise": {"roc_auc": noise[np.newaxis], "log_loss": noise[np.newaxis]},
    }
    found = compare(rows, scorers, rounds=100, seed=1)
    for metric in ("roc_auc", "log_loss"):
        assert found["same"][f"{metric}_difference"] == 0
        assert not is_better(found["same"], metric)
        assert not is_worse(found["same"], metric)
        assert is_better(found["noise"], metric)
        assert found["noise"][f"{metric}_lower"] < found["noise"][f"{metric}_difference"]
    swapped = compare(
        rows, {**scorers, OWN: scorers["noise"], "noise": scorers[OWN]}, rounds=50, seed=1
    )
    assert is_worse(swapped["noise"], "roc_auc")
    assert is_worse(swapped["noise"], "log_loss")


def test_ranking_is_judged_within_a_group_and_loss_over_all_rows():
    from accuracy import OWN, compare

    rows, p = ranked_rows()
    # A level that moves from date to date changes no customer's rank on a date.
    moved = np.where(rows["group"] == "b", p / 4, p)
    other = np.random.default_rng(2).uniform(0.05, 0.95, len(p))
    fits = np.stack([moved, other])
    found = compare(
        rows,
        {
            OWN: {"roc_auc": p[np.newaxis], "log_loss": p[np.newaxis]},
            "moved": {"roc_auc": moved[np.newaxis], "log_loss": moved[np.newaxis]},
            "other": {"roc_auc": other[np.newaxis], "log_loss": other[np.newaxis]},
            "both": {"roc_auc": fits, "log_loss": fits},
        },
        rounds=20,
        seed=1,
    )
    by_group = [roc_auc_score(part["label"], p[part.index]) for _, part in rows.groupby("group")]
    assert found[OWN]["roc_auc"] == pytest.approx(np.mean(by_group))
    assert found["moved"]["roc_auc_difference"] == pytest.approx(0)
    assert found["moved"]["log_loss"] == pytest.approx(log_loss(rows["label"], moved))
    assert found["moved"]["predicted_over_observed"] < found[OWN]["predicted_over_observed"]
    for metric in ("roc_auc", "log_loss"):
        mean = (found["moved"][metric] + found["other"][metric]) / 2
        assert found["both"][metric] == pytest.approx(mean)


def ranked_rows():
    generator = np.random.default_rng(1)
    p = generator.uniform(0.05, 0.95, 800)
    rows = pd.DataFrame(
        {
            "group": ["a"] * 400 + ["b"] * 400,
            "unit": [*range(400), *range(400)],
            "label": (generator.random(800) < p).astype(int),
        }
    )
    return rows, p


def test_calibration_error_is_the_mean_gap_of_equal_bins():
    from accuracy import calibration_error

    labels = np.array([0] * 10 + [1] * 10)
    assert calibration_error(labels, labels.astype(float)) == 0
    assert calibration_error(labels, np.full(20, 0.5), bin_count=2) == pytest.approx(0.5)
    assert calibration_error(labels, np.repeat([0.1, 0.7], 10), bin_count=2) == pytest.approx(0.2)


def test_a_verdict_names_the_best_peer_and_the_worst_cut_off():
    from accuracy import CELL, NBD, OWN, SMALL, verdicts

    def line(auc, loss, difference, half=0.002):
        return {
            "roc_auc": auc,
            "roc_auc_difference": difference,
            "roc_auc_lower": difference - half,
            "roc_auc_upper": difference + half,
            "log_loss": loss,
            "log_loss_difference": -difference,
            "log_loss_lower": -difference - half,
            "log_loss_upper": -difference + half,
        }

    pooled = {
        OWN: line(0.75, 0.50, 0.0),
        SMALL: line(0.751, 0.501, -0.001),
        CELL: line(0.70, 0.55, 0.05),
        NBD: line(0.749, 0.501, 0.001),
    }
    parts = {"2024-01-01": pooled, "2024-01-31": {**pooled, SMALL: line(0.754, 0.5, -0.004)}}
    found = list(verdicts(pooled, parts).values())
    assert [is_met for is_met, _ in found] == [True, True, False, True, False]
    assert found[0][1].startswith(SMALL)
    assert "of 2024-01-31: -0.0040" in found[2][1]
    assert all(is_met for is_met, _ in list(verdicts(pooled, {"": pooled}).values())[:4])
    worse = {**pooled, SMALL: line(0.76, 0.49, -0.01)}
    assert [is_met for is_met, _ in verdicts(worse, {}).values()][:3] == [False, False, False]


def test_buyers_have_an_order_in_the_window_that_was_kept():
    from accuracy import buyers

    orders = pd.DataFrame(
        [
            ("before", "2024-01-31 23:00", 10, None),
            ("first", "2024-02-01 00:00", 10, None),
            ("part", "2024-02-05 00:00", 10, 4),
            ("refunded", "2024-02-05 00:00", 10, 10),
            (None, "2024-02-06 00:00", 10, None),
            ("last", "2024-02-10 23:59", 10, 0),
            ("after", "2024-02-11 00:00", 10, None),
        ],
        columns=["customer_id", "ordered_at", "order_amount", "refund_amount"],
    )
    orders["ordered_at"] = pd.to_datetime(orders["ordered_at"])
    assert buyers(orders, "2024-02-01", 10) == ["first", "last", "part"]
    with pytest.raises(SystemExit, match="choose an earlier cut-off"):
        buyers(orders, "2024-02-01", 12)


def test_peers_that_learn_nothing_give_known_rates():
    from accuracy import cell_rates, nbd_purchase_probability

    cells = pd.Series(["11"] * 30 + ["55"] * 10)
    outcomes = np.array([0] * 30 + [1] * 10)
    rates = cell_rates(cells, outcomes)(pd.Series(["11", "55", "33"]))
    np.testing.assert_allclose(rates, [2.5 / 40, 12.5 / 20, 0.25])

    customers = pd.DataFrame(
        {"rate_shape": [1.0, 1.0], "rate_weeks": [4.0, 4.0], "nbd_probability_alive": [1.0, 0.5]}
    )
    # (4 / (4 + 4)) ^ 1: an even chance of no order in four weeks.
    np.testing.assert_allclose(nbd_purchase_probability(customers, 28), [0.5, 0.25])


def test_names_become_columns_or_codes_and_time_keeps_whole_months():
    from accuracy import Rows, is_late

    rows = Rows(
        columns=pd.DataFrame({"age": [30, 40, 50], "job": ["b", "a", "b"]}),
        named=["job"],
        labels=np.array([0, 1, 0]),
        time=np.arange(3),
    )
    assert rows.one_hot().to_dict("list") == {
        "age": [30, 40, 50],
        "job_a": [0, 1, 0],
        "job_b": [1, 0, 1],
    }
    assert list(rows.one_hot(without=["job"]).columns) == ["age"]
    assert rows.codes()["job"].tolist() == [1, 0, 1]
    assert is_late(np.array([1, 3, 2, 3, 1]), 0.25).tolist() == [False, True, False, True, False]
    assert is_late(np.array([1, 3, 2, 3, 1]), 0.5).tolist() == [False, True, True, True, False]


def test_cut_offs_are_read_from_the_command_line(monkeypatch):
    from accuracy import CUTOFFS, parse_arguments

    monkeypatch.setenv("COTERIE_REAL_DATA", "data")
    assert parse_arguments([]).cutoffs == CUTOFFS
    given = parse_arguments(["--cutoffs", "purchase_30d=2011-08-11,2011-9-1"])
    assert given.cutoffs == {"purchase_30d": ["2011-08-11", "2011-09-01"]}
    with pytest.raises(SystemExit):
        parse_arguments(["--cutoffs", "2011-08-11"])
    monkeypatch.delenv("COTERIE_REAL_DATA")
    with pytest.raises(SystemExit):
        parse_arguments([])


def test_events_are_counted_before_a_day():
    from gates import Counts, Events

    counts = Counts(
        Events.of(np.array([2, 0, 0, 2]), np.array([5, 9, 3, 5]), np.array([1.0, 2.0, 4.0, 8.0]))
    )
    everybody = np.array([0, 1, 2])

    assert counts.count(everybody, 3, 9).tolist() == [1, 0, 2]
    assert counts.amount(everybody, -100, 10).tolist() == [6, 0, 9]
    np.testing.assert_array_equal(counts.first_day(everybody, 9), [3, np.nan, 5])
    np.testing.assert_array_equal(counts.last_day(everybody, 10), [9, np.nan, 5])
    np.testing.assert_array_equal(counts.last_day(everybody, 5), [3, np.nan, np.nan])


def test_simulated_cells_are_those_of_the_definitions():
    from gates import rfm_cells

    days = np.array([10, 20, 20, 40, 50, 500, np.nan])
    orders = np.array([1, 2, 3, 4, 5, 0, 0])
    cells = rfm_cells(days, orders, np.array([True] * 6 + [False]))
    assert cells.tolist() == ["r5f1", "r4f2", "r4f3", "r2f4", "r1f5", "lapsed", "prospect"]
    # All equal, and one alone, give the middle.
    assert rfm_cells(np.array([7.0]), np.array([1]), np.array([True])).tolist() == ["r3f1"]


def _simulated_rows(shop, seed=1):
    from gates import training_rows

    lifetime_value = {"settings_hash": "test", "refit_interval_days": 30}
    return training_rows(
        shop, seed, {"training_row_limit": 14_000, "lifetime_value": lifetime_value}
    )


def test_simulated_rows_see_only_what_came_before_them():
    import dataclasses

    from gates import AS_OF, Events, simulate_shop

    shop = simulate_shop(1000, seed=5)
    rows = _simulated_rows(shop).to_pandas()
    assert rows.equals(_simulated_rows(simulate_shop(1000, seed=5)).to_pandas())
    assert not rows.equals(_simulated_rows(simulate_shop(1000, seed=6)).to_pandas())
    assert 5000 < len(rows) <= 14_000
    assert 0.02 < rows["outcome"].mean() < 0.3
    assert rows["nbd_purchase_probability"].notna().mean() > 0.5

    # What happens after a date moves no feature of it, and the outcomes of the month before alone.
    past_days = shop.history_days - 300
    past = {
        name: Events(*(column[events.day < past_days] for column in dataclasses.astuple(events)))
        for name, events in [
            ("orders", shop.orders),
            ("sessions", shop.sessions),
            ("engaged_sessions", shop.engaged_sessions),
        ]
    }
    cut = _simulated_rows(dataclasses.replace(shop, **past)).to_pandas()
    age = (np.datetime64(AS_OF) - rows["as_of_date"].to_numpy("datetime64[D]")).astype(int)
    cut_age = (np.datetime64(AS_OF) - cut["as_of_date"].to_numpy("datetime64[D]")).astype(int)
    before = rows[age >= 300].drop(columns="outcome")
    assert len(before)
    assert before.equals(cut[cut_age >= 300].drop(columns="outcome"))
    assert rows[age >= 330].equals(cut[cut_age >= 330])
    assert rows.loc[age == 300, "outcome"].sum() > cut.loc[cut_age == 300, "outcome"].sum() == 0


def test_simulated_purchase_probability_is_that_of_the_model():
    from gates import purchase_probability

    from coterie.lifetime_value import ModifiedBetaGeometricNBD

    parameters = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}
    X = np.array([[0, 0, 30], [2, 210, 273], [9, 266, 273]])
    found = purchase_probability(parameters, *X.T, horizon_days=30)
    model = ModifiedBetaGeometricNBD.from_parameters(**parameters)
    weeks = X / np.array([1, 7, 7])
    np.testing.assert_allclose(found, model.probability_of_purchase(weeks, 30 / 7), rtol=1e-9)


def test_shuffled_outcomes_stay_with_their_date():
    from gates import shuffled_outcomes, simulate_shop

    rows = _simulated_rows(simulate_shop(1000, seed=5))
    shuffled = shuffled_outcomes(rows, seed=1)
    assert shuffled.drop_columns("outcome").equals(rows.drop_columns("outcome"))
    assert shuffled.equals(shuffled_outcomes(rows, seed=1))
    before, after = rows.to_pandas(), shuffled.to_pandas()
    by_date = before.groupby("as_of_date")["outcome"].sum()
    assert by_date.equals(after.groupby("as_of_date")["outcome"].sum())
    recent = "days_since_last_session"
    assert before.loc[before["outcome"] == 1, recent].median() < before[recent].median() * 0.8
    assert after.loc[after["outcome"] == 1, recent].median() > before[recent].median() * 0.8


def test_failed_conditions_of_a_gate_are_named():
    from gates import failed_conditions

    gates = {
        "min_training_positive_count": 200,
        "min_training_negative_count": 200,
        "min_test_positive_count": 50,
        "min_test_negative_count": 50,
        "min_test_origin_count": 2,
        "min_history_horizons": 3,
        "max_excess_calibration_error": 0.05,
        "min_predicted_over_observed": 0.8,
        "max_predicted_over_observed": 1.25,
    }
    good = {
        "training_positive_count": 200,
        "training_negative_count": 200,
        "test_positive_count": 50,
        "test_negative_count": 50,
        "test_origin_count": 2,
        "history_days": 90,
        "horizon_days": 30,
        "excess_calibration_error": 0.05,
        "predicted_over_observed_lower": 1.25,
        "predicted_over_observed_upper": 0.8,
    }
    gains = {"base_rate": 1e-9, "rfm_cell": 0.1}
    assert failed_conditions(good, gains, gates) == []
    assert failed_conditions(good, {**gains, "base_rate": 0.0}, gates) == ["better than base_rate"]
    assert failed_conditions(good, {**gains, "rfm_cell": None}, gates) == ["better than rfm_cell"]
    bad = {
        "test_positive_count": 49,
        "history_days": None,
        "excess_calibration_error": 0.06,
        "predicted_over_observed_lower": 1.3,
    }
    assert failed_conditions({**good, **bad}, gains, gates) == [
        "outcomes at the test dates",
        "history",
        "excess calibration error",
        "predicted not too many",
    ]
    few = failed_conditions({**good, "predicted_over_observed_upper": 0.7}, gains, gates)
    assert few == ["predicted not too few"]


def test_shares_of_gates_have_the_interval_of_wilson():
    from gates import (
        planned_jobs,
        report,
        shares,
        target_is_met,
        target_words,
        wilson_interval,
    )

    # Brown, Cai & DasGupta (2001): z^2 / (n + z^2) where none of n passes.
    assert wilson_interval(0, 100) == pytest.approx((0, 3.8416 / 103.8416), abs=1e-5)
    assert wilson_interval(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)

    shop = {"customer_count": 5000, "seconds": 2.0, "simulation_seconds": 1.0, "failed": []}
    shops = [
        {**shop, "kind": "sound", "gate_status": "published"},
        {**shop, "kind": "sound", "gate_status": "provisional"},
        {**shop, "kind": "sound", "gate_status": "miscalibrated", "failed": ["history"]},
        {**shop, "kind": "shuffled", "gate_status": "worse_than_baseline"},
    ]
    sound, shuffled = shares(shops)
    assert sound["passed_share"] == pytest.approx(2 / 3)
    assert sound["failed"] == {"history": 1}
    assert sound["mean_seconds"] == 3
    assert not target_is_met(sound)
    assert target_is_met(shuffled)
    words = report(shops, {}, "2026-11-22")
    assert "Measured on 2026-11-22." in words
    assert "at least 90.0 % pass; not met, though the interval holds it" in words
    assert "at most 5.0 % pass; met, but the interval reaches beyond it" in words

    many = {"kind": "sound", "passed_share": 0.95, "interval": (0.91, 0.97)}
    assert target_words(many) == "met"
    assert target_words({**many, "passed_share": 0.8, "interval": (0.7, 0.85)}) == "not met"

    assert planned_jobs([10, 20], [4, 2], 1) == [
        (10, 1),
        (20, 1),
        (10, 2),
        (10, 3),
        (20, 2),
        (10, 4),
    ]


def test_a_shop_is_judged_again_by_other_rules():
    from gates import passes

    gates = {
        "max_excess_calibration_error": 0.05,
        "min_predicted_over_observed": 0.8,
        "max_predicted_over_observed": 1.25,
    }
    shop = {
        "failed": [],
        "roc_auc": 0.7,
        "gain_over_base_rate": 0.02,
        "gain_over_base_rate_lower": 0.01,
        "gain_over_rfm_cell": 0.01,
        "gain_over_rfm_cell_lower": -0.001,
        "test_positive_count": 100,
        "test_negative_count": 1900,
        "excess_calibration_error": 0.01,
        "predicted_over_observed_lower": 0.75,
        "predicted_over_observed_upper": 0.95,
    }
    assert not passes(shop, gates)
    assert passes(shop, gates, standard_errors=1.644854)
    assert passes(shop, gates, rfm_cell_standard_errors=0)
    no_gain = {**shop, "gain_over_base_rate_lower": -1}
    assert not passes(no_gain, gates, rfm_cell_standard_errors=0)
    # As much worse on the mean as the interval is wide, and a little more.
    for mean, is_passed in [(-0.010, True), (-0.012, False)]:
        worse = {**shop, "gain_over_rfm_cell": mean, "gain_over_rfm_cell_lower": mean - 0.011}
        assert passes(worse, gates, rfm_cell_standard_errors=-1.959964) == is_passed
    good = {**shop, "gain_over_rfm_cell_lower": 0.001}
    assert passes(good, gates)
    assert not passes(good, gates, is_ratio_strict=True)
    assert passes(good, gates, max_relative_excess=0.2)
    assert not passes(good, gates, max_relative_excess=0.19)
    assert not passes({**good, "predicted_over_observed_upper": 0.7}, gates)
    assert not passes({**good, "failed": ["history"]}, gates)
    assert not passes({"failed": ["outcomes to learn from"]}, gates)


def test_distorted_probabilities_are_those_of_the_model_alone():
    import pyarrow as pa
    from gates import distorted

    backtests = pa.table(
        {
            "scorer_name": ["model", "base_rate", "model"],
            "probability": [0.1, 0.2, 0.3],
        }
    )
    inflated = distorted(backtests, "inflated")["probability"].to_pylist()
    assert inflated == pytest.approx([0.15, 0.2, 0.45])
    # The odds of the mean are 1/4: those of 0.1 are 4/9 of it, and become 16/81 of it.
    odds = [0.25 * (4 / 9) ** 2, 0.25, 0.25 * (12 / 7) ** 2]
    overconfident = distorted(backtests, "overconfident")["probability"].to_pylist()
    assert overconfident == pytest.approx([odd / (1 + odd) for odd in odds])


def cdnow_orders(path):
    """Customers who ordered once, twice and often until 1997-09-30, and then again or not."""
    days = {
        1: ["1997-01-01", "1997-10-01", "1998-06-30", "1998-07-01"],
        2: ["1997-01-01", "1997-01-08", "1997-01-08"],
        3: [*(f"1997-0{month}-01" for month in range(1, 10)), "1997-09-30", "1997-12-24"],
    }
    rows = [(customer, day) for customer, of_customer in days.items() for day in of_customer]
    pd.DataFrame(rows, columns=["customer_id", "order_date"]).to_parquet(path)


def test_cdnow_is_cut_between_what_is_learned_from_and_what_is_expected(tmp_path):
    from cdnow import by_repeats, draw, read_customers, report

    cdnow_orders(tmp_path / "orders.parquet")
    customers = read_customers(tmp_path / "orders.parquet")
    np.testing.assert_allclose(
        customers[["x", "t_x", "T"]], [[0, 0, 272 / 7], [1, 1, 272 / 7], [9, 272 / 7, 272 / 7]]
    )
    # The first day after the cut and the last of the 39 weeks count, the day after does not.
    assert customers["actual"].tolist() == [2, 0, 1]

    expected = {"mbg_nbd": np.array([0.5, 0.25, 2.0]), "bg_nbd": np.array([1.0, 0.5, 3.0])}
    table = by_repeats(customers, expected)
    assert table.index.tolist() == [0, 1, 7]
    assert table["customers"].tolist() == [1, 1, 1]
    words = report(table, {"mbg_nbd": "MBG/NBD", "bg_nbd": "BG/NBD"})
    assert "| 7 and more" in words
    assert "-8.3 %" in words
    assert "+50.0 %" in words

    draw(table, tmp_path / "figures" / "figure.svg")
    figure = ElementTree.parse(tmp_path / "figures" / "figure.svg").getroot()
    shapes = [element.tag.rpartition("}")[2] for element in figure.iter()]
    # Three points are uses of one marker; the legend shows another.
    assert shapes.count("use") >= 3
    assert shapes.count("title") == 1


@pytest.mark.real_data
@pytest.mark.skipif(
    "COTERIE_REAL_DATA" not in os.environ, reason="COTERIE_REAL_DATA does not name the data folder"
)
def test_expected_orders_of_cdnow_are_those_of_another_implementation():
    from cdnow import NAMES, by_repeats, expected_orders, read_customers

    customers = read_customers(
        Path(os.environ["COTERIE_REAL_DATA"]) / "cdnow" / "cdnow_sample.parquet"
    )
    expected = {family: expected_orders(customers, family) for family in NAMES}
    found = by_repeats(customers, expected).drop(columns="customers").T.round(4)
    # The package lifetimes 0.11.3 for the same customers.
    np.testing.assert_allclose(
        found,
        [
            [0.2367, 0.6970, 1.3925, 1.5600, 2.5323, 2.9474, 3.8621, 6.3594],
            [0.1852, 0.5514, 1.0490, 1.4929, 2.1043, 2.5636, 3.3608, 5.8485],
            [0.2251, 0.5231, 1.0441, 1.5203, 2.1639, 2.6538, 3.5040, 6.1572],
        ],
        atol=1.5e-4,
    )


def values_of_two_dates():
    generator = np.random.default_rng(1)
    actual = np.where(generator.random(600) < 0.4, generator.lognormal(3, 1, 600), 0.0)
    rows = pd.DataFrame(
        {"group": ["a"] * 300 + ["b"] * 300, "unit": [*range(300), *range(300)], "actual": actual}
    )
    return rows, 0.3 * actual + generator.lognormal(2, 0.5, 600)


def test_values_are_compared_within_a_date_and_paired_by_customer():
    from value_accuracy import OWN, compare, is_worse

    rows, good = values_of_two_dates()
    noise = np.random.default_rng(2).permutation(good)
    # A level that moves from date to date changes no customer's rank on a date.
    moved = np.where(rows["group"] == "b", good * 4, good)
    scorers = {
        OWN: good[np.newaxis],
        "same": good[np.newaxis],
        "moved": moved[np.newaxis],
        "noise": noise[np.newaxis],
        "both": np.stack([good, noise]),
    }
    found = compare(rows, scorers, rounds=100, seed=1)
    for metric in ("mae", "normalised_gini", "spearman", "top_decile_share"):
        assert found["same"][f"{metric}_difference"] == 0
        assert found["same"][f"{metric}_lower"] == found["same"][f"{metric}_upper"] == 0
        assert not is_worse(found["same"], metric)
        mean = (found[OWN][metric] + found["noise"][metric]) / 2
        assert found["both"][metric] == pytest.approx(mean)
    assert found["moved"]["normalised_gini_difference"] == pytest.approx(0)
    assert found["moved"]["mae_difference"] < 0
    assert found["noise"]["normalised_gini_lower"] > 0
    swapped = compare(
        rows, {**scorers, OWN: scorers["noise"], "noise": scorers[OWN]}, rounds=50, seed=1
    )
    assert is_worse(swapped["noise"], "normalised_gini")
    assert is_worse(swapped["noise"], "mae")
    by_date = [
        np.abs(part["actual"] - good[part.index]).mean() for _, part in rows.groupby("group")
    ]
    assert found[OWN]["mae"] == pytest.approx(np.mean(by_date))


def test_a_verdict_on_values_names_the_best_peer():
    from value_accuracy import LIGHTGBM, NBD, OWN, verdicts

    def line(gini, gain, more_error, half=0.01):
        return {
            "normalised_gini": gini,
            "normalised_gini_difference": gain,
            "normalised_gini_lower": gain - half,
            "normalised_gini_upper": gain + half,
            "mae": 10 - more_error,
            "mae_difference": more_error,
            "mae_lower": more_error - half,
            "mae_upper": more_error + half,
        }

    compared = {OWN: line(0.7, 0, 0), NBD: line(0.66, 0.04, -1), LIGHTGBM: line(0.705, -0.005, 1)}
    found = verdicts("cdnow", compared)
    assert [is_met for is_met, _ in found.values()] == [True, True, True]
    assert LIGHTGBM in next(iter(found))
    assert len(verdicts("online_retail", compared)) == 2
    compared |= {NBD: line(0.68, 0.02, 0.1), LIGHTGBM: line(0.72, -0.02, 1)}
    found = verdicts("cdnow", compared)
    assert [is_met for is_met, _ in found.values()] == [False, False, False]


def test_amounts_after_a_date_are_those_of_its_window_less_refunds():
    from value_accuracy import amounts_after

    orders = pd.DataFrame(
        [
            ("1", "2024-01-31 23:00", 10, None),
            ("1", "2024-02-01 00:00", 10, None),
            ("1", "2024-02-05 00:00", 10, 4),
            ("2", "2024-02-05 00:00", 10, 12),
            (None, "2024-02-06 00:00", 10, None),
            ("3", "2024-02-10 23:59", 10, 0),
            ("3", "2024-02-11 00:00", 10, None),
        ],
        columns=["customer_id", "ordered_at", "order_amount", "refund_amount"],
    )
    orders["ordered_at"] = pd.to_datetime(orders["ordered_at"])
    customers = pd.Series(["1", "2", "3", "4"])
    found = amounts_after(orders, customers, "2024-02-01", 10)
    assert found.tolist() == [16, 0, 10, 0]
    without_refunds = orders.drop(columns="refund_amount")
    assert amounts_after(without_refunds, customers, "2024-02-01", 10).tolist() == [20, 10, 10, 0]
    with pytest.raises(SystemExit, match="choose an earlier cut-off"):
        amounts_after(orders, customers, "2024-02-01", 12)


def test_trees_in_two_stages_learn_who_spends_and_how_much():
    from value_accuracy import two_stage_amounts

    generator = np.random.default_rng(1)
    X = pd.DataFrame(generator.integers(0, 2, (4000, 2)).astype(float), columns=["buys", "much"])
    bought = generator.random(4000) < np.where(X["buys"] == 1, 0.8, 0.2)
    spent = np.where(X["much"] == 1, 100, 10) * generator.lognormal(0, 0.5, 4000)
    rows = pd.DataFrame([[0, 0], [0, 1], [1, 0], [1, 1]], columns=["buys", "much"], dtype=float)
    found = two_stage_amounts(X, np.where(bought, spent, 0.0), rows, seed=1, fit_count=2)
    assert found.shape == (2, 4)
    mean = np.exp(0.5**2 / 2)
    np.testing.assert_allclose(found.mean(axis=0), np.array([2, 20, 8, 80]) * mean, rtol=0.15)
