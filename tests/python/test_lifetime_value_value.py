import datetime
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.special import expit

from coterie.binning import fit_feature_bins
from coterie.lifetime_value import fit_gamma_gamma_parameters, fit_nbd_parameters
from coterie.lifetime_value import value as value_module
from coterie.lifetime_value.expectations import state_expectations
from coterie.lifetime_value.value import (
    PREDICTION_SCHEMA,
    VALUE_BACKTEST_SCHEMA,
    VALUE_WEIGHTS_SCHEMA,
    backtest_values,
    fit_value_weights,
    predict_values,
)

FIRST = datetime.date(2022, 1, 1)
FEATURES = ["days_since_last_order", "order_count", "net_amount", "avg_net_amount", "never"]
SETTINGS = {
    "features": FEATURES,
    "horizon_days": [90, 365],
    "settings_hash": "s",
    "bin_settings_hash": "bins",
    "code_version": "1",
    "refit_interval_days": "30",
    "first_ordered_on": FIRST,
    "min_rows_to_boost": 500,
    "is_empty": "False",
}


def day(number):
    return FIRST + datetime.timedelta(days=int(number))


# ---- generated shops ----------------------------------------------------------------------------


def generated_orders(customer_count=400, days=400, seed=0, amount=lambda mean, rng: mean):
    """Order days of customers with rates, lives and usual amounts of their own."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(customer_count):
        start = rng.integers(0, int(days * 0.7))
        rate = rng.gamma(1.2, 1 / 40)
        life = rng.exponential(400)
        mean = rng.lognormal(3, 0.7)
        at = [start, *(start + np.cumsum(rng.exponential(1 / rate, 60)))]
        for ordered in np.unique(np.floor(at)):
            if ordered < days and ordered - start <= life:
                rows.append((f"c{number:05}", int(ordered), mean * rng.lognormal(0, 0.3)))
    return pd.DataFrame(rows, columns=["customer_id", "day", "amount"])


def shop(orders, as_of, horizons=(90, 365), origin_count=12):
    """Rows, bins and parameters of a shop as the models give them, as of a day."""
    origins = [as_of - 30 * step for step in range(origin_count + 1)]
    parts = [customers_at(orders, origin, as_of, horizons) for origin in origins if origin >= 60]
    rows = pd.concat(parts, ignore_index=True)
    for horizon in horizons:
        rows[f"cohort_amount_{horizon}d"] = cohort_means(rows, horizon)
    states = (
        rows.assign(
            recency_weeks=np.ceil(rows["recency_days"] / 7),
            age_weeks=np.ceil(rows["age_days"] / 7),
        )
        .groupby(["as_of_date", "repeat_count", "recency_weeks", "age_weeks"])
        .size()
        .rename("customer_count")
        .reset_index()
    )
    spends = (
        rows[rows["repeat_count"] > 0]
        .groupby(["as_of_date", "repeat_count", "mean_spend"])
        .size()
        .rename("customer_count")
        .reset_index()
    )
    settings = {"settings_hash": "s", "refit_interval_days": 30, "max_spend_correlation": 2}
    learned = pa.Table.from_pandas(rows[rows["day"] < as_of], preserve_index=False)
    scored = pa.Table.from_pandas(rows[rows["day"] == as_of], preserve_index=False)
    return {
        "rows": learned.drop_columns(["day"]),
        "scored": scored.drop_columns(["day"]),
        "bins": fit_feature_bins(
            learned,
            None,
            as_of_date=day(as_of),
            settings={**SETTINGS, "settings_hash": "bins"},
        ),
        "purchases": fit_nbd_parameters(
            pa.Table.from_pandas(states, preserve_index=False),
            None,
            as_of_date=day(as_of),
            settings=settings,
        ),
        "spends": fit_gamma_gamma_parameters(
            pa.Table.from_pandas(spends, preserve_index=False),
            None,
            as_of_date=day(as_of),
            settings=settings,
        ),
        "as_of_date": day(as_of),
    }


def customers_at(orders, origin, as_of, horizons):
    """Customers with an order before a day, and what they spent after it as far as it is over."""
    past = orders[orders["day"] < origin]
    grouped = past.groupby("customer_id")
    first, last = grouped["day"].min(), grouped["day"].max()
    repeats = past[past["day"] > past["customer_id"].map(first)]
    rows = pd.DataFrame(
        {
            "as_of_date": day(origin),
            "day": origin,
            "repeat_count": grouped.size() - 1,
            "recency_days": last - first,
            "age_days": origin - first,
            "mean_spend": repeats.groupby("customer_id")["amount"].mean(),
            "days_since_last_order": origin - last,
            "order_count": grouped.size(),
            "net_amount": grouped["amount"].sum(),
            "avg_net_amount": grouped["amount"].mean(),
            "never": np.nan,
        }
    )
    rows["cohort"] = np.where(rows["repeat_count"] > 0, "repeat", "once")
    rows["rfm_segment_code"] = np.where(rows["days_since_last_order"] < 60, "loyal", None)
    for horizon in horizons:
        for name, start, stop in [("amount", 0, horizon), ("past_amount", -horizon, 0)]:
            window = orders[orders["day"].between(origin + start, origin + stop - 1)]
            amounts = window.groupby("customer_id")["amount"].sum().reindex(rows.index).fillna(0.0)
            rows[f"{name}_{horizon}d"] = amounts if origin + stop <= as_of else np.nan
    return rows.rename_axis("customer_id").reset_index()


def cohort_means(rows, horizon):
    found = pd.Series(np.nan, index=rows.index)
    for origin in rows["day"].unique():
        closed = rows[rows["day"] + horizon <= origin]
        means = closed.groupby("cohort")[f"amount_{horizon}d"].mean()
        is_origin = rows["day"] == origin
        found[is_origin] = rows.loc[is_origin, "cohort"].map(means)
    return found


def fit(found, stored=None, **changed):
    names = ["rows", "bins", "purchases", "spends"]
    given = {**found, **{name: changed.pop(name) for name in names if name in changed}}
    as_of_date = changed.pop("as_of_date", found["as_of_date"])
    return fit_value_weights(
        *(given[name] for name in names),
        stored,
        as_of_date=as_of_date,
        settings={**SETTINGS, **changed},
    )


def predict(found, weights, model_name="value_90d", scored=None, **changed):
    version = weights.filter(pc.equal(weights["model_name"], model_name))
    predicted = predict_values(
        found["scored"] if scored is None else scored,
        version,
        found["bins"],
        changed.pop("purchases", found["purchases"]),
        changed.pop("spends", found["spends"]),
        as_of_date=found["as_of_date"],
        settings={**SETTINGS, **changed},
    )
    return predicted.to_pandas()


def backtest(found, weights, stored=None, **changed):
    given = {
        **found,
        **{k: changed.pop(k) for k in ("rows", "purchases", "spends") if k in changed},
    }
    return backtest_values(
        given["rows"],
        given["purchases"],
        given["spends"],
        weights,
        stored,
        as_of_date=changed.pop("as_of_date", found["as_of_date"]),
        settings={**SETTINGS, **changed},
    )


def facts_of(weights, model_name="value_90d"):
    return weights.filter(pc.equal(weights["model_name"], model_name)).slice(0, 1).to_pylist()[0]


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def is_sound(predicted):
    """Tell whether amounts are finite, not negative, and inside their intervals."""
    numbers = predicted[["value_lower", "predicted_amount", "value_upper"]].to_numpy()
    return np.isfinite(numbers).all() and (numbers >= 0).all() and (np.diff(numbers) >= 0).all()


@pytest.fixture(scope="module")
def young():
    """A shop of 300 days: 90 days are learned, and half of the value is the purchase model's."""
    return shop(generated_orders(900, 400), 300)


@pytest.fixture(scope="module")
def young_weights(young):
    return fit(young)


@pytest.fixture(scope="module")
def old():
    """A shop of 800 days: a year is learned, and 90 days need no purchase model."""
    return shop(generated_orders(700, 800, seed=1), 800, origin_count=24)


@pytest.fixture(scope="module")
def old_weights(old):
    return fit(old)


# ---- versions -----------------------------------------------------------------------------------


def test_a_version_holds_each_component_feature_and_bin_of_the_bin_set(young, young_weights):
    bins = young["bins"]
    version = young_weights.filter(pc.equal(young_weights["model_name"], "value_90d"))
    assert version.schema == VALUE_WEIGHTS_SCHEMA
    for component in ("purchase", "spend"):
        part = version.filter(pc.equal(version["component"], component))
        assert part.select(["feature", "bin"]).equals(bins.select(["feature", "bin"]))
    residual = version.filter(pc.equal(version["component"], "residual"))
    assert residual["bin"].to_pylist() == list(range(41))
    assert set(residual["feature"].to_pylist()) == {""}
    weights = residual["weight"].to_numpy()
    assert (np.diff(weights) >= 0).all()
    assert weights[0] < 0 < weights[-1]
    named = version.drop_columns(["component", "feature", "bin", "weight"])
    assert named.group_by(named.column_names).aggregate([]).num_rows == 1


def test_a_version_says_what_it_learned_from(young, young_weights):
    facts = facts_of(young_weights)
    rows = young["rows"].to_pandas()
    closed = rows[rows["amount_90d"].notna()]
    assert facts["training_row_count"] == len(closed)
    assert facts["buyer_count"] == (closed["amount_90d"] > 0).sum()
    assert facts["origin_count"] == closed["as_of_date"].nunique()
    assert facts["first_origin"] == closed["as_of_date"].min()
    assert facts["last_origin"] == closed["as_of_date"].max() <= day(210)
    assert facts["data_through"] == facts["fitted_as_of"] == young["as_of_date"]
    assert facts["bin_set_id"] == young["bins"]["bin_set_id"][0].as_py()
    assert (facts["horizon_days"], facts["learned_horizon_days"]) == (90, 90)
    assert (facts["history_days"], facts["additive_share"]) == (300, 0.5)
    assert facts["nbd_level"] == 1
    assert 0 < facts["spend_slope"] <= 1
    assert facts["smearing"] > 1
    assert facts["max_iter"] == 150
    assert json.loads(facts["settings"])["features"] == FEATURES


@pytest.mark.parametrize(
    ("history_days", "horizon_days", "learned", "share"),
    [
        (180, 90, 90, 0.5),
        (359, 90, 90, 0.5),
        (360, 90, 90, 1.0),
        (180, 365, 90, 0.5),
        (729, 365, 90, 0.5),
        (730, 365, 365, 0.5),
        (1459, 365, 365, 0.5),
        (1460, 365, 365, 1.0),
    ],
)
def test_history_decides_what_is_learned_and_how_far_it_counts(
    old, history_days, horizon_days, learned, share
):
    first_ordered_on = old["as_of_date"] - datetime.timedelta(days=history_days)
    weights = fit(old, first_ordered_on=first_ordered_on, horizon_days=[horizon_days])
    facts = facts_of(weights, f"value_{horizon_days}d")
    assert facts["learned_horizon_days"] == learned
    assert facts["additive_share"] == share


def test_with_less_than_180_days_only_the_purchase_model_speaks(young):
    first_ordered_on = young["as_of_date"] - datetime.timedelta(days=179)
    weights = fit(young, first_ordered_on=first_ordered_on)
    assert weights.num_rows == 2
    for name in ("value_90d", "value_365d"):
        facts = facts_of(weights, name)
        assert (facts["component"], facts["feature"], facts["bin"]) == ("none", "", 0)
        assert facts["weight"] == facts["additive_share"] == facts["smearing"] == 0
        assert facts["learner"] == "nbd"
        assert facts["training_row_count"] == facts["origin_count"] == 0
        assert facts["first_origin"] is None
    predicted = predict(young, weights)
    assert predicted["additive_amount"].isna().all()
    np.testing.assert_allclose(predicted["individual_amount"], predicted["nbd_amount"])
    assert is_sound(predicted)


def test_without_a_purchase_model_rows_alone_speak(young, young_weights):
    nothing = {"purchases": young["purchases"].slice(0, 0)}
    weights = fit(young, **nothing)
    facts = facts_of(weights)
    assert (facts["additive_share"], facts["spend_slope"], facts["nbd_level"]) == (1, 0, 1)
    for model_name, factor in [("value_90d", 1), ("value_365d", 365 / 90)]:
        predicted = predict(young, weights, model_name, **nothing)
        assert predicted["nbd_amount"].isna().all()
        assert is_sound(predicted)
        if factor == 1:
            short = predicted["additive_amount"]
        np.testing.assert_allclose(predicted["additive_amount"], factor * short, rtol=1e-12)


def test_where_nothing_can_be_known_there_is_no_version(young):
    weights = fit(
        young,
        purchases=young["purchases"].slice(0, 0),
        min_positive_count=10**6,
    )
    assert weights.equals(VALUE_WEIGHTS_SCHEMA.empty_table())


def test_parameters_of_other_settings_are_not_known(young, young_weights):
    weights = fit(young, parameters_settings_hash="other")
    assert facts_of(weights)["additive_share"] == 1
    weights = fit(young, settings_hash="t", parameters_settings_hash="s")
    assert facts_of(weights)["additive_share"] == 0.5


def without_spend_model(found):
    """The spend model has fallen back to one mean for all."""
    spends = found["spends"].to_pandas()
    spends[["p", "q", "gamma"]] = np.nan
    spends["fallback_reason"] = "spend_depends_on_frequency"
    return pa.Table.from_pandas(spends, schema=found["spends"].schema, preserve_index=False)


def test_amounts_alike_for_all_say_nothing_of_one_customer(young):
    spends = without_spend_model(young)
    weights = fit(young, spends=spends)
    assert facts_of(weights)["additive_share"] == 1
    predicted = predict(young, weights, spends=spends)
    assert is_sound(predicted)
    assert predicted["nbd_amount"].notna().all()
    np.testing.assert_allclose(predicted["individual_amount"], predicted["additive_amount"])
    # Over a year there is as much more to spend as there are more orders to come.
    longer = predict(young, weights, "value_365d", spends=spends)
    factor = longer["nbd_amount"].sum() / predicted["nbd_amount"].sum()
    assert 2 < factor < 365 / 90
    np.testing.assert_allclose(longer["additive_amount"], factor * predicted["additive_amount"])
    # Without features it speaks alone, as well as it can.
    alone = fit(young, spends=spends, min_positive_count=10**6)
    assert facts_of(alone)["additive_share"] == 0
    assert is_sound(predict(young, alone, spends=spends))


def test_amounts_beside_what_was_expected_are_none_without_it(young, young_weights):
    predicted = predict(young, young_weights, spends=young["spends"].slice(0, 0))
    assert predicted["additive_amount"].isna().all()
    scored = young["scored"].to_pandas()
    np.testing.assert_allclose(predicted["predicted_amount"], scored["cohort_amount_90d"].fillna(0))
    assert is_sound(predicted)


def test_a_shop_may_learn_from_no_features(young):
    weights = fit(young, has_additive="False", bins=young["bins"].slice(0, 0))
    assert set(weights["component"].to_pylist()) == {"none"}
    assert facts_of(weights)["bin_set_id"] is None
    tested = backtest(young, weights, has_additive="False")
    assert set(tested["scorer_name"].to_pylist()) == {"model", "nbd", "last_period", "cohort_mean"}


def test_the_version_follows_rows_settings_code_and_date(young, young_weights):
    version = facts_of(young_weights)["model_version"]
    assert facts_of(fit(young))["model_version"] == version
    amounts = young["rows"]["amount_90d"].to_numpy().copy()
    amounts[np.flatnonzero(np.isfinite(amounts))[0]] = 123.0
    for changed in (
        {"rows": with_column(young["rows"], "amount_90d", amounts)},
        {"code_version": "2"},
        {"settings_hash": "t", "parameters_settings_hash": "s"},
        {"as_of_date": young["as_of_date"] + datetime.timedelta(days=1)},
    ):
        assert facts_of(fit(young, **changed))["model_version"] != version


@pytest.mark.parametrize(
    ("age", "settings_hash", "model_name", "due"),
    [
        (29, "s", "value_90d", {"value_365d"}),
        (30, "s", "value_90d", {"value_90d", "value_365d"}),
        (0, "other", "value_90d", {"value_90d", "value_365d"}),
        (0, "s", "value_365d", {"value_90d"}),
    ],
)
def test_a_fit_is_due_by_model_settings_and_age(young, age, settings_hash, model_name, due):
    stored = pa.table(
        {
            "model_name": [model_name],
            "fitted_as_of": [young["as_of_date"] - datetime.timedelta(days=age)],
            "settings_hash": [settings_hash],
        }
    )
    assert set(fit(young, stored)["model_name"].to_pylist()) == due


def test_nothing_to_fit_gives_the_empty_typed_tables(young, young_weights):
    for changed in (
        {"as_of_date": None},
        {"is_empty": "True"},
        {"rows": young["rows"].slice(0, 0)},
    ):
        assert fit(young, **changed).equals(VALUE_WEIGHTS_SCHEMA.empty_table())
        tested = backtest(young, young_weights, **changed)
        assert tested.equals(VALUE_BACKTEST_SCHEMA.empty_table())


def test_wrong_input_is_named(young, young_weights):
    rows = young["rows"]
    with pytest.raises(ValueError, match="no column amount_365d"):
        fit(young, rows=rows.drop_columns(["amount_365d"]))
    with pytest.raises(ValueError, match="several rows"):
        fit(young, rows=pa.concat_tables([rows, rows.slice(0, 1)]))
    with pytest.raises(ValueError, match="first_ordered_on is missing"):
        fit(young, first_ordered_on=None)
    with pytest.raises(ValueError, match="fit the feature bins before"):
        fit(young, bin_settings_hash="other")
    with pytest.raises(ValueError, match="one model_version"):
        predict_values(
            young["scored"],
            young_weights,
            young["bins"],
            young["purchases"],
            young["spends"],
            as_of_date=young["as_of_date"],
            settings=SETTINGS,
        )


def test_row_order_changes_nothing(young, young_weights):
    rows = young["rows"].take(np.random.default_rng(0).permutation(young["rows"].num_rows))
    assert fit(young, rows=rows).equals(young_weights)
    shuffled = young_weights.take(np.random.default_rng(1).permutation(young_weights.num_rows))
    assert predict(young, shuffled).equals(predict(young, young_weights))
    limited = {"max_test_origins": 1}
    tested = backtest(young, young_weights, **limited)
    assert backtest(young, shuffled, rows=rows, **limited).equals(tested)


# ---- predictions --------------------------------------------------------------------------------


def looked_up(version, bins, scored, component):
    """Add up the weights of customers as SQL does."""
    total = np.zeros(scored.num_rows)
    rows = version.filter(pc.equal(version["component"], component)).to_pandas()
    for feature in FEATURES:
        edges = bins.filter(pc.equal(bins["feature"], feature)).sort_by("bin")
        edges = np.array(edges["upper_edge"].to_pylist()[1:-1], dtype=float)
        values = scored[feature].to_numpy()
        at = np.where(np.isnan(values), 0, 1 + np.searchsorted(edges, values))
        found = rows[rows["feature"] == feature].set_index("bin")["weight"]
        total += found.loc[at].to_numpy()
    return total


def expected_by_state(found, horizon_days):
    """Expected amount by the tables that SQL reads, without a level."""
    scored = found["scored"].to_pandas()
    states = scored.assign(age_weeks=np.ceil(scored["age_days"] / 7).astype(int))
    keys = ["as_of_date", "repeat_count", "age_weeks"]
    table = state_expectations(
        pa.Table.from_pandas(states[keys].drop_duplicates(), preserve_index=False),
        found["purchases"],
        found["spends"],
        settings={"horizon_days": [horizon_days]},
    ).to_pandas()
    orders = states.merge(table[table["level"] == 0], on=keys, how="left", validate="m:1")
    nbd = found["purchases"].to_pylist()[-1]
    x, t_x, age = scored["repeat_count"], scored["recency_days"] / 7, scored["age_days"] / 7
    waited = ((nbd["alpha"] + age) / (nbd["alpha"] + t_x)) ** (nbd["r"] + x)
    alive = 1 / (1 + nbd["a"] / (nbd["b"] + x) * waited)
    spend = found["spends"].to_pylist()[-1]
    spent = x * scored["mean_spend"].fillna(0)
    each = spend["p"] * (spend["gamma"] + spent) / (spend["p"] * x + spend["q"] - 1)
    return alive * orders["expected_orders_alive"] * each


@pytest.mark.parametrize("model_name", ["value_90d", "value_365d"])
def test_a_prediction_is_what_the_rows_of_the_version_add_up_to(young, young_weights, model_name):
    version = young_weights.filter(pc.equal(young_weights["model_name"], model_name))
    facts = facts_of(young_weights, model_name)
    scored = young["scored"]
    log_odds = facts["purchase_intercept"] + looked_up(version, young["bins"], scored, "purchase")
    log_amount = facts["spend_intercept"] + looked_up(version, young["bins"], scored, "spend")
    log_amount += facts["spend_slope"] * np.log(expected_by_state(young, 90))
    additive = expit(log_odds) * np.exp(log_amount) * facts["smearing"]
    nbd = expected_by_state(young, facts["horizon_days"])
    if model_name == "value_365d":
        additive *= nbd.sum() / additive.sum()
    individual = (additive + nbd) / 2
    rows = scored.to_pandas()
    is_new = (rows["repeat_count"] == 0) & (rows["age_days"] < 90)
    share = np.where(is_new, rows["age_days"] / 90, 1)
    cohort = rows[f"cohort_amount_{facts['horizon_days']}d"].fillna(individual)
    predicted = predict(young, young_weights, model_name)
    np.testing.assert_allclose(predicted["additive_amount"], additive, rtol=1e-9)
    np.testing.assert_allclose(predicted["nbd_amount"], nbd, rtol=1e-9)
    np.testing.assert_allclose(predicted["individual_amount"], individual, rtol=1e-9)
    np.testing.assert_allclose(
        predicted["predicted_amount"], share * individual + (1 - share) * cohort, rtol=1e-9
    )
    assert is_new.any()
    assert pa.Table.from_pandas(predicted, preserve_index=False).num_columns == len(
        PREDICTION_SCHEMA
    )


def test_a_newcomer_moves_from_the_cohort_to_a_value_of_their_own(young, young_weights):
    scored = young["scored"].to_pandas().query("repeat_count == 0").head(4).copy()
    scored["age_days"] = scored["days_since_last_order"] = [0, 45, 89, 90]
    scored["cohort_amount_90d"] = 1000.0
    scored = pa.Table.from_pandas(scored, preserve_index=False)
    predicted = predict(young, young_weights, scored=scored)
    own = predicted["individual_amount"]
    assert (own < 900).all()
    expected = [1000, (own[1] + 1000) / 2, own[2] * 89 / 90 + 1000 / 90, own[3]]
    np.testing.assert_allclose(predicted["predicted_amount"], expected)
    unknown = with_column(scored, "cohort_amount_90d", [None, 5.0, -3.0, np.nan])
    predicted = predict(young, young_weights, scored=unknown)
    # Without a cohort a newcomer's own value stands, and so it does where refunds outweigh.
    np.testing.assert_allclose(
        predicted["predicted_amount"], [own[0], (own[1] + 5) / 2, own[2], own[3]]
    )


def test_who_has_not_ordered_yet_has_the_value_of_the_cohort(young, young_weights):
    scored = young["scored"].to_pandas().head(3)
    scored[["repeat_count", "recency_days", "age_days", "mean_spend"]] = np.nan
    scored["cohort_amount_90d"] = [7.0, 0.0, np.nan]
    predicted = predict(
        young, young_weights, scored=pa.Table.from_pandas(scored, preserve_index=False)
    )
    assert predicted["predicted_amount"].tolist() == [7, 0, 0]
    assert predicted["individual_amount"].isna().all()
    assert is_sound(predicted)


def test_customers_of_the_highest_bin_are_told_apart(young, young_weights):
    """The purchase model's expectation has no highest bin."""
    scored = young["scored"].to_pandas()
    scored = scored[scored["repeat_count"] > 2].nlargest(1, "net_amount")
    scored = pd.concat([scored] * 2, ignore_index=True)
    for name in ("mean_spend", "net_amount", "avg_net_amount"):
        scored[name] = [1e5, 1e6]
    predicted = predict(
        young, young_weights, scored=pa.Table.from_pandas(scored, preserve_index=False)
    )
    slope = facts_of(young_weights)["spend_slope"]
    amounts, nbd = predicted["additive_amount"], predicted["nbd_amount"]
    assert amounts[1] / amounts[0] == pytest.approx((nbd[1] / nbd[0]) ** slope)
    assert amounts[1] > 1.5 * amounts[0]


def test_intervals_of_what_was_learned_are_those_of_draws_from_it(young, young_weights):
    """Without a purchase model the distribution is known: a chance of nothing, else residuals."""
    nothing = {"purchases": young["purchases"].slice(0, 0)}
    weights = fit(young, **nothing)
    version = weights.filter(pc.equal(weights["model_name"], "value_90d"))
    facts = facts_of(weights)
    scored = young["scored"].slice(0, 60)
    predicted = predict(young, weights, scored=scored, **nothing)
    chance = expit(
        facts["purchase_intercept"] + looked_up(version, young["bins"], scored, "purchase")
    )
    typical = np.exp(facts["spend_intercept"] + looked_up(version, young["bins"], scored, "spend"))
    residual = version.filter(pc.equal(version["component"], "residual"))["weight"].to_numpy()
    rng = np.random.default_rng(0)
    size = 20_000
    has_cohort = scored.to_pandas().eval("repeat_count == 0 and age_days < 90").to_numpy()
    for row in np.flatnonzero(~has_cohort):
        drawn = np.exp(np.interp(rng.random(size) * 40, np.arange(41), residual)) * typical[row]
        drawn[rng.random(size) >= chance[row]] = 0
        lower, upper = predicted.loc[row, ["value_lower", "value_upper"]]
        if chance[row] > 0.9:
            expected = np.quantile(drawn, [0.1, 0.9])
        else:
            value = predicted.loc[row, "predicted_amount"]
            expected = [0, max(np.quantile(drawn, 0.8), value)]
        np.testing.assert_allclose([lower, upper], expected, rtol=0.12, atol=0.02 * typical[row])


def test_intervals_hold_four_of_five_amounts(young, young_weights):
    actual = future_amounts(young, 90)
    predicted = predict(young, young_weights)
    assert is_sound(predicted)
    inside = (predicted["value_lower"] <= actual) & (actual <= predicted["value_upper"])
    assert 0.72 < inside.mean() < 0.9


def future_amounts(found, horizon_days, seed=0, count=900, days=400):
    orders = generated_orders(count, days, seed=seed)
    start = (found["as_of_date"] - FIRST).days
    window = orders[orders["day"].between(start, start + horizon_days - 1)]
    amounts = window.groupby("customer_id")["amount"].sum()
    customers = found["scored"]["customer_id"].to_pylist()
    return amounts.reindex(customers).fillna(0.0).to_numpy()


def test_values_come_true_in_a_shop_that_keeps_its_ways(young, young_weights):
    actual = future_amounts(young, 90)
    predicted = predict(young, young_weights)["predicted_amount"].to_numpy()
    assert predicted.sum() == pytest.approx(actual.sum(), rel=0.15)
    order = np.argsort(-predicted)
    tenth = order[: len(order) // 10]
    assert actual[tenth].sum() > 0.3 * actual.sum()
    assert predicted[tenth].sum() == pytest.approx(actual[tenth].sum(), rel=0.25)


# ---- level --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, None), (1.2, 1.2), (10.0, 1.5), (0.0, 0.67)]
)
def test_the_level_is_what_the_purchase_model_missed_a_year_ago(old, old_weights, factor, expected):
    rows = old["rows"].to_pandas()
    # The newest origin 360 days ago or more, of an as-of date on the grid of 30 days.
    origin = old["as_of_date"] - datetime.timedelta(days=360)
    is_origin = (rows["as_of_date"] == origin).to_numpy()
    before = facts_of(old_weights)["nbd_level"]
    assert 0.67 < before < 1.25
    rows.loc[is_origin, "amount_90d"] *= factor
    changed = fit(old, rows=pa.Table.from_pandas(rows, preserve_index=False))
    level = facts_of(changed)["nbd_level"]
    if expected in (1.5, 0.67):
        assert level == expected
    else:
        assert level == pytest.approx(before * factor)
    # A year cannot have been over since then.
    year_ago = facts_of(changed, "value_365d")["nbd_level"]
    assert year_ago == facts_of(old_weights, "value_365d")["nbd_level"]


def test_the_level_needs_half_a_year_before_it(old):
    first_ordered_on = old["as_of_date"] - datetime.timedelta(days=360 + 181)
    alone = {"horizon_days": [90]}
    assert facts_of(fit(old, first_ordered_on=first_ordered_on, **alone))["nbd_level"] == 1
    first_ordered_on -= datetime.timedelta(days=1)
    assert facts_of(fit(old, first_ordered_on=first_ordered_on, **alone))["nbd_level"] != 1


# ---- back-tests ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def old_tested(old, old_weights):
    return backtest(old, old_weights)


def test_a_backtest_has_a_row_for_each_scorer_and_customer_of_the_newest_origins(
    old, old_weights, old_tested
):
    assert old_tested.schema == VALUE_BACKTEST_SCHEMA
    tested = old_tested.to_pandas()
    rows = old["rows"].to_pandas()
    for model_name, horizon in [("value_90d", 90), ("value_365d", 365)]:
        of_model = tested[tested["model_name"] == model_name]
        assert set(of_model["tested_horizon_days"]) == {horizon}
        closed = rows[rows[f"amount_{horizon}d"].notna()]
        origins = sorted(closed["as_of_date"].unique())[-4:]
        assert sorted(of_model["origin"].unique()) == origins
        assert set(of_model["model_version"]) == {
            facts_of(old_weights, model_name)["model_version"]
        }
        expected = closed[closed["as_of_date"].isin(origins)]
        for scorer_name, of_scorer in of_model.groupby("scorer_name"):
            merged = of_scorer.merge(
                expected,
                left_on=["origin", "customer_id"],
                right_on=["as_of_date", "customer_id"],
                validate="1:1",
                suffixes=("", "_row"),
            )
            if scorer_name != "cohort_mean":
                assert len(merged) == len(expected) == len(of_scorer)
            np.testing.assert_allclose(
                merged["actual_amount"], merged[f"amount_{horizon}d"], atol=1e-6
            )
            if scorer_name == "last_period":
                np.testing.assert_allclose(
                    merged["predicted_amount"],
                    merged[f"past_amount_{horizon}d"].fillna(0),
                    atol=1e-6,
                )
            if scorer_name == "cohort_mean":
                np.testing.assert_allclose(
                    merged["predicted_amount"], merged[f"cohort_amount_{horizon}d"], atol=1e-6
                )
            assert (merged["cohort"] == merged["cohort_row"]).all()
    assert set(tested["scorer_name"]) == {"model", "additive", "nbd", "last_period", "cohort_mean"}
    of_model = tested[tested["scorer_name"] == "model"]
    assert is_sound(of_model)
    others = tested[tested["scorer_name"] != "model"]
    assert others[["value_lower", "value_upper"]].isna().all(axis=None)
    assert np.isfinite(tested["predicted_amount"]).all()
    assert (tested["predicted_amount"] >= 0).all()


def test_a_backtest_ranks_better_than_a_cohort(old_tested):
    tested = old_tested.to_pandas()
    for _, of_model in tested.groupby("model_name"):
        share = {}
        for scorer_name, rows in of_model.groupby("scorer_name"):
            top = rows.nlargest(len(rows) // 10, "predicted_amount")
            share[scorer_name] = top["actual_amount"].sum() / rows["actual_amount"].sum()
        assert share["model"] > share.get("cohort_mean", 0.1) + 0.1
        assert share["model"] > 0.3


def test_a_backtest_predicts_as_a_fit_of_that_day_would(old, old_weights, old_tested):
    """The bins aside, which a back-test fits on its own rows."""
    tested = old_tested.to_pandas().query("model_name == 'value_90d' and scorer_name == 'model'")
    origin = tested["origin"].max()
    rows = old["rows"].to_pandas()
    then = {
        **old,
        "scored": pa.Table.from_pandas(rows[rows["as_of_date"] == origin], preserve_index=False),
        "as_of_date": origin,
    }
    learned = rows[rows["as_of_date"] <= origin - datetime.timedelta(days=90)]
    then["bins"] = fit_feature_bins(
        pa.Table.from_pandas(learned, preserve_index=False),
        None,
        as_of_date=origin,
        settings={**SETTINGS, "settings_hash": "bins"},
    )
    predicted = predict(then, fit(then)).set_index("customer_id")
    tested = tested[tested["origin"] == origin].set_index("customer_id")
    for name in ("predicted_amount", "value_lower", "value_upper"):
        np.testing.assert_allclose(tested[name], predicted.loc[tested.index, name], atol=1e-5)


def test_a_year_is_tested_on_90_days_where_it_cannot_be(young, young_weights):
    tested = backtest(young, young_weights).to_pandas()
    assert set(tested["tested_horizon_days"]) == {90}
    assert set(tested["model_name"]) == {"value_90d", "value_365d"}
    columns = [name for name in tested if name not in ("model_name", "model_version")]
    parts = [
        tested[tested["model_name"] == name][columns].reset_index(drop=True)
        for name in ("value_90d", "value_365d")
    ]
    pd.testing.assert_frame_equal(*parts)


def test_a_version_is_tested_once_and_not_before_it_was_fitted(young, young_weights):
    done = pa.table({"model_version": [facts_of(young_weights)["model_version"]]})
    left = backtest(young, young_weights, done, max_test_origins=1)
    assert set(left["model_name"].to_pylist()) == {"value_365d"}
    earlier = young["as_of_date"] - datetime.timedelta(days=1)
    assert backtest(young, young_weights, as_of_date=earlier).num_rows == 0


def test_a_test_origin_keeps_at_most_so_many_customers_and_the_same_at_each(young, young_weights):
    tested = backtest(young, young_weights, max_test_row_count=50).to_pandas()
    of_model = tested.query("model_name == 'value_90d' and scorer_name == 'model'")
    kept = of_model.groupby("origin")["customer_id"].agg(set)
    assert set(kept.map(len)) == {50}
    customers = kept.tolist()
    # Chance would leave three of the 50 who are kept of some 800.
    assert len(customers[0] & customers[-1]) > 20


# ---- leaks --------------------------------------------------------------------------------------


def spoilt_after(rows, date, horizon_days):
    """Change all that nobody could know at a date: open windows, and later origins."""
    rows = rows.to_pandas()
    ends = pd.to_datetime(rows["as_of_date"]) + pd.Timedelta(days=horizon_days)
    is_open = (ends > pd.Timestamp(date)).to_numpy()
    rows.loc[is_open, f"amount_{horizon_days}d"] = 1e6
    is_later = (rows["as_of_date"] > date).to_numpy()
    rows.loc[is_later, ["net_amount", "order_count"]] = 1e6
    return pa.Table.from_pandas(rows, preserve_index=False)


def later_parameters(parameters, date):
    """Add parameters of later dates that would change all values."""
    later = parameters.to_pandas().tail(1).copy()
    later["fitted_as_of"] = date + datetime.timedelta(days=1)
    for name in {"alpha", "gamma"} & set(later):
        later[name] *= 100
    later = pa.Table.from_pandas(later, schema=parameters.schema, preserve_index=False)
    return pa.concat_tables([later, parameters])


def test_what_comes_after_the_date_changes_no_version(young, young_weights):
    rows = spoilt_after(young["rows"], young["as_of_date"], 90)
    rows = spoilt_after(rows, young["as_of_date"], 365)
    spoilt = {
        "rows": rows,
        "purchases": later_parameters(young["purchases"], young["as_of_date"]),
        "spends": later_parameters(young["spends"], young["as_of_date"]),
    }
    assert fit(young, **spoilt).equals(young_weights)
    predicted = predict(
        young, young_weights, purchases=spoilt["purchases"], spends=spoilt["spends"]
    )
    assert predicted.equals(predict(young, young_weights))


def test_a_backtest_never_learns_from_what_was_not_yet_known(old, old_weights, old_tested):
    tested = old_tested.to_pandas().query("model_name == 'value_90d'")
    origin = sorted(tested["origin"].unique())[1]
    rows = old["rows"].to_pandas()
    ends = pd.to_datetime(rows["as_of_date"]) + pd.Timedelta(days=90)
    unknown = (ends > pd.Timestamp(origin)) & (rows["as_of_date"] != origin)
    rows.loc[unknown.to_numpy() & rows["amount_90d"].notna().to_numpy(), "amount_90d"] = 1e5
    parameters = {
        name: later_parameters(
            old[name].filter(
                pc.less_equal(old[name]["fitted_as_of"], pa.scalar(origin, pa.date32()))
            ),
            origin,
        )
        for name in ("purchases", "spends")
    }
    spoilt = backtest(
        old, old_weights, rows=pa.Table.from_pandas(rows, preserve_index=False), **parameters
    ).to_pandas()
    spoilt = spoilt.query("model_name == 'value_90d'")
    key = ["origin", "scorer_name", "customer_id"]
    for frame, other in [(tested, spoilt), (spoilt, tested)]:
        assert set(frame["origin"]) == set(other["origin"])
    of_origin = [frame[frame["origin"] == origin].set_index(key) for frame in (tested, spoilt)]
    pd.testing.assert_frame_equal(*of_origin)
    later = [frame[frame["origin"] > origin].set_index(key) for frame in (tested, spoilt)]
    assert not later[0]["predicted_amount"].equals(later[1]["predicted_amount"])


# ---- odd shops ----------------------------------------------------------------------------------


def once(customer_count, days):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer_id": [f"c{number:05}" for number in range(customer_count)],
            "day": rng.integers(0, days, customer_count),
            "amount": rng.lognormal(3, 1, customer_count),
        }
    )


def every_day(customer_count, days):
    customer, number = np.meshgrid(np.arange(customer_count), np.arange(days))
    return pd.DataFrame(
        {
            "customer_id": [f"c{value:05}" for value in customer.ravel()],
            "day": number.ravel(),
            "amount": 5.0,
        }
    )


def with_whale(customer_count, days):
    orders = generated_orders(customer_count, days)
    whale = pd.DataFrame({"customer_id": "whale", "day": range(0, days, 7), "amount": 1e6})
    return pd.concat([orders, whale], ignore_index=True)


def for_nothing(customer_count, days):
    return generated_orders(customer_count, days).assign(amount=0.0)


ODD_SHOPS = {
    "all_buy_once": once(600, 400),
    "all_buy_every_day": every_day(30, 200),
    "one_whale": with_whale(400, 400),
    "all_is_free": for_nothing(600, 400),
    "thirty_customers": generated_orders(30, 400),
    "no_window_is_over": generated_orders(500, 120),
    "the_first_weeks": generated_orders(200, 65),
}


@pytest.mark.parametrize("name", ODD_SHOPS)
def test_an_odd_shop_gets_sound_values_or_none(name):
    orders = ODD_SHOPS[name]
    found = shop(orders, int(orders["day"].max()) + 1)
    weights = fit(found)
    tested = backtest(found, weights).to_pandas()
    for model_name in set(weights["model_name"].to_pylist()):
        facts = facts_of(weights, model_name)
        assert facts["learner"] in ("additive", "spline", "nbd")
        assert (facts["learner"] == "nbd") == (facts["additive_share"] == 0)
        numbers = weights.select(["weight", "smearing", "nbd_level", "spend_slope"]).to_pandas()
        assert np.isfinite(numbers).all(axis=None)
        predicted = predict(found, weights, model_name)
        assert is_sound(predicted)
        # No value is beyond all that was ever seen.
        most = orders.groupby("customer_id")["amount"].sum().max()
        assert predicted["predicted_amount"].max() <= 20 * most + 1e-9
    assert np.isfinite(tested[["predicted_amount", "actual_amount"]]).all(axis=None)
    assert (tested["predicted_amount"] >= 0).all()
    if name in ("thirty_customers", "the_first_weeks"):
        assert weights.num_rows == 0
    if name == "one_whale":
        top = predict(found, weights).set_index("customer_id")["predicted_amount"]
        assert top.idxmax() == "whale"


def test_the_name_of_a_model_tells_its_horizon():
    assert value_module.value_model_name(30) == "value_30d"
