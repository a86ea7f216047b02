import datetime
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from purchase_process import simulate_customers
from scipy.optimize import brentq
from scipy.special import betainc

from coterie.lifetime_value import (
    FAMILIES,
    LEVELS,
    MEAN_ROUNDING_WEEKS,
    STATE_EXPECTATIONS_SCHEMA,
    GammaGamma,
    fit_gamma_gamma_parameters,
    fit_nbd_parameters,
    state_expectations,
)

DAY = datetime.date(2024, 6, 1)
EARLIER = DAY - datetime.timedelta(days=30)
PURCHASES = {"family": "mbg_nbd", "r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}
SPENDS = {"p": 6.25, "q": 3.74, "gamma": 15.44}
STATES = [(0, 0), (0, 1), (0, 60), (1, 4), (2, 30), (5, 52), (12, 100), (60, 100)]
ONE_ROW = ["expected_orders_alive", "discount_share", "no_order_probability_alive"]


def model_of(parameters):
    names = ("r", "alpha", "a", "b")
    return FAMILIES[parameters["family"]].from_parameters(**{n: parameters[n] for n in names})


def state_table(states=STATES, dates=(DAY,)):
    rows = [(date, x, weeks) for date in dates for x, weeks in states]
    dates, x, weeks = zip(*rows, strict=True)
    return pa.table(
        {
            "as_of_date": pa.array(dates, pa.date32()),
            "repeat_count": np.array(x, np.int64),
            "age_weeks": np.array(weeks, np.int64),
        }
    )


def parameter_table(parameters, date=DAY, settings_hash="s"):
    row = {"fitted_as_of": date, "settings_hash": settings_hash, **parameters}
    columns = {
        name: pa.array([value], pa.float64() if value is None else None)
        for name, value in row.items()
    }
    return pa.table(columns)


def tabulate(states=STATES, purchases=None, spends=None, **changes):
    found = state_expectations(
        state_table(states),
        parameter_table(PURCHASES | (purchases or {})),
        parameter_table(SPENDS | (spends or {})),
        settings=changes,
    )
    return found.to_pandas()


def cube(frame, column, states=STATES):
    """A column by state, horizon and level."""
    return frame[column].to_numpy().reshape(len(states), -1, len(LEVELS))


# ---- the table ----------------------------------------------------------------------------------


def test_a_table_has_a_row_for_each_state_horizon_and_level():
    states = state_table(dates=(EARLIER, DAY))
    purchases = parameter_table(PURCHASES, EARLIER)
    found = state_expectations(states, purchases, parameter_table(SPENDS, EARLIER), settings={})
    assert found.schema == STATE_EXPECTATIONS_SCHEMA
    frame = found.to_pandas()
    assert len(frame) == 2 * len(STATES) * 2 * 41
    key = ["as_of_date", "repeat_count", "age_weeks", "horizon_days", "level"]
    pd.testing.assert_frame_equal(frame, frame.sort_values(key, ignore_index=True))
    assert not frame.duplicated(key).any()
    assert not frame.isna().any().any()
    assert sorted(set(frame["horizon_days"])) == [90, 365]
    assert frame["level"][:41].tolist() == [*(round(0.025 * n, 3) for n in range(40)), 0.999]
    assert not frame["is_spend_fixed"].any()
    # The order of the rows does not matter, nor do other states.
    shuffled = states.take(np.random.default_rng(0).permutation(len(states)))
    again = state_expectations(shuffled, purchases, parameter_table(SPENDS, EARLIER), settings={})
    assert again.equals(found)
    alone = tabulate(states=[(5, 52)])
    among = frame[(frame["age_weeks"] == 52) & (frame["as_of_date"] == DAY)]
    for column in [*ONE_ROW, "value_quantile"]:
        np.testing.assert_allclose(alone[column], among[column], rtol=1e-5)


def test_orders_are_those_of_the_purchase_model_at_the_age_before_rounding():
    for family, make in FAMILIES.items():
        frame = tabulate(purchases={"family": family})
        model = make.from_parameters(r=0.525, alpha=6.183, a=0.891, b=1.614)
        first = frame[frame["level"] == 0]
        x, weeks, days = first[["repeat_count", "age_weeks", "horizon_days"]].to_numpy().T
        age = np.maximum(weeks - MEAN_ROUNDING_WEEKS, 0)
        expected = model.expected_purchases_alive(x, age, days / 7)
        np.testing.assert_allclose(first["expected_orders_alive"], expected, rtol=1e-11)
        np.testing.assert_allclose(
            first["no_order_probability_alive"],
            ((model.alpha_ + age) / (model.alpha_ + age + days / 7)) ** (model.r_ + x),
            rtol=1e-11,
        )
    unrounded = tabulate(states=[(5, 52)], rounding_weeks=0)["expected_orders_alive"]
    expected = model_of(PURCHASES).expected_purchases_alive(5, 52, np.array([90, 365]) / 7)
    np.testing.assert_allclose(unrounded.unique(), expected, rtol=1e-11)


def test_a_date_uses_the_newest_parameters_fitted_by_it():
    later = DAY + datetime.timedelta(days=1)
    before = EARLIER - datetime.timedelta(days=1)
    purchases = pa.concat_tables(
        [
            parameter_table(PURCHASES | {"r": 2.0}, EARLIER),
            parameter_table(PURCHASES, DAY),
            parameter_table(PURCHASES | {"r": 9.0}, later),
        ]
    )
    spends = pa.concat_tables(
        [parameter_table(SPENDS, DAY), parameter_table(SPENDS | {"p": 99.0}, later)]
    )
    states = state_table(dates=(before, EARLIER, DAY))
    frame = state_expectations(states, purchases, spends, settings={}).to_pandas()
    # Nothing was known before the first parameters, and nothing of spends before theirs.
    assert sorted(set(frame["as_of_date"])) == [EARLIER, DAY]
    assert frame.groupby("as_of_date")["is_spend_fixed"].agg(
        ["min", "max"]
    ).to_numpy().tolist() == [
        [True, True],
        [False, False],
    ]
    of_day = frame[frame["as_of_date"] == DAY].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_day, tabulate())
    of_earlier = frame[frame["as_of_date"] == EARLIER].reset_index(drop=True)
    np.testing.assert_array_equal(
        of_earlier["expected_orders_alive"], tabulate(purchases={"r": 2.0})["expected_orders_alive"]
    )


def test_parameters_of_other_settings_are_not_used():
    purchases = pa.concat_tables(
        [parameter_table(PURCHASES), parameter_table(PURCHASES | {"r": 9.0}, settings_hash="t")]
    )
    found = state_expectations(
        state_table(), purchases, parameter_table(SPENDS), settings={"settings_hash": "s"}
    )
    assert found.to_pandas().equals(tabulate())
    with pytest.raises(ValueError, match="purchase parameters has several rows"):
        state_expectations(state_table(), purchases, parameter_table(SPENDS), settings={})
    for parameters in (purchases, purchases.slice(0, 0)):
        nothing = state_expectations(
            state_table(), parameters, parameter_table(SPENDS), settings={"settings_hash": "u"}
        )
        assert nothing.equals(STATE_EXPECTATIONS_SCHEMA.empty_table())
    nothing = state_expectations(
        state_table().slice(0, 0), purchases.slice(0, 1), parameter_table(SPENDS), settings={}
    )
    assert nothing.equals(STATE_EXPECTATIONS_SCHEMA.empty_table())


# ---- present value ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_discount_share_is_the_present_value_of_an_order(family):
    frame = tabulate(purchases={"family": family}, annual_discount_rate=0.3)
    first = frame[frame["level"] == 0]
    model = model_of(PURCHASES | {"family": family})
    for _, row in first.iterrows():
        time = np.linspace(0, row["horizon_days"] / 7, 20_001)
        age = max(row["age_weeks"] - MEAN_ROUNDING_WEEKS, 0)
        until = model.expected_purchases_alive(row["repeat_count"], age, time)
        between = (time[1:] + time[:-1]) / 2
        present = (np.diff(until) * 1.3 ** (-between * 7 / 365)).sum()
        assert row["discount_share"] == pytest.approx(present / until[-1], rel=1e-7)
    assert (tabulate(annual_discount_rate=0)["discount_share"] == 1).all()
    # An order is due between now and the end of the horizon.
    assert (first["discount_share"] < 1).all()
    assert (first["discount_share"] > 1.3 ** (-first["horizon_days"] / 365)).all()


# ---- values -------------------------------------------------------------------------------------


def reached(counts, p, q, value):
    """The distribution function of the value, number of orders by number of orders."""
    n = np.arange(1, len(counts))
    return counts[0] + counts[1:] @ betainc(p * n, q, value / (1 + value))


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize(
    ("p", "q"),
    [(6.25, 3.74), (0.5, 1.1), (1, 20), (40, 3), (1e4, 3), (1e4, 1e4), (3, 1e4), (0.01, 2)],
)
def test_quantiles_reach_their_level(family, p, q):
    states = [*STATES, (400, 100), (3000, 500)]
    purchases = PURCHASES | {"family": family}
    frame = tabulate(states, purchases, {"p": p, "q": q})
    values = cube(frame, "value_quantile", states)
    model = model_of(purchases)
    worst = 0.0
    for (x, weeks), of_state in zip(states, values, strict=True):
        for days, of_horizon in zip([90, 365], of_state, strict=True):
            age = max(weeks - MEAN_ROUNDING_WEEKS, 0)
            counts = model.count_probabilities_alive(x, age, days / 7)[0]
            for level, value in zip(LEVELS, of_horizon, strict=True):
                if value == 0:
                    assert level <= counts[0] * (1 + 1e-12) or p < 0.1
                    continue
                # The table holds six digits of the value.
                below, above = (
                    reached(counts, p, p * x + q, value * share) for share in (1 - 5e-6, 1 + 5e-6)
                )
                worst = max(worst, below - level, level - above)
    assert worst < (1e-6 if p > 0.1 else 4e-6)


def test_quantiles_are_those_found_by_bisection():
    frame = tabulate()
    model = model_of(PURCHASES)
    for x, weeks, days, level in [(0, 60, 365, 0.95), (2, 30, 90, 0.9), (12, 100, 365, 0.5)]:
        counts = model.count_probabilities_alive(x, weeks - 3 / 7, days / 7)[0]
        q = 6.25 * x + 3.74
        exact = brentq(lambda v, c=counts, q=q, at=level: reached(c, 6.25, q, v) - at, 0, 1e3)
        row = frame.query(
            "repeat_count == @x and age_weeks == @weeks and horizon_days == @days "
            "and level == @level"
        )
        assert row["value_quantile"].item() == pytest.approx(exact, rel=6e-6)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("state", [(0, 8), (1, 30), (4, 60), (40, 100)])
def test_quantiles_are_those_of_customers_drawn_given_their_state(family, state):
    x, weeks = state
    model = model_of(PURCHASES | {"family": family})
    rng = np.random.default_rng([x, weeks])
    count = 200_000
    rate = rng.gamma(model.r_ + x, 1 / (model.alpha_ + weeks - 3 / 7), count)
    leaving = rng.beta(model.a_, model.b_ + x + model._first_chances, count)
    # Purchases until one leaves, of those that come within the year.
    orders = np.minimum(rng.poisson(rate * 365 / 7), rng.geometric(np.maximum(leaving, 1e-12)))
    price_rate = rng.gamma(SPENDS["p"] * x + SPENDS["q"], 1.0, count)
    value = np.where(orders > 0, rng.gamma(SPENDS["p"] * np.maximum(orders, 1)) / price_rate, 0)
    frame = tabulate([state], {"family": family}, horizon_days=[365])
    frame = frame[(frame["level"] > 0) & (frame["value_quantile"] > 0)]
    shares = (value[:, np.newaxis] <= frame["value_quantile"].to_numpy()).mean(axis=0)
    levels = frame["level"].to_numpy()
    error = np.sqrt(levels * (1 - levels) / count)
    assert (np.abs(shares - levels) < 4.5 * error).all()
    assert frame["expected_orders_alive"].iloc[0] == pytest.approx(orders.mean(), rel=0.03)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_quantiles_are_those_of_the_whole_process(family):
    model = model_of(PURCHASES | {"family": family})
    spend = GammaGamma.from_parameters(**SPENDS)
    weeks = np.random.default_rng(0).integers(20, 60, 60_000)
    # A customer whose age was rounded up to whole weeks is younger by the mean rounding.
    customers = simulate_customers(model, weeks - 3 / 7, horizon=365 / 7, spend=spend, seed=1)
    frame = pd.DataFrame(
        {
            "repeat_count": customers.states[:, 0].astype(int),
            "age_weeks": weeks,
            "scale": spend.gamma_ + customers.states[:, 0] * customers.mean_spend,
            "value": customers.later_value,
        }
    )[customers.is_alive]
    states = frame[["repeat_count", "age_weeks"]].drop_duplicates().to_numpy().tolist()
    table = tabulate(states, {"family": family}, horizon_days=[365])
    frame["group"] = frame["repeat_count"].clip(upper=6)
    for level in (0.5, 0.8, 0.9, 0.975):
        at = table[table["level"] == level]
        rows = frame.merge(at, on=["repeat_count", "age_weeks"])
        assert len(rows) == len(frame)
        rows["is_reached"] = rows["value"] <= rows["scale"] * rows["value_quantile"]
        rows = rows[rows["value_quantile"] > 0]
        for _, of_group in rows.groupby("group"):
            error = np.sqrt(level * (1 - level) / len(of_group))
            assert abs(of_group["is_reached"].mean() - level) < 4.5 * error


def test_fixed_spends_are_counted_in_orders():
    nothing = dict.fromkeys(SPENDS)
    frame = tabulate(spends=nothing)
    assert frame["is_spend_fixed"].all()
    orders = cube(frame, "value_quantile")
    model = model_of(PURCHASES)
    for (x, weeks), of_state in zip(STATES, orders, strict=True):
        counts = model.count_probabilities_alive(x, max(weeks - 3 / 7, 0), 365 / 7)[0]
        sums = np.cumsum(counts)
        expected = [int(np.argmax(sums >= level - 1e-12)) for level in LEVELS]
        np.testing.assert_array_equal(of_state[1], expected)
    # All else is as with parameters.
    pd.testing.assert_frame_equal(frame[ONE_ROW], tabulate()[ONE_ROW])


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(list(FAMILIES)),
    st.tuples(st.floats(0.1, 4), st.floats(2, 50), st.floats(0.05, 20), st.floats(0.05, 20)),
    st.tuples(st.floats(0.2, 50), st.floats(1.05, 30)),
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 300)), min_size=1, max_size=5, unique=True
    ),
)
def test_values_rise_with_level_horizon_and_orders(family, numbers, shapes, states):
    purchases = {"family": family} | dict(zip(("r", "alpha", "a", "b"), numbers, strict=True))
    days = [1, 30, 365, 1000]
    frame = tabulate(states, purchases, dict(zip("pq", shapes, strict=True)), horizon_days=days)
    values = cube(frame, "value_quantile", states)
    assert np.isfinite(values).all()
    assert (values[..., 0] == 0).all()
    assert (np.diff(values, axis=2) >= 0).all()
    assert (np.diff(values, axis=1) >= -1e-5 * values[:, 1:]).all()
    expected, share, no_order = (cube(frame, column, states)[..., 0] for column in ONE_ROW)
    assert (np.diff(expected, axis=1) >= 0).all()
    assert (np.diff(no_order, axis=1) <= 0).all()
    assert (np.diff(share, axis=1) <= 1e-6).all()
    assert ((no_order >= 0) & (no_order <= 1)).all()
    assert (expected >= 1 - no_order - 1e-9).all()
    # There is nothing up to the probability of no order, and something above it.
    assert (values[np.broadcast_to(LEVELS, values.shape) < no_order[..., np.newaxis]] == 0).all()


def test_a_short_horizon_holds_nothing():
    frame = tabulate([(3, 400)], {"r": 0.01, "alpha": 500.0}, horizon_days=[1, 365])
    value = cube(frame, "value_quantile", [1])[0]
    assert (value[0, :-1] == 0).all()
    day, year = frame[frame["level"] == 0].to_dict("records")
    assert day["expected_orders_alive"] == pytest.approx(3.01 / 900 / 7, rel=0.01)
    assert day["no_order_probability_alive"] > 0.999
    assert day["discount_share"] > year["discount_share"] > 0.95


def test_heavy_users_go_on_as_they_did():
    # Daily for years, and nobody leaves: the year will bring as many orders.
    frame = tabulate([(1400, 200)], {"a": 1e-4, "b": 10.0}, {"p": 50.0, "q": 3.0})
    year = frame[frame["horizon_days"] == 365].set_index("level")["value_quantile"]
    scale = 1 / (50 * 1400 + 2)
    assert year[0.5] == pytest.approx(50 * 365 * scale * 200 / 206, rel=0.02)
    assert 0.8 < year[0.1] / year[0.5] < year[0.9] / year[0.5] < 1.25


@pytest.mark.parametrize("family", list(FAMILIES))
def test_parameters_at_their_bounds_give_numbers(family):
    states = [(0, 0), (0, 500), (1, 1), (7, 1), (365, 52), (5000, 5)]
    for small in (1e-4, 1.0, 1e4):
        for other in (1e-4, 1.0, 1e4):
            purchases = {"family": family, "r": other, "alpha": small, "a": small, "b": other}
            for spends in ({"p": small, "q": max(other, 1.0001)}, dict.fromkeys(SPENDS)):
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    frame = tabulate(states, purchases, spends)
                numbers = frame[[*ONE_ROW, "value_quantile"]].to_numpy()
                assert np.isfinite(numbers).all()
                assert (numbers >= 0).all()
                assert frame["discount_share"].between(0.9, 1).all()
                assert frame["no_order_probability_alive"].between(0, 1).all()
                assert (np.diff(cube(frame, "value_quantile", states), axis=2) >= 0).all()


# ---- odd shops, from their customers to their values --------------------------------------------


def odd_shop(kind, count=400):
    """Repeat count, recency and age in weeks and mean spend of customers."""
    rng = np.random.default_rng(0)
    age = rng.integers(1, 60, count)
    x = np.minimum(rng.geometric(0.5, count) - 1, 7 * age - 1)
    recency = np.where(x > 0, np.ceil(age * rng.uniform(0.01, 1, count)), 0).astype(int)
    spend = np.round(rng.lognormal(3, 0.5, count), 2)
    if kind == "all buy once":
        x, recency = 0 * x, 0 * recency
    elif kind == "all buy every day":
        x, recency = 7 * age, age
    elif kind == "all buy twice":
        x, recency = 0 * x + 1, np.maximum(recency, 1)
    elif kind == "a whale":
        x[0], age[0], recency[0], spend[0] = 5000, 700, 700, 1e9
    elif kind == "all is free":
        spend = 0 * spend
    elif kind == "one price":
        spend = 0 * spend + 5
    elif kind == "thirty customers":
        x, recency, age, spend = (values[:30] for values in (x, recency, age, spend))
    return x, recency, age, np.where(x > 0, spend, 0)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize(
    ("kind", "is_fitted", "reason"),
    [
        ("a usual shop", True, None),
        ("all buy once", False, "too_few_repeaters"),
        ("all buy every day", True, None),
        ("all buy twice", True, None),
        ("a whale", True, "spend_depends_on_frequency"),
        ("all is free", True, "too_few_repeaters"),
        ("one price", True, None),
        ("thirty customers", False, "too_few_repeaters"),
    ],
)
def test_odd_shops_have_values_or_the_reason_why_not(kind, is_fitted, reason, family):
    x, recency, age, spend = odd_shop(kind)
    fit_settings = {"settings_hash": "s", "refit_interval_days": 30, "family": family}

    def states(**columns):
        rows = pd.DataFrame(columns).value_counts().rename("customer_count").reset_index()
        rows.insert(0, "as_of_date", DAY)
        return pa.Table.from_pandas(rows, preserve_index=False)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        purchases = fit_nbd_parameters(
            states(repeat_count=x, recency_weeks=recency, age_weeks=age),
            None,
            as_of_date=DAY,
            settings=fit_settings,
        )
        spends = fit_gamma_gamma_parameters(
            states(repeat_count=x, mean_spend=spend), None, as_of_date=DAY, settings=fit_settings
        )
        found = state_expectations(
            states(repeat_count=x, age_weeks=age), purchases, spends, settings=fit_settings
        ).to_pandas()
    assert purchases.num_rows == is_fitted
    spends = spends.to_pylist()[0]
    assert spends["fallback_reason"] == reason
    assert np.isfinite(spends["mean_spend"])
    assert spends["mean_spend"] >= 0
    assert (spends["p"] is None) == (reason is not None)
    assert len(found) == is_fitted * len(np.unique(np.column_stack([x, age]), axis=0)) * 2 * 41
    numbers = found[[*ONE_ROW, "value_quantile"]].to_numpy()
    assert np.isfinite(numbers).all()
    assert (numbers >= 0).all()
    assert (found["is_spend_fixed"] == (reason is not None)).all()


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"horizon_days": []}, "horizon_days"),
        ({"horizon_days": [0]}, "horizon_days"),
        ({"horizon_days": [90.5]}, "horizon_days"),
        ({"horizon_days": "90"}, "horizon_days"),
        ({"annual_discount_rate": -0.1}, "annual_discount_rate"),
        ({"annual_discount_rate": "much"}, "annual_discount_rate"),
        ({"rounding_weeks": 1}, "rounding_weeks"),
    ],
)
def test_impossible_settings_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        tabulate(**changes)


def test_impossible_states_are_refused():
    with pytest.raises(ValueError, match="several rows"):
        tabulate([(1, 2), (1, 2)])
    with pytest.raises(ValueError, match="negative or a fraction"):
        tabulate([(-1, 2)])
    states = state_table()
    with pytest.raises(ValueError, match="no column age_weeks"):
        state_expectations(
            states.drop_columns(["age_weeks"]),
            parameter_table(PURCHASES),
            parameter_table(SPENDS),
            settings={},
        )
