"""Who is like the members of an audience: what is planted is found, and nothing else is claimed."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from coterie.additive import AdditiveClassifier
from coterie.lookalikes import (
    LEAST_SPREAD,
    LOOKALIKE_SCHEMA,
    MemberCenters,
    customer_folds,
    decile_lift,
    delong,
    fit_lookalikes,
    folded_auc,
)

DAY = datetime.date(2024, 1, 1)
FEATURES = ["days_since_last_order", "order_count_365d", "net_amount_365d", "tea_share", "noise"]
RFM = FEATURES[:3]
SETTINGS = {
    "features": FEATURES,
    "closeness_features": RFM,
    "settings_hash": "s",
    "code_version": "1",
    "is_empty": "False",
}


def customers(count: int, seed: int) -> dict[str, np.ndarray]:
    """Customers with ids and features; a fifth has no order."""
    rng = np.random.default_rng(seed)
    orders = 1.0 + rng.poisson(rng.gamma(0.6, 3, count))
    days = np.ceil(365 * rng.beta(1, 1 + orders / 3))
    amount = (orders * rng.lognormal(4, 0.8, count)).round(2)
    tea = rng.beta(0.4, 1.6, count).round(3)
    is_prospect = rng.random(count) < 0.2
    for values, missing in ((orders, 0), (amount, 0), (days, np.nan), (tea, np.nan)):
        values[is_prospect] = missing
    return {
        "customer_id": np.array([f"c{number:05d}" for number in range(count)]),
        "days_since_last_order": days,
        "order_count_365d": orders,
        "net_amount_365d": amount,
        "tea_share": tea,
        "noise": rng.normal(size=count),
    }


def sample(everybody: dict[str, np.ndarray], **audiences: np.ndarray) -> pa.Table:
    """One row for each audience and customer; an audience is a mask of its members."""
    parts = [
        pa.table(everybody)
        .append_column("is_member", pa.array(mask))
        .append_column("audience_code", pa.array([code] * len(mask)))
        for code, mask in audiences.items()
    ]
    table = pa.concat_tables(parts)
    return table.append_column("is_background", pa.array(np.ones(table.num_rows, dtype=bool)))


def tea_drinkers(everybody: dict[str, np.ndarray], seed: int, share: float = 1.0) -> np.ndarray:
    """The true audience: spend on tea and many orders make it likely to belong."""
    rng = np.random.default_rng(seed)
    pull = 9 * np.nan_to_num(everybody["tea_share"]) + 0.25 * everybody["order_count_365d"]
    belongs = rng.random(len(pull)) < 1 / (1 + np.exp(6.5 - pull))
    return belongs & (rng.random(len(pull)) < share)


def fit(table: pa.Table, **settings: object) -> pa.Table:
    return fit_lookalikes(table, as_of_date=DAY, settings=SETTINGS | settings)


def whole(fitted: pa.Table, code: str = "club") -> dict:
    return fitted.filter(pc.equal(fitted["audience_code"], code)).to_pylist()[0]


def bin_edges(fitted: pa.Table) -> list[float | None]:
    return fitted.filter(pc.equal(fitted["part"], "weight"))["upper_edge"].to_pylist()


def log_odds(fitted: pa.Table, everybody: dict[str, np.ndarray], code: str = "club") -> np.ndarray:
    """Score customers by nothing but the fitted table."""
    rows = fitted.filter(
        pc.and_(pc.equal(fitted["audience_code"], code), pc.equal(fitted["part"], "weight"))
    )
    columns = rows.select(["feature", "bin", "upper_edge", "weight", "intercept"])
    classifier = AdditiveClassifier.from_table(columns, features=FEATURES)
    return classifier.decision_function(pd.DataFrame(everybody)[FEATURES])


def test_members_who_are_kept_off_the_list_stand_in_the_first_tenth():
    everybody = customers(4000, 1)
    true = tea_drinkers(everybody, 2)
    rng = np.random.default_rng(3)
    listed = true & (rng.random(len(true)) < 0.5)
    held_out = true & ~listed
    assert held_out.sum() > 100
    fitted = fit(sample(everybody, club=listed))
    assert whole(fitted)["status"] == "ranked"
    score = log_odds(fitted, everybody)[~listed]
    first_tenth = score >= np.quantile(score, 0.9)
    lift = held_out[~listed][first_tenth].mean() / held_out[~listed].mean()
    assert lift >= 3
    # Not far from what those know who know why customers belong.
    pull = 9 * np.nan_to_num(everybody["tea_share"]) + 0.25 * everybody["order_count_365d"]
    ceiling = roc_auc_score(held_out[~listed], pull[~listed])
    assert roc_auc_score(held_out[~listed], score) > ceiling - 0.03
    # What cross-validation promised is what the held-out members show.
    assert abs(whole(fitted)["model_roc_auc"] - ceiling) < 0.05


def test_audiences_of_chance_are_withheld():
    """An interval of 95 % lies above one half by chance in 1 of 40."""
    everybody = customers(1200, 4)
    published = 0
    for seed in range(20):
        drawn = np.random.default_rng(seed).permutation(1200) < (60 + 6 * seed)
        published += whole(fit(sample(everybody, club=drawn)))["status"] == "ranked"
    assert published <= 2


def test_small_audiences_of_chance_are_withheld_too():
    everybody = customers(1200, 5)
    published = 0
    for seed in range(30):
        drawn = np.random.default_rng(seed).permutation(1200) < 30
        found = whole(fit(sample(everybody, club=drawn)))
        assert found["method"] == "closeness"
        published += found["status"] == "ranked"
    assert published <= 3


def test_small_audiences_are_ranked_by_closeness_alone():
    everybody = customers(1500, 6)
    is_big = everybody["net_amount_365d"] >= np.sort(everybody["net_amount_365d"])[-30]
    fitted = fit(sample(everybody, club=is_big))
    found = whole(fitted)
    assert (found["method"], found["status"]) == ("closeness", "ranked")
    assert set(fitted["part"].to_pylist()) == {"center"}
    assert found["model_roc_auc"] is None
    assert found["intercept"] is None
    assert found["closeness_roc_auc"] > 0.8


@pytest.mark.parametrize("count", [0, 1, 9])
def test_with_fewer_than_ten_members_nothing_is_fitted(count):
    everybody = customers(300, 7)
    fitted = fit(sample(everybody, club=np.arange(300) < count))
    assert fitted.num_rows == 1
    found = whole(fitted)
    assert (found["status"], found["part"]) == ("too_few_members", "none")
    assert found["training_member_count"] == count


def test_an_audience_of_everybody_is_told_from_nobody():
    everybody = customers(300, 8)
    fitted = fit(sample(everybody, club=np.ones(300, dtype=bool)))
    assert whole(fitted)["status"] == "too_few_members"


def test_the_method_follows_from_the_number_of_members():
    everybody = customers(2500, 9)
    order = np.random.default_rng(0).permutation(2500)
    masks = {f"a{count}": order < count for count in (49, 50, 299, 300)}
    fitted = fit(sample(everybody, **masks))
    methods = {code: whole(fitted, code)["method"] for code in masks}
    assert methods == {"a49": "closeness", "a50": "spline", "a299": "spline", "a300": "additive"}


def test_the_order_of_rows_changes_nothing():
    everybody = customers(1500, 10)
    table = sample(
        everybody, club=tea_drinkers(everybody, 1), vip=everybody["net_amount_365d"] > 900
    )
    order = np.random.default_rng(0).permutation(table.num_rows)
    assert fit(table.take(pa.array(order))).equals(fit(table))


def test_another_audience_changes_nothing():
    everybody = customers(1500, 11)
    club = tea_drinkers(everybody, 1)
    alone = fit(sample(everybody, club=club))
    both = fit(sample(everybody, aaa=everybody["noise"] > 1, club=club))
    assert both.filter(pc.equal(both["audience_code"], "club")).equals(alone)


def test_members_beyond_the_sample_of_all_move_no_bins():
    everybody = customers(1500, 12)
    club = tea_drinkers(everybody, 1)
    table = sample(everybody, club=club)
    is_background = np.arange(1500) < 900
    table = table.set_column(
        table.column_names.index("is_background"), "is_background", pa.array(is_background)
    ).filter(pa.array(is_background | club))
    edges = bin_edges(fit(table))
    few = {name: values[:900] for name, values in everybody.items()}
    assert edges == bin_edges(fit(sample(few, club=club[:900])))


def test_the_intercept_is_what_the_average_other_customer_has():
    everybody = customers(1500, 13)
    club = tea_drinkers(everybody, 1)
    fitted = fit(sample(everybody, club=club))
    mean = log_odds(fitted, everybody)[~club].mean()
    assert mean == pytest.approx(whole(fitted)["intercept"], abs=1e-6)
    weights = fitted["weight"].drop_null().to_numpy() * 1e9
    np.testing.assert_allclose(weights, weights.round(), atol=1e-3)


def test_what_is_fitted_depends_on_the_list():
    everybody = customers(800, 14)
    club = tea_drinkers(everybody, 1)
    version = whole(fit(sample(everybody, club=club)))["model_version"]
    assert whole(fit(sample(everybody, club=club)))["model_version"] == version
    shorter = club.copy()
    shorter[np.flatnonzero(club)[0]] = False
    assert whole(fit(sample(everybody, club=shorter)))["model_version"] != version
    other = fit(sample(everybody, club=club), settings_hash="t")
    assert whole(other)["model_version"] != version


def test_features_without_values_are_borne():
    everybody = customers(900, 15)
    everybody["tea_share"] = np.full(900, np.nan)
    everybody["noise"] = np.ones(900)
    club = everybody["net_amount_365d"] > 300
    fitted = fit(sample(everybody, club=club))
    assert whole(fitted)["status"] == "ranked"
    rows = fitted.filter(pc.is_in(fitted["feature"], pa.array(["tea_share", "noise"])))
    assert set(rows["weight"].to_pylist()) == {0.0}
    # Nobody has ordered: no member has a place among the centers.
    for name in RFM:
        everybody[name] = np.full(900, np.nan)
    parts = fit(sample(everybody, club=np.arange(900) % 5 == 0))["part"].to_pylist()
    assert set(parts) == {"weight"}


def test_nothing_is_fitted_without_rows_or_a_date():
    table = sample(customers(100, 16), club=np.arange(100) < 20)
    for found in (
        fit_lookalikes(table, as_of_date=None, settings=SETTINGS),
        fit_lookalikes(table.slice(0, 0), as_of_date=DAY, settings=SETTINGS),
        fit(table, is_empty="True"),
    ):
        assert found.num_rows == 0
        assert found.schema == LOOKALIKE_SCHEMA
    assert fit(table).schema == LOOKALIKE_SCHEMA


def test_bad_samples_are_refused_in_words():
    table = sample(customers(100, 17), club=np.arange(100) < 20)
    with pytest.raises(ValueError, match="no column tea_share"):
        fit(table.drop_columns("tea_share"))
    with pytest.raises(ValueError, match="several rows of the same audience_code, customer_id"):
        fit(pa.concat_tables([table, table]))
    with pytest.raises(ValueError, match="the setting features is missing"):
        fit_lookalikes(table, as_of_date=DAY, settings={"settings_hash": "s"})


def test_delong_is_the_share_of_pairs_and_its_variance():
    """2 members, 3 others; 5 of 6 pairs are right, one of them a tie."""
    is_member = np.array([True, True, False, False, False])
    score = np.array([3.0, 2.0, 2.0, 1.0, 0.0])
    value, variance = delong(is_member, score)
    assert value == pytest.approx(5.5 / 6)
    # By member: 1 and 2.5 / 3; by other: 3 / 4, 1 and 1.
    by_member, by_other = np.array([1, 2.5 / 3]), np.array([0.75, 1, 1])
    assert variance == pytest.approx(by_member.var(ddof=1) / 2 + by_other.var(ddof=1) / 3)


def test_the_interval_covers_the_true_auc():
    """Of two normal distributions one unit apart: their distribution function at 1 / sqrt 2."""
    true = 0.7602499
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        is_member = np.arange(600) < 80
        score = rng.normal(size=600) + is_member
        fold = rng.integers(0, 5, 600)
        auc = folded_auc(is_member, score, fold)
        covered += auc.lower <= true <= auc.upper
        assert auc.value == pytest.approx(roc_auc_score(is_member, score), abs=0.06)
    assert 180 <= covered <= 200


def test_folds_without_members_do_not_count():
    is_member = np.arange(20) < 4
    fold = np.where(is_member, 0, np.arange(20) % 2)
    assert folded_auc(is_member, np.arange(20.0), fold).value == 0.0
    assert np.isnan(folded_auc(np.arange(20) < 1, np.arange(20.0), fold).value)


def test_a_missing_score_is_the_lowest():
    is_member = np.array([True, True, False, False])
    fold = np.zeros(4, dtype=int)
    assert folded_auc(is_member, np.array([1, 2, np.nan, np.nan]), fold).value == 1.0
    assert folded_auc(is_member, np.array([np.nan, np.nan, 1, 2]), fold).value == 0.0


def test_lift_of_the_first_tenth():
    fold = np.zeros(100, dtype=int)
    is_member = np.arange(100) < 10
    assert decile_lift(is_member, -np.arange(100.0), fold) == pytest.approx(10)
    assert decile_lift(is_member, np.arange(100.0), fold) == 0
    # Equal scores say nothing.
    assert decile_lift(is_member, np.zeros(100), fold) == pytest.approx(1)


def test_folds_depend_on_the_customer_alone():
    ids = [f"c{number}" for number in range(1000)]
    fold = customer_folds(ids)
    assert np.array_equal(customer_folds(ids[::-1]), fold[::-1])
    assert np.bincount(fold, minlength=5).min() > 150


def test_centers_of_members_are_found():
    rng = np.random.default_rng(0)
    planted = np.array([[-2.0, 0.0], [2.0, 1.0]])
    rows = planted[np.arange(200) % 2] + rng.normal(0, [0.3, 0.6], (200, 2))
    found = MemberCenters.fit(rows, 3)
    np.testing.assert_allclose(found.centers, planted, atol=0.2)
    np.testing.assert_allclose(found.spread, [0.3, 0.6], atol=0.08)
    assert found.distances(planted).max() < 0.5
    # One standard deviation away in one feature, from the nearer center.
    step = found.centers[0] + [found.spread[0], 0]
    assert found.distances(step[np.newaxis])[0] == pytest.approx(1)
    assert len(MemberCenters.fit(rows, 1).centers) == 1
    assert len(MemberCenters.fit(rng.normal(size=(40, 2)), 3).centers) == 1


def test_members_who_are_all_alike_have_some_spread():
    rows = np.tile([1.0, 2.0], (30, 1))
    found = MemberCenters.fit(np.vstack([rows, [[np.nan, 1.0]]]), 3)
    assert found.spread.tolist() == [LEAST_SPREAD, LEAST_SPREAD]
    assert found.distances(rows[:1]).tolist() == [0.0]
    assert np.isnan(found.distances(np.array([[np.nan, 2.0]]))[0])
    assert MemberCenters.fit(np.full((5, 2), np.nan), 3) is None
