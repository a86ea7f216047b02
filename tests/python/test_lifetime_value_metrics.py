import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import spearmanr

from coterie.lifetime_value.metrics import (
    VALUE_METRICS_SCHEMA,
    value_metrics,
    weighted_value_metrics,
)

DAY = datetime.date(2024, 1, 1)
ORIGINS = [DAY, DAY + datetime.timedelta(days=30)]


def backtest(predictions, actual, version="v1", origin=DAY, cohort="a", segment="s"):
    """Rows of one version at one origin; each scorer's predictions of the same customers."""
    count = len(actual)
    parts = []
    for scorer_name, predicted in predictions.items():
        predicted = np.asarray(predicted, dtype=float)
        is_model = scorer_name == "model"
        parts.append(
            pa.table(
                {
                    "model_name": ["value_90d"] * count,
                    "model_version": [version] * count,
                    "origin": pa.array([origin] * count, pa.date32()),
                    "scorer_name": [scorer_name] * count,
                    "customer_id": [f"c{number:04}" for number in range(count)],
                    "cohort": [cohort] * count if isinstance(cohort, str) else cohort,
                    "rfm_segment_code": pa.array(
                        [segment] * count if isinstance(segment, str) else segment, pa.string()
                    ),
                    "actual_amount": np.asarray(actual, dtype=float),
                    "predicted_amount": predicted,
                    "value_lower": pa.array(
                        predicted / 2 if is_model else [None] * count, pa.float64()
                    ),
                    "value_upper": pa.array(
                        predicted * 2 if is_model else [None] * count, pa.float64()
                    ),
                }
            )
        )
    return pa.concat_tables(parts)


def measure(rows, stored=None, **changed):
    settings = {"is_empty": "False", "draw_count": 50, **changed}
    return value_metrics(rows, stored, as_of_date=DAY, settings=settings)


def by_metric(metrics, scorer_name="model", origin="pooled", group_value="all"):
    return {
        row["metric_name"]: row
        for row in metrics.to_pylist()
        if (row["scorer_name"], row["origin"], row["group_value"])
        == (scorer_name, origin, group_value)
    }


def values_of(actual, predicted, **others):
    actual, predicted = np.asarray(actual, float), np.asarray(predicted, float)
    found = weighted_value_metrics(
        np.arange(len(actual)), actual, predicted, np.ones((len(actual), 1)), **others
    )
    return {name: values[0] for name, values in found.items()}


def lognormal_case(count=300, seed=0):
    rng = np.random.default_rng(seed)
    actual = np.where(rng.random(count) < 0.4, rng.lognormal(3, 1, count), 0.0)
    return actual, 0.3 * actual + rng.lognormal(2, 1, count)


def test_a_perfect_prediction_has_the_best_of_each_metric():
    actual = np.arange(20.0)
    found = values_of(actual, actual, lower=actual, upper=actual)
    assert found["bias"] == 0
    assert found["predicted_over_observed"] == 1
    assert found["mae"] == 0
    assert found["spearman"] == pytest.approx(1)
    assert found["normalised_gini"] == pytest.approx(1)
    # The two highest of twenty bring 37 of 190.
    assert found["top_decile_share"] == pytest.approx(37 / 190)
    assert found["interval_coverage"] == 1


def test_the_reverse_order_has_a_normalised_gini_of_minus_1():
    actual = np.arange(1.0, 11)
    found = values_of(actual, -actual)
    assert found["normalised_gini"] == pytest.approx(-1)
    assert found["spearman"] == pytest.approx(-1)


def test_metrics_of_four_customers_are_those_worked_out_by_hand():
    found = values_of(
        [0, 10, 30, 60], [5, 20, 10, 40], lower=np.array([0, 0, 20, 50]), upper=np.full(4, 55.0)
    )
    assert found["predicted_over_observed"] == pytest.approx(75 / 100)
    assert found["bias"] == pytest.approx(-0.25)
    assert found["mae"] == pytest.approx((5 + 10 + 20 + 20) / 4)
    # Shares reached in the order of the predictions: .6, .7, 1, 1; in their own: .6, .9, 1, 1.
    curve = (0.3 + 0.65 + 0.85 + 1.0) / 4 - 0.5
    own = (0.3 + 0.75 + 0.95 + 1.0) / 4 - 0.5
    assert found["normalised_gini"] == pytest.approx(curve / own)
    # A tenth of four customers is two fifths of the first one.
    assert found["top_decile_share"] == pytest.approx(0.4 * 0.6)
    assert found["interval_coverage"] == pytest.approx(0.75)


def test_equal_predictions_share_what_they_hold_whatever_their_order():
    actual = np.array([100.0, 0, 0, 0, 50, 0, 0, 0, 0, 0])
    for order in (np.arange(10), np.arange(10)[::-1], np.random.default_rng(0).permutation(10)):
        found = values_of(actual[order], np.ones(10))
        assert found["normalised_gini"] == pytest.approx(0)
        assert found["top_decile_share"] == pytest.approx(0.1)
        assert np.isnan(found["spearman"])


def test_spearman_is_that_of_scipy_with_ties():
    actual, predicted = lognormal_case()
    predicted = np.round(predicted, -1)
    assert values_of(actual, predicted)["spearman"] == pytest.approx(
        spearmanr(actual, predicted).statistic
    )


def test_a_weight_counts_as_so_many_rows():
    actual, predicted = lognormal_case(60)
    predicted = np.round(predicted)
    weights = np.random.default_rng(1).integers(0, 4, (60, 3)).astype(float)
    customer = np.arange(60)
    found = weighted_value_metrics(
        customer, actual, predicted, weights, predicted * 0.5, predicted * 2
    )
    for column in range(3):
        rows = np.repeat(customer, weights[:, column].astype(int))
        expected = values_of(
            actual[rows], predicted[rows], lower=predicted[rows] * 0.5, upper=predicted[rows] * 2
        )
        for name, values in found.items():
            assert values[column] == pytest.approx(expected[name]), name


@pytest.mark.parametrize(
    ("actual", "undefined"),
    [
        (np.zeros(8), {"predicted_over_observed", "bias", "normalised_gini", "top_decile_share"}),
        (np.full(8, 5.0), {"normalised_gini"}),
    ],
)
def test_what_is_not_defined_is_null_with_its_interval(actual, undefined):
    metrics = by_metric(measure(backtest({"model": np.arange(8)}, actual)))
    for name, row in metrics.items():
        is_undefined = name in {*undefined, "spearman"}
        assert (row["metric_value"] is None) == is_undefined, name
        if is_undefined:
            assert row["interval_lower"] is row["interval_upper"] is None


def test_one_customer_has_no_interval():
    metrics = by_metric(measure(backtest({"model": [3.0]}, [4.0])))
    assert metrics["mae"]["metric_value"] == 1
    assert metrics["mae"]["interval_lower"] is None


def two_origins():
    parts = []
    for seed, origin in enumerate(ORIGINS):
        actual, predicted = lognormal_case(200, seed)
        scorers = {
            "model": predicted,
            "last_period": np.roll(actual, 1),
            "cohort_mean": np.full(200, 4.0),
        }
        if seed:
            scorers["nbd"] = predicted / 2
        cohort = ["a"] * 150 + ["b"] * 50
        segment = [None] * 30 + ["loyal"] * 170
        parts.append(backtest(scorers, actual, origin=origin, cohort=cohort, segment=segment))
    return pa.concat_tables(parts)


def test_each_round_scorer_and_group_has_its_rows():
    metrics = measure(two_origins(), min_group_customer_count=50)
    assert metrics.schema == VALUE_METRICS_SCHEMA
    rounds = {
        (row["origin"], row["scorer_name"], row["group_name"], row["group_value"])
        for row in metrics.to_pylist()
    }
    scorers = ["model", "last_period", "cohort_mean"]
    expected = {
        (origin, scorer, "all", "all")
        for origin in ["2024-01-01", "2024-01-31", "pooled"]
        for scorer in scorers
    }
    expected |= {("2024-01-31", "nbd", "all", "all"), ("pooled", "nbd", "all", "all")}
    for group in [("cohort", "a"), ("cohort", "b"), ("rfm_segment", "loyal")]:
        expected |= {("pooled", scorer, *group) for scorer in ("model", "cohort_mean")}
    # 30 customers without a segment are too few.
    assert rounds == expected
    key = ["model_name", "model_version", "origin", "scorer_name", "group_name", "group_value"]
    assert metrics.equals(metrics.sort_by([(name, "ascending") for name in [*key, "metric_name"]]))
    assert by_metric(metrics, group_value="loyal")["row_count"]["metric_value"] == 340
    counts = {
        row["scorer_name"]: row["metric_value"]
        for row in metrics.to_pylist()
        if row["metric_name"] == "row_count" and row["origin"] == "pooled"
        if row["group_name"] == "all"
    }
    assert counts == {"model": 400, "last_period": 400, "cohort_mean": 400, "nbd": 200}
    buyers = by_metric(metrics)["buyer_count"]["metric_value"]
    assert buyers == sum((lognormal_case(200, seed)[0] > 0).sum() for seed in (0, 1))


def test_gains_are_differences_on_the_rows_that_both_predicted():
    rows = two_origins()
    found = by_metric(measure(rows))
    last = by_metric(measure(rows), "last_period")
    gain = found["mae_gain_over_last_period"]
    assert gain["metric_value"] == pytest.approx(
        last["mae"]["metric_value"] - found["mae"]["metric_value"]
    )
    assert gain["interval_lower"] < gain["metric_value"] < gain["interval_upper"]
    assert found["normalised_gini_gain_over_cohort_mean"]["metric_value"] == pytest.approx(
        found["normalised_gini"]["metric_value"]
    )
    # Where a scorer lacks the first origin, both are compared at the second one.
    is_first = pc.equal(rows["origin"], pa.scalar(ORIGINS[0], pa.date32()))
    is_last_period = pc.equal(rows["scorer_name"], "last_period")
    partly = measure(rows.filter(pc.invert(pc.and_(is_first, is_last_period))))
    alone = by_metric(partly, origin="2024-01-31")["mae_gain_over_last_period"]
    assert by_metric(partly)["mae_gain_over_last_period"]["metric_value"] == pytest.approx(
        alone["metric_value"]
    )


def test_paired_intervals_are_narrower_than_those_of_the_parts():
    actual, predicted = lognormal_case(400)
    rows = backtest({"model": predicted, "last_period": predicted + 1}, actual)
    metrics = by_metric(measure(rows))
    width = {
        name: metrics[name]["interval_upper"] - metrics[name]["interval_lower"]
        for name in ("mae", "mae_gain_over_last_period")
    }
    assert width["mae_gain_over_last_period"] < width["mae"] / 2


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = values_of(*lognormal_case(200_000, seed=99))
    hits = dict.fromkeys(["mae", "normalised_gini", "predicted_over_observed", "spearman"], 0)
    for seed in range(60):
        actual, predicted = lognormal_case(300, seed)
        found = by_metric(measure(backtest({"model": predicted}, actual), draw_count=200))
        for name in hits:
            row = found[name]
            hits[name] += row["interval_lower"] <= truth[name] <= row["interval_upper"]
    assert min(hits.values()) >= 50


def test_the_order_of_the_rows_and_other_versions_change_nothing():
    rows = two_origins()
    metrics = measure(rows)
    shuffled = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    assert measure(shuffled).equals(metrics)
    other = backtest({"model": [1.0, 2.0]}, [1.0, 3.0], version="v2")
    both = measure(pa.concat_tables([rows, other]))
    assert both.filter(pc.equal(both["model_version"], "v1")).equals(metrics)


def test_chunks_of_draws_are_no_matter(monkeypatch):
    rows = two_origins()
    metrics = measure(rows)
    monkeypatch.setattr("coterie.lifetime_value.metrics.CHUNK_SIZE", 3000)
    assert measure(rows).equals(metrics)


def test_a_version_is_measured_once():
    rows = two_origins()
    stored = pa.table({"model_version": ["v1"]})
    assert measure(rows, stored).equals(VALUE_METRICS_SCHEMA.empty_table())
    assert measure(rows, is_empty="True").num_rows == 0
    assert value_metrics(rows, None, as_of_date=None, settings={}).num_rows == 0
    assert measure(rows.slice(0, 0)).equals(VALUE_METRICS_SCHEMA.empty_table())


def test_wrong_input_is_named():
    rows = two_origins()
    with pytest.raises(ValueError, match="no column cohort"):
        measure(rows.drop_columns(["cohort"]))
    with pytest.raises(ValueError, match="several rows"):
        measure(pa.concat_tables([rows, rows]))
    with pytest.raises(ValueError, match="at least 2 draws"):
        measure(rows, draw_count=1)
    missing = rows.set_column(
        rows.column_names.index("actual_amount"),
        "actual_amount",
        pa.nulls(rows.num_rows, pa.float64()),
    )
    with pytest.raises(ValueError, match="actual_amount"):
        measure(missing)
