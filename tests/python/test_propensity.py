import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.special import expit, logit
from sklearn.metrics import log_loss, roc_auc_score
from threadpoolctl import threadpool_limits

from coterie import learning
from coterie.additive import AdditiveClassifier
from coterie.binning import fit_feature_bins
from coterie.learning import calibration_rows
from coterie.propensity import (
    BASELINE_RATES_SCHEMA,
    PROPENSITY_BACKTEST_SCHEMA,
    PROPENSITY_WEIGHTS_SCHEMA,
    backtest_propensity,
    fit_baseline_rates,
    fit_propensity_weights,
)

DAY = datetime.date(2024, 1, 1)
FEATURES = ["a", "b", "c"]
SETTINGS = {
    "features": FEATURES,
    "settings_hash": "s",
    "bin_settings_hash": "bins",
    "code_version": "1",
    "refit_interval_days": "30",
    "predictions": {
        "purchase_30d": {"horizon_days": 30, "is_purchase": True, "left_out_features": []},
        "purchase_90d": {"horizon_days": 90, "is_purchase": True, "left_out_features": []},
    },
    "min_rows_to_boost": 500,
    "min_positives_to_learn": 50,
    "min_positive_count": 50,
    "min_negative_count": 50,
    "max_iter_candidates": [20, 40],
    "is_empty": "False",
}


def training_rows(
    origin_count=8, per_origin=150, seed=0, level=lambda days_back: 0.0, model="purchase_30d"
):
    """Customers at origins 30 days apart, with a level of the log-odds that may move."""
    rng = np.random.default_rng(seed)
    parts = []
    for step in range(1, origin_count + 1):
        X = rng.normal(size=(per_origin, 3))
        log_odds = X[:, 0] + np.abs(X[:, 1]) - 1.5 + level(30 * step)
        parts.append(
            pa.table(
                {
                    "model_name": [model] * per_origin,
                    "as_of_date": [DAY - datetime.timedelta(days=30 * step)] * per_origin,
                    "customer_id": [f"c{i}" for i in range(per_origin)],
                    "outcome": (rng.random(per_origin) < expit(log_odds)).astype(int),
                    "rfm_cell": np.digitize(X[:, 0], [-1, 0, 1]).astype(str),
                    "a": X[:, 0],
                    "b": X[:, 1],
                    "c": X[:, 2],
                }
            )
        )
    return pa.concat_tables(parts)


def bins_of(rows, as_of_date=DAY):
    bin_settings = {**SETTINGS, "settings_hash": "bins"}
    return fit_feature_bins(rows, None, as_of_date=as_of_date, settings=bin_settings)


def fit(rows, stored=None, as_of_date=DAY, bins=None, **changed):
    bins = bins_of(rows) if bins is None else bins
    return fit_propensity_weights(
        rows, bins, stored, as_of_date=as_of_date, settings={**SETTINGS, **changed}
    )


def backtest(rows, weights, stored=None, as_of_date=DAY, **changed):
    return backtest_propensity(
        rows, weights, stored, as_of_date=as_of_date, settings={**SETTINGS, **changed}
    )


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.fixture(scope="module")
def rows():
    return training_rows()


@pytest.fixture(scope="module")
def weights(rows):
    return fit(rows)


def test_weights_have_a_row_for_each_feature_and_bin_of_the_bin_set(rows, weights):
    bins = bins_of(rows)
    assert weights.schema == PROPENSITY_WEIGHTS_SCHEMA
    assert weights.select(["feature", "bin"]).equals(bins.select(["feature", "bin"]))
    facts = weights.slice(0, 1).to_pylist()[0]
    assert facts["bin_set_id"] == bins["bin_set_id"][0].as_py()
    assert facts["training_row_count"] == 1200
    assert facts["positive_count"] == sum(rows["outcome"].to_pylist())
    assert (facts["origin_count"], facts["horizon_days"]) == (8, 30)
    assert facts["first_origin"] == DAY - datetime.timedelta(days=240)
    assert facts["last_origin"] == DAY - datetime.timedelta(days=30)
    assert facts["data_through"] == facts["fitted_as_of"] == DAY
    assert facts["max_iter"] in (20, 40)
    assert facts["calibration"] == "newest_origin"
    assert len(facts["model_version"]) == 12
    assert json.loads(facts["settings"])["features"] == FEATURES
    named = weights.drop_columns(["feature", "bin", "weight"])
    assert named.group_by(named.column_names).aggregate([]).num_rows == 1


def test_the_stored_weights_and_bins_are_the_fitted_estimator(rows, weights):
    table = weights.select(["feature", "bin", "weight", "intercept"]).append_column(
        "upper_edge", bins_of(rows)["upper_edge"]
    )
    X = rows.select(FEATURES).to_pandas()
    read = AdditiveClassifier.from_table(table, features=FEATURES)
    direct = AdditiveClassifier(bin_edges=read.bin_edges_, max_iter=weights["max_iter"][0].as_py())
    y = rows["outcome"].to_numpy()
    age = (np.datetime64(DAY) - rows["as_of_date"].to_numpy().astype("datetime64[D]")).astype(int)
    newest = age == 30
    direct.fit(X, y, sample_weight=0.5 ** (age / 200)).recalibrate_intercept(X[newest], y[newest])
    np.testing.assert_array_equal(read.decision_function(X), direct.decision_function(X))


def test_row_order_changes_neither_weights_nor_backtest(rows, weights):
    shuffled = rows.take(np.random.default_rng(1).permutation(rows.num_rows))
    with threadpool_limits(2):
        assert fit(shuffled).equals(weights)
        assert backtest(shuffled, weights).equals(backtest(rows, weights))


def test_each_model_is_fitted_alone(rows, weights):
    other = training_rows(model="purchase_90d", seed=5)
    both = fit(pa.concat_tables([other, rows]), bins=bins_of(rows))
    assert both.filter(pc.equal(both["model_name"], "purchase_30d")).equals(weights)
    horizons = both.group_by(["model_name", "horizon_days"]).aggregate([]).to_pylist()
    assert sorted(row["horizon_days"] for row in horizons) == [30, 90]


def test_the_version_follows_data_settings_code_and_date(rows, weights):
    changed = with_column(rows, "outcome", [1, *rows["outcome"].to_pylist()[1:]])
    found = {
        table["model_version"][0].as_py()
        for table in (
            weights,
            fit(changed),
            fit(rows, settings_hash="t"),
            fit(rows, code_version="2"),
            fit(rows, as_of_date=DAY + datetime.timedelta(days=1)),
        )
    }
    assert len(found) == 5


def test_nothing_to_fit_gives_the_empty_typed_tables(rows, weights):
    none_before = DAY - datetime.timedelta(days=1)
    for table in (
        fit(rows.slice(0, 0), bins=bins_of(rows).slice(0, 0)),
        fit(rows, as_of_date=None),
        fit(rows, is_empty="True"),
        fit(rows, stored=weights),
        fit(rows, as_of_date=none_before),
        fit(rows, min_positive_count=10_000),
        fit(rows, min_negative_count=10_000),
        fit(with_column(rows, "outcome", pa.nulls(1200, pa.int64()))),
    ):
        assert table.schema == PROPENSITY_WEIGHTS_SCHEMA
        assert table.num_rows == 0
    tested = backtest(rows, weights)
    for table in (
        backtest(rows.slice(0, 0), weights),
        backtest(rows, weights.slice(0, 0)),
        backtest(rows, weights, as_of_date=None),
        backtest(rows, weights, is_empty=True),
        backtest(rows, weights, stored=tested),
        backtest(rows, weights, as_of_date=none_before),
        backtest(rows, weights, settings_hash="other"),
        backtest(rows, weights, min_positive_count=10_000),
    ):
        assert table.schema == PROPENSITY_BACKTEST_SCHEMA
        assert table.num_rows == 0


def test_a_version_that_was_left_untested_is_tested_by_the_next_build(rows, weights):
    a_day_later = DAY + datetime.timedelta(days=1)
    assert backtest(rows, weights, as_of_date=a_day_later).equals(backtest(rows, weights))


def test_a_version_says_how_far_the_data_went(rows):
    through = DAY - datetime.timedelta(days=5)
    assert set(fit(rows, data_through=through)["data_through"].to_pylist()) == {through}
    assert set(fit(rows)["data_through"].to_pylist()) == {DAY}


@pytest.mark.parametrize(
    ("age", "settings_hash", "model_name", "is_due"),
    [
        (0, "s", "purchase_30d", False),
        (29, "s", "purchase_30d", False),
        (30, "s", "purchase_30d", True),
        (-10, "s", "purchase_30d", False),
        (0, "old", "purchase_30d", True),
        (0, "s", "purchase_90d", True),
    ],
)
def test_a_fit_is_due_by_model_settings_and_age(rows, age, settings_hash, model_name, is_due):
    stored = pa.table(
        {
            "model_name": [model_name],
            "model_version": ["v"],
            "fitted_as_of": [DAY - datetime.timedelta(days=age)],
            "settings_hash": [settings_hash],
        }
    )
    assert (fit(rows, stored=stored).num_rows > 0) is is_due


def test_rows_whose_outcome_window_is_still_open_are_not_learned_from(rows):
    model = "purchase_90d"
    rows = with_column(rows, "model_name", [model] * rows.num_rows)
    open_from = DAY - datetime.timedelta(days=89)
    is_open = pc.greater_equal(rows["as_of_date"], pa.scalar(open_from))
    flipped = pc.if_else(is_open, pc.subtract(1, rows["outcome"]), rows["outcome"])
    weights = fit(rows)
    poisoned = fit(with_column(rows, "outcome", flipped.combine_chunks()), bins=bins_of(rows))
    assert weights["last_origin"][0].as_py() == DAY - datetime.timedelta(days=90)
    assert poisoned.equals(weights)


def test_wrong_input_is_named(rows):
    with pytest.raises(ValueError, match="no column c"):
        fit(rows.drop_columns("c"), bins=bins_of(rows))
    with pytest.raises(ValueError, match="other values than 0 and 1"):
        fit(with_column(rows, "outcome", [2] * rows.num_rows))
    with pytest.raises(ValueError, match="several rows of the same"):
        fit(pa.concat_tables([rows, rows]))
    with pytest.raises(ValueError, match="predictions does not hold the model purchase_30d"):
        fit(rows, predictions={})
    with pytest.raises(ValueError, match="bin_settings_hash"):
        fit(rows, bin_settings_hash="unknown")
    with pytest.raises(ValueError, match="the setting features is missing"):
        fit(rows, features=None)


def test_iterations_are_chosen_where_the_origins_suffice_else_150(rows):
    assert fit(rows, max_iter_candidates=[3, 60])["max_iter"][0].as_py() == 60
    short = training_rows(origin_count=2, per_origin=200)
    weights = fit(short, min_positive_count=100, min_negative_count=100, min_rows_to_boost=100)
    assert weights["max_iter"][0].as_py() == 150


def test_newer_origins_count_more_by_the_half_life(rows):
    """Rows of weight 2 are rows twice: an origin twice as heavy is one that stands there twice."""
    origins = np.array(rows["as_of_date"].to_pylist())
    newest, before = DAY - datetime.timedelta(days=30), DAY - datetime.timedelta(days=60)
    two = rows.filter(pa.array(np.isin(origins, [newest, before])))
    once_more = two.filter(pc.equal(two["as_of_date"], pa.scalar(newest)))
    ids = [f"again {name}" for name in once_more["customer_id"].to_pylist()]
    doubled = pa.concat_tables([two, with_column(once_more, "customer_id", ids)])
    learned = {"min_rows_to_boost": 10_000, "spline_c": 1e6}  # no penalty: scale is no matter
    halved = fit(two, bins=bins_of(rows), half_life_days=30, **learned)
    counted = fit(doubled, bins=bins_of(rows), half_life_days=0, **learned)
    alike = fit(two, bins=bins_of(rows), half_life_days=0, **learned)
    np.testing.assert_allclose(halved["weight"], counted["weight"], atol=2e-3)
    assert np.abs(halved["weight"].to_numpy() - alike["weight"].to_numpy()).max() > 0.05


def test_calibration_rows_follow_history_and_horizon():
    origin = np.repeat(np.datetime64(DAY) - 30 * np.arange(1, 15), 100)
    outcome = np.tile([0, 1], 700)
    name, mask = calibration_rows(origin, outcome, DAY, 90)
    assert name == "season"
    expected = [np.datetime64(DAY) - 390, np.datetime64(DAY) - 360]
    assert np.unique(origin[mask]).tolist() == [day.item() for day in expected]
    year = origin > expected[0]
    name, mask = calibration_rows(origin[year], outcome[year], DAY, 30)
    assert name == "newest_origin"
    assert np.unique(origin[year][mask]).tolist() == [(np.datetime64(DAY) - 30).item()]
    assert calibration_rows(origin[year], outcome[year], DAY, 90)[0] == "none"
    rare = (np.arange(1400) % 50 == 0).astype(int)
    assert calibration_rows(origin, rare, DAY, 30)[0] == "none"


def mean_log_loss(table, scorer_name="model"):
    rows = table.filter(pc.equal(table["scorer_name"], scorer_name))
    return log_loss(rows["outcome"].to_numpy(), rows["probability"].to_numpy())


@pytest.mark.parametrize(
    ("amplitude", "least_gain", "most_gain"), [(0.0, -0.002, 0.002), (1.0, 0.02, 1.0)]
)
def test_the_season_helps_where_there_is_one_and_harms_nowhere(
    amplitude, least_gain, most_gain, monkeypatch
):
    rows = training_rows(
        origin_count=19,
        per_origin=400,
        level=lambda days_back: amplitude * np.sin(-2 * np.pi * days_back / 365),
    )
    version = pa.table(
        {
            "model_name": ["purchase_30d"],
            "model_version": ["v"],
            "fitted_as_of": [DAY],
            "settings_hash": ["s"],
        }
    )
    gains = {}
    calibrated = backtest(rows, version)
    monkeypatch.setattr(
        learning, "calibration_rows", lambda origin, *_: ("none", np.ones(len(origin), bool))
    )
    plain = backtest(rows, version)
    for scorer in ("model", "base_rate", "rfm_cell"):
        gains[scorer] = mean_log_loss(plain, scorer) - mean_log_loss(calibrated, scorer)
    assert all(least_gain < gain < most_gain for gain in gains.values()), gains


def test_a_backtest_has_a_row_for_each_scorer_and_customer_of_the_newest_origins(rows, weights):
    tested = backtest(rows, weights)
    assert tested.schema == PROPENSITY_BACKTEST_SCHEMA
    expected = [DAY - datetime.timedelta(days=30 * step) for step in (4, 3, 2, 1)]
    assert tested["origin"].unique().to_pylist() == expected
    assert set(tested["scorer_name"].to_pylist()) == {"model", "base_rate", "rfm_cell"}
    assert tested.num_rows == 4 * 3 * 150
    assert set(tested["model_version"].to_pylist()) == {weights["model_version"][0].as_py()}
    key = ["model_name", "model_version", "origin", "scorer_name", "customer_id"]
    assert tested.equals(tested.sort_by([(name, "ascending") for name in key]))
    counts = tested.group_by("origin", use_threads=False).aggregate([("training_row_count", "max")])
    assert counts["training_row_count_max"].to_pylist() == [600, 750, 900, 1050]
    assert (
        backtest(rows, weights, max_test_origins=2)["origin"].unique().to_pylist() == expected[2:]
    )


def test_folds_without_enough_outcomes_before_them_are_left_out(rows, weights):
    positives = backtest(rows, weights)["training_positive_count"].unique().to_pylist()
    tested = backtest(rows, weights, min_positive_count=positives[2])
    assert tested["training_positive_count"].unique().to_pylist() == positives[2:]


def test_the_baselines_are_the_rates_of_the_training_rows(rows, weights):
    origin = DAY - datetime.timedelta(days=30)
    before = rows.filter(pc.less(rows["as_of_date"], pa.scalar(origin)))
    tested = backtest(rows, weights, max_test_origins=1)
    base = np.mean(before["outcome"].to_numpy())
    found = tested.filter(pc.equal(tested["scorer_name"], "base_rate"))["probability"]
    np.testing.assert_allclose(found.to_numpy(), base, rtol=1e-9)
    cell = rows.filter(pc.equal(rows["as_of_date"], pa.scalar(origin))).sort_by("customer_id")
    expected = []
    for word in cell["rfm_cell"].to_pylist():
        outcomes = before.filter(pc.equal(before["rfm_cell"], word))["outcome"].to_numpy()
        expected.append((outcomes.sum() + 10 * base) / (len(outcomes) + 10))
    found = tested.filter(pc.equal(tested["scorer_name"], "rfm_cell"))["probability"]
    np.testing.assert_allclose(found.to_numpy(), expected, rtol=1e-9)


def test_an_rfm_cell_that_training_never_saw_gets_the_base_rate(rows, weights):
    newest = pc.equal(rows["as_of_date"], pa.scalar(DAY - datetime.timedelta(days=30)))
    cells = pc.if_else(newest, "unseen", rows["rfm_cell"]).combine_chunks()
    tested = backtest(with_column(rows, "rfm_cell", cells), weights, max_test_origins=1)
    found = tested.group_by("scorer_name").aggregate([("probability", "max")]).to_pylist()
    found = {row["scorer_name"]: row["probability_max"] for row in found}
    assert found["rfm_cell"] == pytest.approx(found["base_rate"], rel=1e-9)


def baseline_rates(rows, weights, stored=None, **changed):
    return fit_baseline_rates(
        rows, weights, stored, as_of_date=DAY, settings={**SETTINGS, **changed}
    )


def test_the_rates_beside_a_version_have_the_level_of_the_newest_origin(rows, weights):
    found = baseline_rates(rows, weights)
    assert found.schema == BASELINE_RATES_SCHEMA
    assert set(found["model_version"].to_pylist()) == set(weights["model_version"].to_pylist())
    by_cell = {(row["scorer_name"], row["rfm_cell"]): row for row in found.to_pylist()}
    cells = sorted(set(rows["rfm_cell"].to_pylist()))
    assert sorted(by_cell, key=str) == sorted(
        [("base_rate", None), ("rfm_cell", None), *(("rfm_cell", cell) for cell in cells)], key=str
    )
    # The newest origin alone sets the level of a model of this horizon; the odds between cells
    # are those of all origins.
    newest = pc.equal(rows["as_of_date"], pa.scalar(DAY - datetime.timedelta(days=30)))
    newest = rows.filter(newest)
    rate = np.mean(newest["outcome"].to_numpy())
    assert by_cell["base_rate", None]["probability"] == pytest.approx(rate, rel=1e-6)
    expected = [by_cell["rfm_cell", cell]["probability"] for cell in newest["rfm_cell"].to_pylist()]
    assert np.mean(expected) == pytest.approx(rate, rel=1e-6)
    base = np.mean(rows["outcome"].to_numpy())
    for cell in cells:
        outcomes = rows.filter(pc.equal(rows["rfm_cell"], cell))["outcome"].to_numpy()
        raw = (outcomes.sum() + 10 * base) / (len(outcomes) + 10)
        shift = logit(by_cell["rfm_cell", cell]["probability"]) - logit(raw)
        other = logit(by_cell["rfm_cell", None]["probability"]) - logit(base)
        assert shift == pytest.approx(other, abs=1e-6)


def test_rates_are_counted_once_a_version_and_from_closed_windows_alone(rows, weights):
    found = baseline_rates(rows, weights)
    assert baseline_rates(rows, weights, found).num_rows == 0
    assert baseline_rates(rows, weights, is_empty="True").num_rows == 0
    assert baseline_rates(rows.slice(0, 0), weights).num_rows == 0
    still_open = rows.slice(0, 150)
    still_open = with_column(still_open, "as_of_date", [DAY - datetime.timedelta(days=29)] * 150)
    assert baseline_rates(pa.concat_tables([rows, still_open]), weights) == found


@pytest.mark.parametrize("model", ["purchase_30d", "purchase_90d"])
def test_a_backtest_never_learns_from_what_was_not_yet_known(model):
    rows = training_rows(model=model, origin_count=10)
    version = pa.table(
        {
            "model_name": [model],
            "model_version": ["v"],
            "fitted_as_of": [DAY],
            "settings_hash": ["s"],
        }
    )
    horizon = SETTINGS["predictions"][model]["horizon_days"]
    tested = backtest(rows, version)
    for origin in tested["origin"].unique():
        closed_by = pa.scalar(origin.as_py() - datetime.timedelta(days=horizon))
        is_future = pc.greater(rows["as_of_date"], closed_by)
        is_test = pc.equal(rows["as_of_date"], origin)
        outcome = pc.if_else(is_future, pc.subtract(1, rows["outcome"]), rows["outcome"])
        poisoned = with_column(rows, "outcome", outcome.combine_chunks())
        for feature in FEATURES:
            is_poisoned = pc.and_(is_future, pc.invert(is_test))
            values = pc.if_else(is_poisoned, 1e9, rows[feature])
            poisoned = with_column(poisoned, feature, values.combine_chunks())
        again = backtest(poisoned, version)
        kept = ["origin", "scorer_name", "customer_id", "probability", "training_row_count"]
        assert (
            again.filter(pc.equal(again["origin"], origin))
            .select(kept)
            .equals(tested.filter(pc.equal(tested["origin"], origin)).select(kept))
        )


def test_shuffled_outcomes_cannot_be_ranked():
    rows = training_rows(per_origin=600, seed=3)
    outcome = np.random.default_rng(0).permutation(rows["outcome"].to_numpy())
    shuffled = with_column(rows, "outcome", outcome)
    for table, low, high in ((rows, 0.7, 0.85), (shuffled, 0.45, 0.55)):
        tested = backtest(table, fit(table))
        model = tested.filter(pc.equal(tested["scorer_name"], "model"))
        auc = roc_auc_score(model["outcome"].to_numpy(), model["probability"].to_numpy())
        assert low < auc < high


def test_a_feature_without_values_and_decimals_are_no_obstacle(rows):
    changed = with_column(rows, "c", pa.nulls(rows.num_rows))
    changed = with_column(
        changed,
        "a",
        rows["a"].combine_chunks().cast(pa.decimal128(38, 6), safe=False),
    )
    weights = fit(changed)
    c = weights.filter(pc.equal(weights["feature"], "c"))
    assert c["weight"].to_pylist() == [0.0, 0.0]
    assert backtest(changed, weights).num_rows == 1800


NBD_FEATURES = [*FEATURES, "nbd_purchase_probability_90d"]


def with_nbd(rows, missing_share=0.1):
    """Add a purchase probability of 30 and of 90 days, known for most customers."""
    rng = np.random.default_rng(9)
    log_odds = rows["a"].to_numpy() + np.abs(rows["b"].to_numpy()) - 1.5
    is_missing = rng.random(rows.num_rows) < missing_share
    rows = rows.append_column(
        "nbd_purchase_probability", pa.array(expit(log_odds), mask=is_missing)
    )
    return rows.append_column(
        "nbd_purchase_probability_90d", pa.array(expit(log_odds + 1), mask=is_missing)
    )


def nbd_bins(rows):
    bin_settings = {**SETTINGS, "features": NBD_FEATURES, "settings_hash": "bins"}
    return fit_feature_bins(rows, None, as_of_date=DAY, settings=bin_settings)


def nbd_fit(rows, **changed):
    changed = {"features": NBD_FEATURES, "min_positives_to_learn": 10_000, **changed}
    return fit(rows, bins=nbd_bins(rows), **changed)


def predicted_as(**changed):
    """Give the setting predictions with something changed in purchase_30d."""
    predictions = SETTINGS["predictions"]
    return {**predictions, "purchase_30d": {**predictions["purchase_30d"], **changed}}


def learner_of(weights):
    (learner,) = weights["learner"].unique().to_pylist()
    return learner


@pytest.mark.parametrize(
    ("changed", "learner", "has_trees"),
    [
        ({"min_rows_to_boost": 1200}, "additive", True),
        ({"min_rows_to_boost": 1201}, "spline", False),
        ({"min_positives_to_learn": 400}, "additive", True),
        ({"min_positives_to_learn": 600}, "spline", False),
        ({"min_rows_to_boost": None, "min_positives_to_learn": None}, "additive", True),
    ],
)
def test_few_rows_or_positives_are_learned_by_the_spline_alone(rows, changed, learner, has_trees):
    assert 400 < sum(rows["outcome"].to_pylist()) < 600
    weights = fit(rows, **changed)
    assert learner_of(weights) == learner
    assert (weights["max_iter"][0].as_py() > 0) is has_trees
    assert np.abs(weights["weight"].to_numpy()).max() > 0.1


@pytest.mark.parametrize(
    ("changed", "learner"),
    [
        ({}, "nbd"),
        ({"min_rows_to_boost": 10_000}, "nbd"),
        ({"min_positives_to_learn": 50}, "additive"),
        ({"predictions": predicted_as(is_purchase=False)}, "spline"),
        ({"predictions": predicted_as(left_out_features=[NBD_FEATURES[-1]])}, "spline"),
        ({"features": FEATURES}, "spline"),
    ],
)
def test_few_purchases_are_predicted_by_bg_nbd_where_it_is_known(rows, changed, learner):
    assert learner_of(nbd_fit(with_nbd(rows), **changed)) == learner


@pytest.mark.parametrize("name", ["nbd_purchase_probability", "nbd_purchase_probability_90d"])
def test_without_values_bg_nbd_is_no_learner(rows, name):
    known = with_nbd(rows)
    assert learner_of(nbd_fit(with_column(known, name, pa.nulls(1200, pa.float64())))) == "spline"
    if name == "nbd_purchase_probability":
        assert learner_of(nbd_fit(known.drop_columns(name))) == "spline"


def test_bg_nbd_comes_back_from_its_weights_within_the_width_of_a_bin(rows, monkeypatch):
    rows = with_nbd(rows)
    monkeypatch.setattr(
        learning, "calibration_rows", lambda origin, *_: ("none", np.ones(len(origin), bool))
    )
    weights = nbd_fit(rows)
    bins = nbd_bins(rows)
    table = weights.select(["feature", "bin", "weight", "intercept"]).append_column(
        "upper_edge", bins["upper_edge"]
    )
    read = AdditiveClassifier.from_table(table, features=NBD_FEATURES)
    assert not any(weights.any() for weights in read.weights_[:3])
    known = rows.filter(rows["nbd_purchase_probability"].is_valid())
    probability = known["nbd_purchase_probability"].to_numpy()
    found = read.predict_proba(known.select(NBD_FEATURES).to_pandas())[:, 1]
    assert np.abs(found - probability).max() < 0.1
    assert np.abs(found - probability).mean() < 0.01
    assert found.mean() == pytest.approx(probability.mean(), abs=1e-9)
    unknown = rows.filter(rows["nbd_purchase_probability"].is_null()).select(NBD_FEATURES)
    found = read.predict_proba(unknown.to_pandas())[:, 1]
    np.testing.assert_allclose(found, probability.mean(), rtol=1e-9)


def test_bg_nbd_is_calibrated_as_any_learner():
    rows = with_nbd(training_rows(per_origin=600))
    wrong = pc.multiply(rows["nbd_purchase_probability"], 0.2).combine_chunks()
    rows = with_column(rows, "nbd_purchase_probability", wrong)
    tested = (
        backtest(rows, nbd_fit(rows), features=NBD_FEATURES, min_positives_to_learn=10_000)
        .group_by("scorer_name")
        .aggregate([("probability", "mean")])
    )
    found = {row["scorer_name"]: row["probability_mean"] for row in tested.to_pylist()}
    assert found["model"] == pytest.approx(found["base_rate"], abs=0.02)
    assert found["bg_nbd"] == pytest.approx(found["base_rate"], abs=0.02)
    assert found["base_rate"] > 3 * np.nanmean(rows["nbd_purchase_probability"].to_numpy())


def test_an_empty_bin_of_bg_nbd_lies_between_its_neighbours():
    edges = [np.array([]), np.array([0.0, 1.0, 2.0, 3.0])]
    X = np.column_stack([np.zeros(6), [0.5, 0.5, 2.5, 2.5, 2.5, np.nan]])
    probability = np.array([0.1, 0.3, 0.5, 0.5, 0.5, np.nan])
    found = learning._nbd_classifier(edges, 1, X, probability)
    values = np.column_stack([np.zeros(6), [np.nan, -1, 0.5, 1.5, 2.5, 9]])
    expected = [0.38, 0.2, 0.2, expit((logit(0.2) + logit(0.5)) / 2), 0.5, 0.5]
    np.testing.assert_allclose(found.predict_proba(values)[:, 1], expected, rtol=1e-9)


@pytest.mark.parametrize("changed", [{}, {"min_rows_to_boost": 10_000}])
def test_left_out_features_weigh_nothing_and_keep_their_rows(rows, weights, changed):
    predictions = predicted_as(left_out_features=["a", "unknown"])
    found = fit(rows, predictions=predictions, **changed)
    assert found.select(["feature", "bin"]).equals(weights.select(["feature", "bin"]))
    largest = (
        found.set_column(found.column_names.index("weight"), "weight", pc.abs(found["weight"]))
        .group_by("feature")
        .aggregate([("weight", "max")])
    )
    largest = {row["feature"]: row["weight_max"] for row in largest.to_pylist()}
    assert largest["a"] == 0
    assert largest["b"] > 0.1
    assert json.loads(found["settings"][0].as_py())["left_out_features"] == ["a", "unknown"]


def test_what_a_left_out_feature_holds_does_not_matter(rows):
    predictions = predicted_as(left_out_features=["a"])
    bins = bins_of(rows)
    noise = np.random.default_rng(3).normal(size=rows.num_rows)
    changed = with_column(rows, "a", noise)
    weights = fit(rows, bins=bins, predictions=predictions)
    assert fit(changed, bins=bins, predictions=predictions).equals(weights)
    assert backtest(changed, weights, predictions=predictions).equals(
        backtest(rows, weights, predictions=predictions)
    )


def test_bg_nbd_is_a_scorer_where_the_outcome_is_a_purchase(rows, weights):
    known = with_nbd(rows)
    tested = backtest(known, weights)
    assert set(tested["scorer_name"].to_pylist()) == {"model", "base_rate", "rfm_cell", "bg_nbd"}
    assert tested.filter(pc.not_equal(tested["scorer_name"], "bg_nbd")).equals(
        backtest(rows, weights)
    )
    for absent in (
        backtest(known, weights, predictions=predicted_as(is_purchase=False)),
        backtest(
            with_column(known, "nbd_purchase_probability", pa.nulls(1200, pa.float64())), weights
        ),
    ):
        assert absent.equals(backtest(rows, weights))
    newest = pa.scalar(DAY - datetime.timedelta(days=30))
    held = pc.if_else(
        pc.equal(known["as_of_date"], newest), None, known["nbd_purchase_probability"]
    )
    partly = backtest(
        with_column(known, "nbd_purchase_probability", held.combine_chunks()), weights
    )
    scorers = partly.filter(pc.equal(partly["origin"], newest))["scorer_name"].unique()
    assert set(scorers.to_pylist()) == {"model", "base_rate", "rfm_cell"}


def test_bg_nbd_scores_are_the_given_probabilities_and_the_base_rate_where_missing(
    rows, weights, monkeypatch
):
    monkeypatch.setattr(
        learning, "calibration_rows", lambda origin, *_: ("none", np.ones(len(origin), bool))
    )
    rows = with_nbd(rows)
    tested = backtest(rows, weights, max_test_origins=1)
    newest = pc.equal(rows["as_of_date"], pa.scalar(DAY - datetime.timedelta(days=30)))
    given_probability = rows.filter(newest).sort_by("customer_id")["nbd_purchase_probability"]
    by_scorer = {
        name: tested.filter(pc.equal(tested["scorer_name"], name))["probability"]
        for name in ("base_rate", "bg_nbd")
    }
    expected = pc.fill_null(given_probability, by_scorer["base_rate"][0])
    np.testing.assert_allclose(by_scorer["bg_nbd"].to_numpy(), expected.to_numpy(), rtol=1e-9)
    assert given_probability.null_count > 0


def test_a_test_origin_keeps_at_most_so_many_customers_and_the_same_at_each(rows, weights):
    tested = backtest(rows, weights, max_test_row_count=40)
    groups = tested.group_by(["origin", "scorer_name"]).aggregate([("customer_id", "list")])
    kept = {tuple(names) for names in groups["customer_id_list"].to_pylist()}
    assert len(kept) == 1
    assert {len(names) for names in kept} == {40}
    whole = backtest(rows, weights)
    key = ["origin", "scorer_name", "customer_id"]
    joined = tested.join(whole, key, right_suffix="_whole", join_type="left outer")
    assert joined["probability"].equals(joined["probability_whole"])


def test_probabilities_outside_0_to_1_are_refused(rows):
    rows = with_nbd(rows)
    wrong = pc.multiply(rows["nbd_purchase_probability"], 2.0).combine_chunks()
    with pytest.raises(ValueError, match="nbd_purchase_probability of purchase_30d lies outside"):
        nbd_fit(with_column(rows, "nbd_purchase_probability", wrong))
