import datetime
import logging
import math
import os
import pathlib
import pickle
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from purchase_process import simulate_customers
from scipy.special import beta, factorial, hyp2f1, poch
from scipy.stats import gamma, poisson
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from coterie.lifetime_value import (
    NBD_PARAMETERS_SCHEMA,
    PARAMETERS,
    BetaGeometricNBD,
    ModifiedBetaGeometricNBD,
    fit_nbd_parameters,
    fitting,
    purchases,
    unrounded_weeks,
)

MODELS = [BetaGeometricNBD, ModifiedBetaGeometricNBD]
DAY = datetime.date(2024, 6, 1)
SETTINGS = {"settings_hash": "s", "refit_interval_days": "30", "is_empty": "False"}

# x, t_x, T, customers; simulated, with rare states left out.
# fmt: off
STATES = np.array([
    (0, 0, 13, 1122), (0, 0, 26, 606), (0, 0, 39, 581), (0, 0, 52, 269), (1, 3.25, 13, 90),
    (1, 3.25, 26, 42), (1, 3.25, 39, 28), (1, 3.25, 52, 15), (1, 6.5, 13, 104), (1, 6.5, 26, 70),
    (1, 6.5, 39, 49), (1, 6.5, 52, 24), (1, 13, 13, 41), (1, 13, 26, 53), (1, 13, 39, 43),
    (1, 13, 52, 12), (1, 19.5, 26, 37), (1, 19.5, 39, 32), (1, 19.5, 52, 12), (1, 26, 26, 16),
    (1, 26, 39, 22), (1, 26, 52, 14), (1, 32.5, 39, 33), (1, 32.5, 52, 9), (1, 39, 39, 8),
    (1, 39, 52, 9), (1, 45.5, 52, 10), (2, 3.25, 13, 8), (2, 6.5, 13, 30), (2, 6.5, 26, 24),
    (2, 6.5, 39, 21), (2, 6.5, 52, 8), (2, 13, 13, 15), (2, 13, 26, 20), (2, 13, 39, 14),
    (2, 19.5, 26, 26), (2, 19.5, 39, 22), (2, 19.5, 52, 10), (2, 26, 26, 19), (2, 26, 39, 18),
    (2, 26, 52, 7), (2, 32.5, 39, 20), (2, 32.5, 52, 10), (2, 39, 39, 12), (2, 45.5, 52, 7),
    (3, 6.5, 13, 16), (3, 6.5, 26, 8), (3, 13, 13, 12), (3, 13, 26, 10), (3, 19.5, 26, 13),
    (3, 19.5, 39, 12), (3, 26, 26, 11), (3, 26, 39, 14), (3, 32.5, 39, 13), (3, 32.5, 52, 7),
    (3, 39, 39, 12), (4, 13, 13, 8), (4, 26, 26, 8), (4, 26, 39, 11), (4, 32.5, 39, 10),
    (4, 39, 39, 7), (4, 45.5, 52, 6), (5, 26, 26, 6), (5, 39, 39, 8), (6, 39, 39, 10),
])
# fmt: on
X, WEIGHT = STATES[:, :3], STATES[:, 3]


def parameters(model):
    return np.array([getattr(model, f"{name}_") for name in PARAMETERS])


def simulate(model, count, horizon=0.0, seed=0, longest=60.0):
    """Customers at uniform ages: their states, who is alive, and purchases in the horizon."""
    age = np.random.default_rng(seed).uniform(longest / 4, longest, count)
    customers = simulate_customers(model, age, horizon=horizon, seed=seed)
    return customers.states, customers.is_alive, customers.later_count


def integrals(model, state, horizon):
    """Integrate over rate and probability on a grid in their logarithm and log-odds.

    Gives the likelihood, P(alive), P(purchase) and E(purchases), from the likelihood of one
    customer whose rate and probability are known.
    """
    x, t_x, age = state
    k = x + isinstance(model, ModifiedBetaGeometricNBD)
    log_rate, step_rate = np.linspace(-90, 12, 700, retstep=True)
    log_odds, step_odds = np.linspace(-90, 60, 900, retstep=True)
    rate, p, q = np.exp(log_rate), 1 / (1 + np.exp(-log_odds)), 1 / (1 + np.exp(log_odds))
    rate_weight = gamma.pdf(rate, model.r_, scale=1 / model.alpha_) * rate * step_rate
    # The density in the log-odds, by p and q: where p rounds to 1, q is still exact.
    p_weight = p**model.a_ * q**model.b_ / beta(model.a_, model.b_) * step_odds
    rate, p = rate[:, np.newaxis], p[np.newaxis]
    weight = rate_weight[:, np.newaxis] * p_weight[np.newaxis] * rate**x
    alive = weight * q**k * np.exp(-rate * age)
    gone = weight * p * q ** max(k - 1, 0) * np.exp(-rate * t_x) if k else 0 * weight
    total = (alive + gone).sum()
    buys = -np.expm1(-rate * horizon)
    count = -np.expm1(-rate * p * horizon) / p
    found = [alive.sum(), (alive * buys).sum(), (alive * count).sum()]
    return np.log(total), *(part / total for part in found)


@st.composite
def models_and_states(draw):
    model = draw(st.sampled_from(MODELS)).from_parameters(
        r=draw(st.floats(0.4, 4)),
        alpha=draw(st.floats(0.5, 20)),
        a=draw(st.floats(0.4, 4)),
        b=draw(st.floats(0.7, 6)),
    )
    x = draw(st.integers(0, 12))
    age = draw(st.floats(0.1, 50))
    t_x = age * draw(st.floats(0.01, 1)) if x else 0.0
    return model, np.array([float(x), t_x, age])


# ---- known answers ------------------------------------------------------------------------------


def test_a_state_is_what_it_is_by_hand():
    # The density of p is 1, of the rate exp(-rate): the likelihood is (1/2) (1/2) + (1/2).
    model = ModifiedBetaGeometricNBD.from_parameters(r=1, alpha=1, a=1, b=1)
    state = [[0, 0, 1]]
    np.testing.assert_allclose(np.exp(model.score_samples(state)), 3 / 4)
    np.testing.assert_allclose(model.probability_alive(state), 1 / 3)
    np.testing.assert_allclose(model.probability_of_purchase(state, 2), 1 / 6)
    # The integral of 2 (1 - p) / (1 + p), times a third.
    expected = (4 * np.log(2) - 2) / 3
    np.testing.assert_allclose(model.expected_purchases(state, 2), expected, rtol=1e-12)

    model = BetaGeometricNBD.from_parameters(r=1, alpha=1, a=1, b=1)
    np.testing.assert_allclose(np.exp(model.score_samples([[0, 0, 1], [1, 1, 3]])), [1 / 2, 5 / 32])
    np.testing.assert_allclose(model.probability_alive([[0, 0, 1], [1, 1, 3]]), [1, 1 / 5])


def test_states_are_fitted_as_by_another_implementation():
    # The package lifetimes 0.11.3 on the same weighted states.
    model = ModifiedBetaGeometricNBD().fit(X, sample_weight=WEIGHT)
    np.testing.assert_allclose(parameters(model), [3.52223, 66.1792, 1.00186, 1.01076], rtol=3e-5)
    errors = list(model.standard_errors_.values())
    np.testing.assert_allclose(errors, [1.33329, 22.2251, 0.179313, 0.219205], rtol=3e-5)
    states = [[2, 26, 52], [0, 0, 26], [3, 39, 52]]
    np.testing.assert_allclose(
        model.probability_alive(states), [0.432475, 0.238975, 0.651819], rtol=1e-5
    )
    np.testing.assert_allclose(
        model.expected_purchases(states, 26), [0.461618, 0.197302, 0.825612], rtol=1e-5
    )
    assert model.is_converged_
    assert model.convergence_.at_bounds == ()
    assert max(model.convergence_.start_log_likelihoods) <= model.log_likelihood_ + 1e-6


@pytest.fixture
def cdnow():
    path = pathlib.Path(os.environ["COTERIE_REAL_DATA"]) / "cdnow" / "cdnow_customers_summary.csv"
    return pd.read_csv(path)[["frequency", "recency", "T"]]


needs_real_data = pytest.mark.skipif(
    "COTERIE_REAL_DATA" not in os.environ, reason="COTERIE_REAL_DATA does not name the data folder"
)


@pytest.mark.real_data
@needs_real_data
def test_bg_nbd_of_cdnow_is_the_published_one(cdnow):
    model = BetaGeometricNBD().fit(cdnow)
    np.testing.assert_allclose(parameters(model), [0.2426, 4.4135, 0.7929, 2.4258], atol=6e-5)
    np.testing.assert_allclose(model.log_likelihood_, -9582.4256, atol=6e-5)
    state = [[2, 30.43, 38.86]]
    np.testing.assert_allclose(model.expected_purchases(state, 39), 1.2259, atol=6e-5)
    np.testing.assert_allclose(model.probability_alive(state), 0.7266, atol=6e-5)
    assert model.is_converged_


@pytest.mark.real_data
@needs_real_data
def test_mbg_nbd_of_cdnow_is_the_published_one(cdnow):
    model = ModifiedBetaGeometricNBD().fit(cdnow)
    np.testing.assert_allclose(parameters(model), [0.5248, 6.1830, 0.8914, 1.6140], atol=6e-5)
    np.testing.assert_allclose(model.log_likelihood_, -9582.1327, atol=6e-5)
    once = cdnow[cdnow["frequency"] == 0]
    np.testing.assert_allclose(model.probability_alive(once).mean(), 0.409, atol=6e-4)


@pytest.mark.real_data
@needs_real_data
@pytest.mark.parametrize("make", MODELS)
def test_week_states_of_cdnow_say_what_days_say(cdnow, make):
    exact = make().fit(cdnow)
    days = np.round(cdnow.to_numpy() * [1, 7, 7])
    weeks = np.ceil(days / [1, 7, 7])
    states, counts = np.unique(weeks, axis=0, return_counts=True)
    assert len(states) < len(cdnow) / 2
    model = make().fit(unrounded_weeks(states), sample_weight=counts)
    np.testing.assert_allclose(parameters(model), parameters(exact), rtol=0.01)
    alive = model.probability_alive(unrounded_weeks(weeks)) - exact.probability_alive(cdnow)
    assert abs(alive.mean()) < 0.001
    # Without the correction one learns other parameters.
    uncorrected = make().fit(states, sample_weight=counts)
    assert abs(uncorrected.alpha_ / exact.alpha_ - 1) > 0.05


# ---- the likelihood and what follows from it ----------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(models_and_states(), st.floats(0.1, 60))
def test_closed_forms_are_integrals_over_rate_and_probability(case, horizon):
    model, state = case
    log_likelihood, alive, buys, count = integrals(model, state, horizon)
    np.testing.assert_allclose(model.score_samples([state])[0], log_likelihood, rtol=1e-7)
    np.testing.assert_allclose(model.probability_alive([state])[0], alive, rtol=1e-6)
    np.testing.assert_allclose(model.probability_of_purchase([state], horizon)[0], buys, rtol=1e-6)
    np.testing.assert_allclose(model.expected_purchases([state], horizon)[0], count, rtol=1e-6)


@pytest.mark.parametrize("make", MODELS)
def test_predictions_are_what_the_process_does(make):
    model = make.from_parameters(r=0.8, alpha=6, a=0.9, b=2.5)
    states, is_alive, later = simulate(model, 300_000, horizon=20, seed=1)
    predictions = {
        "alive": (model.probability_alive(states), is_alive),
        "buys": (model.probability_of_purchase(states, 20), later > 0),
        "count": (model.expected_purchases(states, 20), later),
    }
    groups = np.minimum(states[:, 0], 6) * 2 + (states[:, 1] > 0.6 * states[:, 2])
    for name, (predicted, observed) in predictions.items():
        for group in np.unique(groups):
            difference = (observed - predicted)[groups == group]
            error = max(difference.std(), 1e-3) / np.sqrt(len(difference))
            assert abs(difference.mean()) < 4.5 * error, (name, group)


@pytest.mark.parametrize("make", MODELS)
def test_a_fit_finds_what_was_simulated_and_knows_its_error(make):
    truth = make.from_parameters(r=0.8, alpha=6, a=0.9, b=2.5)
    scores = []
    for seed in range(25):
        fitted = make().fit(simulate(truth, 4000, seed=seed)[0])
        assert fitted.is_converged_
        # The log is closer to normal than the parameter.
        error = np.sqrt(np.diagonal(fitted.covariance_))
        np.testing.assert_allclose(
            list(fitted.standard_errors_.values()), error * parameters(fitted)
        )
        scores.append(np.log(parameters(fitted) / parameters(truth)) / error)
    assert (np.abs(np.mean(scores, axis=0)) < 3 / np.sqrt(25)).all()
    spread = np.std(scores, axis=0)
    assert (spread > 0.6).all()
    assert (spread < 1.5).all()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-3, 3), min_size=4, max_size=4),
    st.sampled_from([0, 1]),
    st.integers(0, 10_000),
)
def test_slopes_and_curvature_are_those_of_finite_differences(logs, first_chances, seed):
    rng = np.random.default_rng(seed)
    x = rng.poisson(rng.gamma(0.5, 6, 30)).astype(float)
    age = rng.uniform(0.5, 3, 30)
    t_x = np.where(x > 0, age * rng.uniform(0.01, 1, 30), 0)
    weight = rng.uniform(0.1, 9, 30)
    likelihood = purchases._Likelihood(x, t_x, age, weight, first_chances)
    logs = np.array(logs)
    steps = 1e-5 * np.eye(4)
    value, gradient = likelihood.loss(logs)
    above = [likelihood.loss(logs + step) for step in steps]
    below = [likelihood.loss(logs - step) for step in steps]
    slopes = [(up[0] - down[0]) / 2e-5 for up, down in zip(above, below, strict=True)]
    curvature = [(up[1] - down[1]) / 2e-5 for up, down in zip(above, below, strict=True)]
    size = 1 + abs(value)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8 * size)
    np.testing.assert_allclose(likelihood.curvature(logs), curvature, rtol=1e-6, atol=1e-7 * size)
    # The sum over distinct x and T is that over rows.
    model = MODELS[first_chances].from_parameters(
        **dict(zip(PARAMETERS, np.exp(logs), strict=True))
    )
    rows = model.score_samples(np.column_stack([x, t_x, age]))
    np.testing.assert_allclose(value, -np.average(rows, weights=weight), rtol=1e-10)


@settings(max_examples=60, deadline=None)
@given(models_and_states(), st.lists(st.integers(0, 20_000), min_size=2, max_size=6, unique=True))
def test_probabilities_and_expectations_keep_their_order(case, horizons):
    model, state = case
    horizons = np.sort(horizons) / 100
    rows = np.tile(state, (len(horizons), 1))
    alive = model.probability_alive(rows)
    buys = model.probability_of_purchase(rows, horizons)
    count = model.expected_purchases(rows, horizons)
    assert (np.diff(buys) >= 0).all()
    assert (np.diff(count) >= 0).all()
    assert (buys <= alive).all()
    assert (buys <= count * (1 + 1e-12)).all()
    # Nobody buys more than one who never leaves.
    never_leaving = alive * (model.r_ + state[0]) * horizons / (model.alpha_ + state[2])
    assert (count <= never_leaving * (1 + 1e-12)).all()
    if state[0]:
        later = np.column_stack(
            [np.full(9, state[0]), np.linspace(0.1, 1, 9) * state[2], np.full(9, state[2])]
        )
        assert (np.diff(model.probability_alive(later)) > 0).all()


@settings(max_examples=40, deadline=None)
@given(models_and_states(), st.floats(0.01, 20))
def test_counts_given_alive_are_integrals_over_rate_and_probability(case, tau):
    model, (x, _, age) = case
    horizon = tau * (model.alpha_ + age)
    k = x + isinstance(model, ModifiedBetaGeometricNBD)
    log_rate, step = np.linspace(-60, 8, 4000, retstep=True)
    rate = np.exp(log_rate)
    rate_weight = gamma.pdf(rate, model.r_ + x, scale=1 / (model.alpha_ + age)) * rate * step
    log_odds, step = np.linspace(-80, 80, 4000, retstep=True)
    p, q = 1 / (1 + np.exp(-log_odds)), 1 / (1 + np.exp(log_odds))
    p_weight = p**model.a_ * q ** (model.b_ + k) / beta(model.a_, model.b_ + k) * step
    # To buy n times or more: n purchases in the time if one stays at n - 1 of them.
    count = np.arange(1, 13)
    often = poisson.sf(count - 1, rate[:, np.newaxis] * horizon)
    at_least = (rate_weight @ often) * (p_weight @ q[:, np.newaxis] ** (count - 1))
    found = model.count_probabilities_alive(x, age, horizon)
    assert found.shape[0] == 1
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-12)
    reached = np.cumsum(np.pad(found[0], (0, 20))[::-1])[::-1]
    np.testing.assert_allclose(reached[1:13], at_least, rtol=1e-6, atol=2e-10)
    # The mean of the counts is the expectation, and none of them is no purchase.
    mean = model.expected_purchases_alive(x, age, horizon)
    np.testing.assert_allclose(found[0] @ np.arange(found.shape[1]), mean, rtol=1e-6)
    alive = model.probability_alive([case[1]])
    np.testing.assert_allclose(alive * mean, model.expected_purchases([case[1]], horizon))
    buys = model.probability_of_purchase([case[1]], horizon)
    np.testing.assert_allclose(alive * (1 - found[:, 0]), buys, rtol=1e-9, atol=1e-12)


def test_counts_of_new_customers_are_the_published_ones():
    # Fader, Hardie & Lee (2005), equation 8; a new customer of BG/NBD has age 0.
    r, alpha, a, b, time = 0.243, 4.414, 0.793, 2.426, 39.0
    found = BetaGeometricNBD.from_parameters(r=r, alpha=alpha, a=a, b=b)
    found = found.count_probabilities_alive(0, 0, time)[0]
    share = time / (alpha + time)
    for n in range(20):
        negative_binomial = poch(r, n) / factorial(n) * share**n * (1 - share) ** r
        expected = beta(a, b + n) / beta(a, b) * negative_binomial
        if n:
            earlier = np.arange(n)
            before = (poch(r, earlier) / factorial(earlier) * share**earlier).sum()
            expected += beta(a + 1, b + n - 1) / beta(a, b) * (1 - (1 - share) ** r * before)
        np.testing.assert_allclose(found[n], expected, rtol=1e-9)


@pytest.mark.parametrize("make", MODELS)
def test_counts_and_waiting_times_are_what_the_process_does(make):
    model = make.from_parameters(r=0.8, alpha=6, a=0.9, b=2.5)
    age = np.random.default_rng(2).uniform(10, 60, 60_000)
    customers = simulate_customers(model, age, horizon=20, seed=2)
    is_alive = customers.is_alive
    x, _, age = customers.states[is_alive].T
    count, waited = customers.later_count[is_alive], customers.waiting_time[is_alive]
    levels = np.array([0.1, 0.5, 0.9])
    quantiles = model.waiting_time_quantile(x[:, np.newaxis], age[:, np.newaxis], levels)
    probabilities = model.count_probabilities_alive(x, age, 20)
    for group in range(6):
        is_of_group = np.minimum(x, 5) == group
        size = is_of_group.sum()
        for n in range(5):
            predicted = probabilities[is_of_group, n].mean()
            error = np.sqrt(predicted * (1 - predicted) / size)
            assert abs((count[is_of_group] == n).mean() - predicted) < 4.5 * error
        reached = (waited[:, np.newaxis] <= quantiles)[is_of_group].mean(axis=0)
        assert (abs(reached - levels) < 4.5 * np.sqrt(levels * (1 - levels) / size)).all()


@settings(max_examples=40, deadline=None)
@given(models_and_states(), st.floats(0, 0.99))
def test_waiting_times_reach_their_level(case, level):
    model, state = case
    waited = model.waiting_time_quantile(state[0], state[2], level)
    buys = model.probability_of_purchase([state], waited)
    np.testing.assert_allclose(buys, level * model.probability_alive([state]), rtol=1e-9)
    levels = np.linspace(0, 0.999, 9)
    assert (np.diff(model.waiting_time_quantile(state[0], state[2], levels)) > 0).all()


def test_waiting_times_by_hand_and_beyond_all_numbers():
    model = BetaGeometricNBD.from_parameters(r=1, alpha=10, a=1, b=1)
    # 20 (1 / (1 - 3/4)^(1/2) - 1)
    assert model.waiting_time_quantile(1, 10, 0.75) == pytest.approx(20)
    assert model.waiting_time_quantile(1, 10, 0) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rare = BetaGeometricNBD.from_parameters(r=1e-4, alpha=10, a=1, b=1)
        assert rare.waiting_time_quantile(0, 10, 0.5) == np.inf


def test_a_horizon_of_no_time_and_one_of_many_purchases():
    model = ModifiedBetaGeometricNBD.from_parameters(r=0.5, alpha=6, a=0.9, b=1.6)
    np.testing.assert_array_equal(model.count_probabilities_alive(2, 9, 0), [[1, 0]])
    found = model.count_probabilities_alive([0, 3, 700], [1, 20, 100], [1e-6, 52, 52])
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    count = np.arange(found.shape[1])
    expected = model.expected_purchases_alive([0, 3, 700], [1, 20, 100], [1e-6, 52, 52])
    np.testing.assert_allclose(found @ count, expected, rtol=1e-8)
    # More than can be told apart stand in the last column.
    many = model.count_probabilities_alive(90_000, 1, 52)
    assert many.shape == (1, purchases.MAX_PURCHASE_COUNT + 1)
    assert many[0, -1] > 0.5
    assert many.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "age", "third"), [(-1, 1, 0.5), (1, np.nan, 0.5), (1, 1, np.inf), (1, 1, -1)]
)
def test_impossible_living_customers_are_refused(x, age, third):
    model = BetaGeometricNBD.from_parameters(r=1, alpha=1, a=1, b=1)
    for method in (
        model.expected_purchases_alive,
        model.count_probabilities_alive,
        model.waiting_time_quantile,
    ):
        with pytest.raises(ValueError, match="give numbers from 0 on"):
            method(x, age, third)
    with pytest.raises(ValueError, match="less than 1"):
        model.waiting_time_quantile(1, 1, 1)


def test_limits():
    once, twice = [[0, 0, 20]], [[1, 5, 20]]
    model = BetaGeometricNBD.from_parameters(r=0.5, alpha=5, a=2, b=3)
    modified = ModifiedBetaGeometricNBD.from_parameters(r=0.5, alpha=5, a=2, b=3)
    assert model.probability_alive(once) == 1
    assert 0 < modified.probability_alive(once) < 1
    for one in (model, modified):
        for state in (once, twice):
            assert one.expected_purchases(state, 0) == 0
            assert one.probability_of_purchase(state, 0) == 0
            alive = one.probability_alive(state)
            np.testing.assert_allclose(one.probability_of_purchase(state, 1e30), alive)
        # In the end the living buy 1/p times: (a + b - 1) / (a - 1) with the chances passed.
        alive = one.probability_alive(twice)
        chances = 1 + isinstance(one, ModifiedBetaGeometricNBD)
        np.testing.assert_allclose(
            one.expected_purchases(twice, 1e30), alive * (4 + chances), rtol=1e-9
        )
    # Who hardly ever leaves buys on at the rate (r + x) / (alpha + T), and is alive.
    staying = ModifiedBetaGeometricNBD.from_parameters(r=0.5, alpha=5, a=1e-9, b=10)
    np.testing.assert_allclose(staying.probability_alive(twice), 1)
    np.testing.assert_allclose(staying.expected_purchases(twice, 10), 1.5 / 25 * 10)
    # A purchase at the date itself leaves only the odds of leaving at it.
    np.testing.assert_allclose(model.probability_alive([[3, 7, 7]]), 5 / 7)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.floats(0.1, 5),
    st.floats(0.1, 5).filter(lambda a: abs(a - 1) > 0.05),
    st.floats(1, 8),
    st.integers(0, 200),
    st.floats(0.02, 3),
)
def test_expectations_are_the_hypergeometric_ones(make, r, a, b, x, tau):
    model = make.from_parameters(r=r, alpha=1.0, a=a, b=b)
    state = [[x, 4.0 if x else 0.0, 4.0]]
    k = x + isinstance(model, ModifiedBetaGeometricNBD)
    # Euler's transformation of equation 10 of Fader, Hardie & Lee (2005), whose arguments are
    # too large for many purchases.
    series = hyp2f1(a + b + k - 1 - r - x, a - 1, a + b + k - 1, tau / (1 + tau))
    closed = (a + b + k - 1) / (a - 1) * (1 - (1 + tau) ** (1 - a) * series)
    expected = closed * model.probability_alive(state)
    np.testing.assert_allclose(model.expected_purchases(state, 5 * tau), expected, rtol=1e-7)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("small", [1e-4, 0.3, 1.0, 1e4])
def test_extreme_states_and_parameters_give_numbers(make, small):
    states = np.array(
        [[0, 0, 0], [0, 0, 1e5], [1, 1e-9, 1e5], [5000, 99, 100], [5000, 100, 100], [9e6, 1, 1e6]]
    )
    for a, b in [(small, 1.0), (1.0, small), (small, small)]:
        for r in (1e-4, 1.0, 1e4):
            model = make.from_parameters(r=r, alpha=small, a=a, b=b)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert np.isfinite(model.score_samples(states)).all()
                alive = model.probability_alive(states)
                count = model.expected_purchases(states, 52)
                buys = model.probability_of_purchase(states, 52)
                counts = model.count_probabilities_alive(states[:, 0], states[:, 2], 52)
            np.testing.assert_allclose(counts.sum(axis=1), 1, rtol=1e-9)
            for found in (alive, count, buys, counts):
                assert np.isfinite(found).all()
                assert (found >= 0).all()
            assert (alive <= 1).all()
            assert (buys <= alive).all()
            assert (buys <= count * (1 + 1e-9)).all()


@pytest.mark.parametrize("make", MODELS)
def test_expectations_pass_smoothly_through_a_of_one_and_short_horizons(make):
    state = [[3, 10, 20]]
    at, near = (
        make.from_parameters(r=0.5, alpha=5, a=a, b=2).expected_purchases(state, 30)
        for a in (1.0, 1 + 1e-9)
    )
    np.testing.assert_allclose(near, at, rtol=1e-8)
    model = make.from_parameters(r=0.5, alpha=5, a=0.7, b=2)
    rate = model.probability_alive(state) * 3.5 / 25
    np.testing.assert_allclose(model.expected_purchases(state, 1e-12), rate * 1e-12, rtol=1e-9)


def test_many_rows_are_scored_as_each_alone():
    rng = np.random.default_rng(0)
    age = rng.uniform(1, 50, 20_000)
    x = rng.poisson(1, len(age)).astype(float)
    states = np.column_stack([x, np.where(x > 0, age / 2, 0), age])
    model = ModifiedBetaGeometricNBD.from_parameters(r=0.5, alpha=6, a=0.9, b=1.6)
    horizons = rng.uniform(0, 50, len(age))
    found = model.expected_purchases(states, horizons)
    for row in (0, 7, 8191, 8192, 19_999):
        alone = model.expected_purchases(states[[row]], horizons[row])
        np.testing.assert_allclose(found[row], alone[0], rtol=1e-13)


# ---- fits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MODELS)
def test_weights_are_repeated_rows_in_any_order(make):
    first = make().fit(X, sample_weight=WEIGHT)
    rows = np.repeat(X, WEIGHT.astype(int), axis=0)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    repeated = make().fit(rows)
    np.testing.assert_array_equal(parameters(repeated), parameters(first))
    assert repeated.standard_errors_ == pytest.approx(first.standard_errors_, nan_ok=True)
    assert repeated.log_likelihood_ == first.log_likelihood_
    with_nobody = make().fit(np.vstack([X, [[40, 50, 60]]]), sample_weight=np.append(WEIGHT, 0))
    np.testing.assert_array_equal(parameters(with_nobody), parameters(first))


def test_the_unit_of_time_and_the_number_of_copies_do_not_matter():
    weeks = ModifiedBetaGeometricNBD().fit(X, sample_weight=WEIGHT)
    days = ModifiedBetaGeometricNBD().fit(X * [1, 7, 7], sample_weight=4 * WEIGHT)
    np.testing.assert_allclose(parameters(days), parameters(weeks) * [1, 7, 1, 1], rtol=1e-8)
    np.testing.assert_allclose(
        list(days.standard_errors_.values()),
        np.array(list(weeks.standard_errors_.values())) * [0.5, 3.5, 0.5, 0.5],
        rtol=1e-6,
    )
    # A density of purchase times per day is a seventh of that per week, for each purchase.
    per_day = weeks.log_likelihood_ - np.log(7) * (X[:, 0] @ WEIGHT)
    np.testing.assert_allclose(days.log_likelihood_, 4 * per_day)


def test_no_start_ends_higher_than_the_fit():
    # From many other starts, L-BFGS-B alone never finds a better end.
    model = ModifiedBetaGeometricNBD().fit(X, sample_weight=WEIGHT)
    rng = np.random.default_rng(0)
    for start in rng.normal(0, 1, (20, 4)):
        guess = parameters(model) * np.exp(start)
        other = ModifiedBetaGeometricNBD.from_parameters(
            **dict(zip(PARAMETERS, guess, strict=True))
        )
        assert WEIGHT @ other.score_samples(X) < model.log_likelihood_


def test_customers_who_never_leave_put_a_at_its_bound():
    rng = np.random.default_rng(0)
    x = 1.0 + rng.poisson(rng.gamma(2, 4, 3000))
    states = np.column_stack([x, np.full(len(x), 52.0), np.full(len(x), 52.0)])
    model = BetaGeometricNBD().fit(states)
    assert model.is_converged_
    assert "a" in model.convergence_.at_bounds
    assert np.isnan(model.standard_errors_["a"])
    assert np.isnan(model.covariance_[2]).all()
    assert model.standard_errors_["r"] > 0
    assert (model.probability_alive(states) > 0.999).all()


@pytest.mark.parametrize(
    ("make", "seed"),
    [(ModifiedBetaGeometricNBD, 21), (ModifiedBetaGeometricNBD, 25), (BetaGeometricNBD, 9)],
)
def test_customers_who_leave_alike_put_b_at_its_bound(make, seed):
    # A valley of ever larger a and b, in which one of them meets its bound first.
    truth = make.from_parameters(r=0.8, alpha=20, a=2000, b=8000)
    states = np.ceil(simulate(truth, 600, seed=seed)[0])
    model = make().fit(states)
    assert model.is_converged_
    assert model.convergence_.at_bounds == ("b",)
    assert model.convergence_.max_slope < 1e-9
    assert model.b_ == pytest.approx(1e4)
    # What can be known is the share who leave.
    assert model.a_ / (model.a_ + model.b_) == pytest.approx(0.2, abs=0.05)
    # A wider bound is no better by more than a hundredth of the log-likelihood of one customer.
    wider = make(bounds=(1e-4, 1e6)).fit(states)
    assert wider.is_converged_
    assert 0 <= wider.log_likelihood_ - model.log_likelihood_ < 0.01


@pytest.mark.parametrize("make", MODELS)
def test_few_states_of_any_kind_are_searched_to_the_end(make):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        count = rng.integers(4, 20)
        x = rng.integers(0, 30, count)
        age = rng.uniform(1, 10 ** rng.uniform(0, 3), count)
        t_x = np.where(x > 0, age * rng.uniform(0.01, 1, count), 0)
        weight = 10 ** rng.uniform(0, 6, count)
        assert make().fit(np.column_stack([x, t_x, age]), sample_weight=weight).is_converged_


@pytest.mark.parametrize("base", [1e-4, 0.5, 99.0, 101.0, 1e4, 1e8])
@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_rising_factorials_keep_their_digits(base, count):
    exact = math.fsum(math.log(base + step) for step in range(count))
    found = fitting.log_rising(base, np.array([float(count)]))
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-13)


def test_a_search_that_is_cut_short_says_so():
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        model = ModifiedBetaGeometricNBD(max_iter=1).fit(X, sample_weight=WEIGHT)
    assert not model.is_converged_
    assert not model.convergence_.is_converged
    assert model.n_iter_ == 1
    assert model.convergence_.max_slope > 1e-7


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.lists(
        st.tuples(st.integers(0, 30), st.floats(0.01, 1), st.floats(1, 1e3), st.floats(0.5, 1e6)),
        min_size=4,
        max_size=20,
        unique_by=lambda state: state[:3],
    ),
)
def test_any_customers_give_parameters_within_the_bounds(make, rows):
    x, share, age, weight = np.array([*rows, (1, 0.5, 10.0, 1.0)]).T
    states = np.column_stack([x, np.where(x > 0, share * age, 0), age])
    if len(np.unique(states, axis=0)) < 4:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make().fit(states, sample_weight=weight)
    scale = np.average(age, weights=weight)
    found = parameters(model) / [1, scale, 1, 1]
    assert (found >= 1e-4 * (1 - 1e-9)).all()
    assert (found <= 1e4 * (1 + 1e-9)).all()
    assert np.isfinite(model.log_likelihood_)
    assert np.isfinite(model.expected_purchases(states, age)).all()


# ---- the estimator's contract -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([[1, 2, np.nan]], "missing or infinite"),
        ([[1, 2, np.inf]], "missing or infinite"),
        ([[-1, 2, 3]], "negative"),
        ([[1, 2, -3]], "negative"),
        ([[1.5, 2, 3]], "fraction of a purchase"),
        ([[1, 4, 3]], "t_x above T"),
        ([[1, 0, 3]], "repeat purchase at age 0"),
        ([[0, 1, 3]], "let t_x be 0"),
        ([[1, 2]], "three columns"),
        ([1, 2, 3], "three columns"),
        (np.empty((0, 3)), "one row or more"),
        ([["a", "b", "c"]], "no numbers"),
    ],
)
def test_impossible_states_are_refused_with_the_remedy(wrong, words):
    model = ModifiedBetaGeometricNBD()
    with pytest.raises(ValueError, match=words):
        model.fit(wrong)
    model = ModifiedBetaGeometricNBD.from_parameters(r=1, alpha=1, a=1, b=1)
    for method in (model.probability_alive, model.score_samples):
        with pytest.raises(ValueError, match=words):
            method(wrong)


def test_an_impossible_state_is_named():
    with pytest.raises(ValueError, match=r"row 65 of X, \[2\.0, 9\.0, 8\.0\]"):
        BetaGeometricNBD().fit(np.vstack([X, [[2, 9, 8]]]))


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.zeros(len(X)), "zero for all rows"),
        (-WEIGHT, "negative or infinite"),
        (np.full(len(X), np.nan), "negative or infinite"),
        (WEIGHT[1:], "one number for each of the 65 rows"),
        (np.where(X[:, 0] > 0, 0, WEIGHT), "no repeat purchase"),
        (np.where(np.arange(len(X)) == 9, WEIGHT, 0), "1 distinct rows"),
    ],
)
def test_useless_weights_are_refused(weight, words):
    with pytest.raises(ValueError, match=words):
        BetaGeometricNBD().fit(X, sample_weight=weight)


@pytest.mark.parametrize("horizon", [-1, np.nan, np.inf, [1, 2], [[1]]])
def test_impossible_horizons_are_refused(horizon):
    model = BetaGeometricNBD.from_parameters(r=1, alpha=1, a=1, b=1)
    for method in (model.expected_purchases, model.probability_of_purchase):
        with pytest.raises(ValueError, match="horizon"):
            method([[1, 2, 3]], horizon)


@pytest.mark.parametrize("bounds", [(0, 10), (1e-4, 0.5), (2, 10), (1, 2, 3), None, "ab"])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match="bounds"):
        BetaGeometricNBD(bounds=bounds).fit(X, sample_weight=WEIGHT)


def test_max_iter_and_parameters_have_to_be_positive():
    with pytest.raises(ValueError, match="max_iter"):
        BetaGeometricNBD(max_iter=0).fit(X)
    for value in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="numbers above 0"):
            BetaGeometricNBD.from_parameters(r=1, alpha=1, a=value, b=1)


@pytest.mark.parametrize("make", MODELS)
def test_estimators_can_be_cloned_pickled_and_rebuilt(make):
    model = make(bounds=(1e-3, 1e3), max_iter=99)
    assert clone(model).get_params() == {"bounds": (1e-3, 1e3), "max_iter": 99}
    with pytest.raises(NotFittedError):
        model.probability_alive(X)
    assert model.fit(X, sample_weight=WEIGHT) is model
    assert model.n_features_in_ == 3
    again = pickle.loads(pickle.dumps(model))
    rebuilt = make.from_parameters(**dict(zip(PARAMETERS, parameters(model), strict=True)))
    frame = pd.DataFrame(X, columns=["repeat_count", "recency_weeks", "age_weeks"])
    for other in (again, rebuilt):
        np.testing.assert_array_equal(
            other.expected_purchases(frame, 13), model.expected_purchases(X, 13)
        )
    with pytest.raises(NotFittedError):
        clone(model).probability_alive(X)


# ---- the table function -------------------------------------------------------------------------


def state_table(*dates, rows=None, factor=1):
    """Put the same whole-week states at each date, times `factor`."""
    rows = np.ceil(STATES) if rows is None else rows
    rows, counts = np.unique(rows[:, :3], axis=0, return_inverse=True), rows[:, 3]
    rows, counts = rows[0], np.bincount(rows[1].ravel(), counts)
    tables = [
        pa.table(
            {
                "as_of_date": pa.array([date] * len(rows), pa.date32()),
                "repeat_count": rows[:, 0].astype(int),
                "recency_weeks": rows[:, 1].astype(int),
                "age_weeks": rows[:, 2].astype(int),
                "customer_count": (counts * factor).astype(int),
            }
        )
        for date in dates
    ]
    return pa.concat_tables(tables)


def fit(states, stored=None, as_of_date=DAY, **changes):
    return fit_nbd_parameters(states, stored, as_of_date=as_of_date, settings=SETTINGS | changes)


EARLIER = DAY - datetime.timedelta(days=30)
EARLIEST = DAY - datetime.timedelta(days=60)


def test_a_table_holds_the_parameters_of_each_date():
    found = fit(state_table(DAY, EARLIER))
    assert found.schema == NBD_PARAMETERS_SCHEMA
    assert found["fitted_as_of"].to_pylist() == [EARLIER, DAY]
    row = found.to_pylist()[1]
    rows = state_table(DAY).to_pandas().drop(columns="as_of_date").to_numpy(dtype=float)
    model = ModifiedBetaGeometricNBD()
    model.fit(unrounded_weeks(rows[:, :3]), sample_weight=rows[:, 3])
    np.testing.assert_allclose([row[name] for name in PARAMETERS], parameters(model), rtol=1e-11)
    for name in PARAMETERS:
        assert row[f"{name}_standard_error"] == pytest.approx(model.standard_errors_[name])
    assert row["log_likelihood"] == pytest.approx(model.log_likelihood_)
    assert row["family"] == "mbg_nbd"
    assert row["settings_hash"] == "s"
    assert row["customer_count"] == WEIGHT.sum()
    assert row["repeat_customer_count"] == WEIGHT[X[:, 0] > 0].sum()
    assert row["state_count"] == len(rows)
    assert row["is_converged"] is True
    # Numbers are rounded, so that another machine writes the same.
    assert row["r"] == float(f"{row['r']:.12g}")


def test_the_family_is_a_setting():
    found = fit(state_table(DAY), family="bg_nbd", rounding_weeks="0").to_pylist()[0]
    rows = state_table(DAY).to_pandas().drop(columns="as_of_date").to_numpy(dtype=float)
    model = BetaGeometricNBD().fit(rows[:, :3], sample_weight=rows[:, 3])
    assert found["family"] == "bg_nbd"
    assert found["r"] == pytest.approx(model.r_, rel=1e-11)
    with pytest.raises(ValueError, match="choose mbg_nbd or bg_nbd"):
        fit(state_table(DAY), family="pareto_nbd")


def test_times_of_weeks_are_those_before_they_were_rounded_up():
    days = np.arange(1, 7 * 30 + 1)
    rounded = np.column_stack([np.ones(len(days)), np.ceil(days / 7), np.ceil(days / 7)])
    assert unrounded_weeks(rounded)[:, 1:].mean() == pytest.approx(days.mean() / 7)
    np.testing.assert_array_equal(unrounded_weeks([[0, 0, 0], [0, 0, 2]], 0.5)[:, 2], [0, 1.5])
    np.testing.assert_array_equal(unrounded_weeks(X, 0), X)
    with pytest.raises(ValueError, match="no whole weeks"):
        unrounded_weeks([[1, 1, 2.5]])
    with pytest.raises(ValueError, match="rounding_weeks is 1"):
        unrounded_weeks([[1, 1, 2]], 1)


def test_row_order_and_other_dates_change_nothing():
    states = state_table(EARLIEST, EARLIER, DAY)
    # Other customers at the other dates.
    states = pa.concat_tables(
        [state_table(DAY), state_table(EARLIEST, EARLIER, rows=np.ceil(STATES[::2]), factor=3)]
    )
    shuffled = states.take(np.random.default_rng(0).permutation(states.num_rows))
    all_dates = fit(states)
    assert fit(shuffled).equals(all_dates)
    alone = fit(state_table(DAY))
    assert alone.equals(all_dates.slice(2, 1))
    stored = all_dates.slice(0, 2)
    assert fit(states, stored).equals(alone)


def test_only_dates_without_parameters_are_fitted_where_a_fit_is_due():
    states = state_table(EARLIEST, EARLIER, DAY)
    stored = fit(state_table(EARLIER), as_of_date=EARLIER)
    # 30 days later the next one is due, and the date before is filled in.
    assert fit(states, stored)["fitted_as_of"].to_pylist() == [EARLIEST, DAY]
    assert fit(states, stored, refit_interval_days=31).num_rows == 0
    assert fit(states, fit(states)).num_rows == 0
    # As of a date before the newest nothing is due.
    assert fit(states, stored, as_of_date=EARLIEST).num_rows == 0
    # Other settings know nothing of these.
    assert fit(states, stored, settings_hash="t").num_rows == 3


def test_states_after_the_date_are_not_seen():
    later = DAY + datetime.timedelta(days=1)
    assert fit(state_table(DAY, later)).equals(fit(state_table(DAY)))


@pytest.mark.parametrize("stored", [None, NBD_PARAMETERS_SCHEMA.empty_table()])
def test_nothing_gives_an_empty_table(stored):
    states = state_table(DAY)
    for found in [
        fit(states, stored, as_of_date=None),
        fit(states, stored, is_empty="True"),
        fit(states.slice(0, 0), stored),
    ]:
        assert found.equals(NBD_PARAMETERS_SCHEMA.empty_table())


def test_too_few_customers_have_no_parameters(caplog):
    caplog.set_level(logging.INFO, "coterie")
    count = int(WEIGHT.sum())
    repeaters = int(WEIGHT[X[:, 0] > 0].sum())
    states = state_table(DAY)
    assert fit(states, min_customer_count=count).num_rows == 1
    assert fit(states, min_customer_count=count + 1).num_rows == 0
    assert fit(states, min_repeat_customer_count=repeaters).num_rows == 1
    assert fit(states, min_repeat_customer_count=str(repeaters + 1)).num_rows == 0
    assert f"{count} customers with {repeaters} repeaters in" in caplog.text
    assert "too few" in caplog.text
    # Many customers in few states teach nothing either, and break no build.
    few = np.array([[0, 0, 9, 900], [1, 3, 9, 500], [1, 9, 9, 80]])
    assert fit(state_table(DAY, rows=few)).num_rows == 0
    only_once = np.array([[0, 0, age, 900] for age in range(9)])
    assert fit(state_table(DAY, rows=only_once), min_repeat_customer_count=0).num_rows == 0


def test_without_convergence_there_are_no_parameters(caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(state_table(DAY), max_iter=1).num_rows == 0
    assert f"not converged as of {DAY}" in caplog.text


def test_a_parameter_at_a_bound_has_no_standard_error():
    rows = np.array([[1 + x, 52, 52, 400 // (1 + x)] for x in range(40)])
    found = fit(state_table(DAY, rows=rows)).to_pylist()[0]
    assert found["a_standard_error"] is None
    assert found["r_standard_error"] > 0


def test_impossible_states_of_a_table_are_refused():
    states = state_table(DAY)
    columns = states.column_names

    def changed(column, values):
        return states.set_column(columns.index(column), column, pa.array(values))

    with pytest.raises(ValueError, match="no column age_weeks"):
        fit(states.drop_columns(["age_weeks"]))
    with pytest.raises(ValueError, match="several rows"):
        fit(pa.concat_tables([states, states.slice(0, 1)]))
    with pytest.raises(ValueError, match="NULL in the key column recency_weeks"):
        fit(changed("recency_weeks", [None, *states["recency_weeks"].to_pylist()[1:]]))
    with pytest.raises(ValueError, match="customer_count of the table of states has NULL"):
        fit(changed("customer_count", [None] * len(states)))
    with pytest.raises(ValueError, match=rf"states of {DAY} .* t_x above T"):
        fit(changed("recency_weeks", [7000 + row for row in range(len(states))]))
    with pytest.raises(ValueError, match="refit_interval_days is missing"):
        fit(states, refit_interval_days=None)
