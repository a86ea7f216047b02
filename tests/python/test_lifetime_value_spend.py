import datetime
import logging
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
from scipy.integrate import quad
from scipy.stats import gamma
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from coterie.lifetime_value import (
    GAMMA_GAMMA_PARAMETERS,
    GAMMA_GAMMA_PARAMETERS_SCHEMA,
    GammaGamma,
    fit_gamma_gamma_parameters,
    spend,
)

DAY = datetime.date(2024, 6, 1)
SETTINGS = {"settings_hash": "s", "refit_interval_days": "30", "is_empty": "False"}


def parameters(model):
    return np.array([getattr(model, f"{name}_") for name in GAMMA_GAMMA_PARAMETERS])


def simulate(model, count, seed=0):
    """Play the process of a model: a customer's rate, then each purchase's spend.

    Gives purchases with their mean spend, and the mean spend of each customer in the long run.
    """
    rng = np.random.default_rng(seed)
    x = 1 + rng.geometric(0.4, count)
    rate = rng.gamma(model.q_, 1 / model.gamma_, count)
    spends = rng.gamma(model.p_, np.repeat(1 / rate, x))
    total = np.add.reduceat(spends, np.cumsum(x) - x)
    return np.column_stack([x, total / x]), model.p_ / rate


TRUTH = GammaGamma.from_parameters(p=6.0, q=4.0, gamma=15.0)
X = simulate(TRUTH, 400)[0]
X[:, 1] = np.round(X[:, 1])
X, WEIGHT = np.unique(np.maximum(X, 1), axis=0, return_counts=True)


# ---- known answers ------------------------------------------------------------------------------


def test_a_spend_is_what_it_is_by_hand():
    # Exponential spends whose rates are exponential: density 1 / (1 + z)^2.
    model = GammaGamma.from_parameters(p=1, q=1, gamma=1)
    np.testing.assert_allclose(np.exp(model.score_samples([[1, 1], [1, 3]])), [1 / 4, 1 / 16])
    assert model.mean_spend_ == np.inf
    model = GammaGamma.from_parameters(p=2, q=3, gamma=5)
    assert model.mean_spend_ == 5
    # 2 (5 + 4 * 10) / (2 * 4 + 2)
    assert model.expected_spend(4, 10) == 9
    np.testing.assert_allclose(model.expected_spend([0, 0, 4], [0, 99, 10]), [5, 5, 9])


@pytest.fixture
def cdnow():
    """Repeat days in the first 39 weeks of 1997; means in whole cents, as they were published."""
    path = pathlib.Path(os.environ["COTERIE_REAL_DATA"]) / "cdnow" / "cdnow_sample.parquet"
    orders = pd.read_parquet(path)
    orders["order_date"] = pd.to_datetime(orders["order_date"])
    orders["amount"] = orders["amount"].astype(float)
    orders = orders[orders["order_date"] <= "1997-09-30"]
    days = orders.groupby(["customer_id", "order_date"], as_index=False)["amount"].sum()
    is_repeat = days["order_date"] > days.groupby("customer_id")["order_date"].transform("min")
    spends = days[is_repeat].groupby("customer_id")["amount"].agg(["size", "mean"])
    return np.round(spends.to_numpy() + 1e-9, 2)


@pytest.mark.real_data
@pytest.mark.skipif(
    "COTERIE_REAL_DATA" not in os.environ, reason="COTERIE_REAL_DATA does not name the data folder"
)
def test_gamma_gamma_of_cdnow_is_the_published_one(cdnow):
    assert len(cdnow) == 946
    model = GammaGamma().fit(cdnow)
    np.testing.assert_allclose(parameters(model), [6.2488, 3.7446, 15.4477], atol=6e-5)
    np.testing.assert_allclose(model.log_likelihood_, -4055.92, atol=6e-3)
    np.testing.assert_allclose(model.mean_spend_, 35.171, atol=6e-4)
    assert model.is_converged_
    # Three significant digits, as the states of the tables have, say the same.
    rounded = np.array([[x, float(f"{m:.3g}")] for x, m in cdnow])
    states, counts = np.unique(rounded, axis=0, return_counts=True)
    assert len(states) < 0.9 * len(cdnow)
    of_states = GammaGamma().fit(states, sample_weight=counts)
    np.testing.assert_allclose(parameters(of_states), parameters(model), rtol=0.01)


# ---- the likelihood and what follows from it ----------------------------------------------------

models = st.builds(
    GammaGamma.from_parameters,
    p=st.floats(0.5, 12),
    q=st.floats(1.5, 12),
    gamma=st.floats(0.5, 50),
)


@settings(max_examples=40, deadline=None)
@given(models, st.integers(1, 12), st.floats(0.3, 3))
def test_closed_forms_are_integrals_over_the_rate(model, x, share):
    mean = share * model.mean_spend_

    peak = np.log((model.p_ * x + model.q_) / (model.gamma_ + x * mean))
    log_rate, step = np.linspace(peak - 60, peak + 8, 20_000, retstep=True)
    rate = np.exp(log_rate)
    joint = gamma.pdf(mean, model.p_ * x, scale=1 / (x * rate)) * step
    joint *= gamma.pdf(rate, model.q_, scale=1 / model.gamma_) * rate
    density = joint.sum()
    np.testing.assert_allclose(np.exp(model.score_samples([[x, mean]])[0]), density, rtol=1e-9)
    spent = joint @ (model.p_ / rate) / density
    np.testing.assert_allclose(model.expected_spend(x, mean), spent, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(models, st.integers(1, 12))
def test_a_density_holds_all_spends(model, x):
    def density(log_spend):
        return np.exp(model.score_samples([[x, np.exp(log_spend)]])[0] + log_spend)

    middle = np.log(model.gamma_ * model.p_ / model.q_)
    mass = sum(quad(density, middle + a, middle + b, limit=200)[0] for a, b in [(-60, 0), (0, 60)])
    assert mass == pytest.approx(1, rel=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3), st.integers(0, 10_000))
def test_slopes_and_curvature_are_those_of_finite_differences(logs, seed):
    rng = np.random.default_rng(seed)
    x = 1.0 + rng.poisson(2, 30)
    log_spend = rng.normal(0, 1, 30)
    weight = rng.uniform(0.1, 9, 30)
    likelihood = spend._SpendLikelihood(x, log_spend, weight)
    logs = np.array(logs)
    steps = 1e-5 * np.eye(3)
    value, gradient = likelihood.loss(logs)
    above = [likelihood.loss(logs + step) for step in steps]
    below = [likelihood.loss(logs - step) for step in steps]
    slopes = [(up[0] - down[0]) / 2e-5 for up, down in zip(above, below, strict=True)]
    curvature = [(up[1] - down[1]) / 2e-5 for up, down in zip(above, below, strict=True)]
    size = 1 + abs(value)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8 * size)
    np.testing.assert_allclose(likelihood.curvature(logs), curvature, rtol=1e-6, atol=1e-7 * size)
    # The sum over distinct x is that over rows.
    model = GammaGamma.from_parameters(
        **dict(zip(GAMMA_GAMMA_PARAMETERS, np.exp(logs), strict=True))
    )
    rows = model.score_samples(np.column_stack([x, np.exp(log_spend)]))
    np.testing.assert_allclose(value, -np.average(rows, weights=weight), rtol=1e-10)


@settings(max_examples=60, deadline=None)
@given(models, st.integers(1, 500), st.floats(1e-3, 1e3))
def test_expected_spends_lie_between_the_mean_of_all_and_their_own(model, x, share):
    own = share * model.mean_spend_
    found = model.expected_spend([x, x + 1], own)
    low, high = sorted([own, model.mean_spend_])
    assert (found >= low * (1 - 1e-12)).all()
    assert (found <= high * (1 + 1e-12)).all()
    # The next purchase of the same spend brings it nearer to their own.
    assert abs(found[1] - own) <= abs(found[0] - own) * (1 + 1e-9)


def test_expected_spends_are_what_customers_spend():
    rows, in_the_long_run = simulate(TRUTH, 100_000, seed=1)
    expected = TRUTH.expected_spend(*rows.T)
    assert TRUTH.mean_spend_ == 30
    groups = np.digitize(expected, np.quantile(expected, [0.2, 0.4, 0.6, 0.8]))
    for group in range(5):
        difference = (in_the_long_run - expected)[groups == group]
        assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(difference))


# ---- fits ---------------------------------------------------------------------------------------


def test_a_fit_finds_what_was_simulated_and_knows_its_error():
    scores = []
    for seed in range(25):
        fitted = GammaGamma().fit(simulate(TRUTH, 1500, seed=seed)[0])
        assert fitted.is_converged_
        error = np.sqrt(np.diagonal(fitted.covariance_))
        np.testing.assert_allclose(
            list(fitted.standard_errors_.values()), error * parameters(fitted)
        )
        scores.append(np.log(parameters(fitted) / parameters(TRUTH)) / error)
    assert (np.abs(np.mean(scores, axis=0)) < 3 / np.sqrt(25)).all()
    spread = np.std(scores, axis=0)
    assert (spread > 0.6).all()
    assert (spread < 1.5).all()


def test_weights_are_repeated_rows_in_any_order():
    first = GammaGamma().fit(X, sample_weight=WEIGHT)
    rows = np.repeat(X, WEIGHT, axis=0)
    repeated = GammaGamma().fit(rows[np.random.default_rng(0).permutation(len(rows))])
    np.testing.assert_array_equal(parameters(repeated), parameters(first))
    assert repeated.standard_errors_ == first.standard_errors_
    assert repeated.log_likelihood_ == first.log_likelihood_
    with_nobody = GammaGamma().fit(np.vstack([X, [[9, 5e6]]]), sample_weight=np.append(WEIGHT, 0))
    np.testing.assert_array_equal(parameters(with_nobody), parameters(first))


@pytest.mark.parametrize("factor", [1e-9, 0.01, 7.0, 1e12])
def test_the_unit_of_money_scales_gamma_alone(factor):
    euros = GammaGamma().fit(X, sample_weight=WEIGHT)
    others = GammaGamma().fit(X * [1, factor], sample_weight=3 * WEIGHT)
    np.testing.assert_allclose(parameters(others), parameters(euros) * [1, 1, factor], rtol=1e-7)
    assert others.mean_spend_ == pytest.approx(factor * euros.mean_spend_)
    np.testing.assert_allclose(
        list(others.standard_errors_.values()),
        np.array(list(euros.standard_errors_.values())) * [1, 1, factor] / np.sqrt(3),
        rtol=1e-5,
    )
    per_unit = euros.log_likelihood_ - np.log(factor) * WEIGHT.sum()
    np.testing.assert_allclose(others.log_likelihood_, 3 * per_unit)


def test_no_start_ends_higher_than_the_fit():
    model = GammaGamma().fit(X, sample_weight=WEIGHT)
    assert max(model.convergence_.start_log_likelihoods) <= model.log_likelihood_ + 1e-6
    rng = np.random.default_rng(0)
    for start in rng.normal(0, 1, (50, 3)):
        guess = parameters(model) * np.exp(start)
        other = GammaGamma.from_parameters(**dict(zip(GAMMA_GAMMA_PARAMETERS, guess, strict=True)))
        assert WEIGHT @ other.score_samples(X) < model.log_likelihood_


def test_customers_who_always_spend_the_same_put_p_at_its_bound():
    rng = np.random.default_rng(0)
    # Each has a spend of their own, however often they buy.
    spends = 10 / rng.gamma(3, 1, 2000)
    model = GammaGamma().fit(np.column_stack([1.0 + rng.poisson(3, 2000), spends]))
    assert model.is_converged_
    assert model.convergence_.at_bounds == ("p",)
    assert np.isnan(model.standard_errors_["p"])
    assert model.q_ == pytest.approx(3, rel=0.1)
    assert model.mean_spend_ == pytest.approx(5, rel=0.1)


def test_customers_who_spend_alike_put_q_at_its_bound():
    rng = np.random.default_rng(0)
    x = 1.0 + rng.poisson(3, 2000)
    model = GammaGamma().fit(np.column_stack([x, rng.gamma(4 * x, 5 / x)]))
    assert model.is_converged_
    assert model.convergence_.at_bounds == ("q",)
    assert model.p_ == pytest.approx(4, rel=0.1)
    # Nothing tells customers apart.
    np.testing.assert_allclose(model.expected_spend([0, 1, 5], [0, 99, 1]), 20, rtol=0.03)


def test_one_spend_for_all_is_what_everybody_spends():
    model = GammaGamma().fit([[x, 12.5] for x in range(1, 9)])
    assert model.is_converged_
    assert model.convergence_.at_bounds == ("p", "q")
    assert model.mean_spend_ == pytest.approx(12.5, rel=1e-3)
    np.testing.assert_allclose(model.expected_spend([0, 3], [0, 12.5]), 12.5, rtol=1e-3)


def test_a_whale_does_not_break_the_fit():
    model = GammaGamma().fit(np.vstack([X, [[3000, 4e6]]]), sample_weight=np.append(WEIGHT, 1))
    assert model.is_converged_
    assert np.isfinite(parameters(model)).all()
    alone = GammaGamma().fit(X, sample_weight=WEIGHT)
    assert 0.5 < model.expected_spend(2, 30.0) / alone.expected_spend(2, 30.0) < 2


def test_a_search_that_is_cut_short_says_so():
    with pytest.warns(ConvergenceWarning, match="GammaGamma has not converged.*raise max_iter"):
        model = GammaGamma(max_iter=1).fit(X, sample_weight=WEIGHT)
    assert not model.is_converged_
    assert model.convergence_.max_slope > 1e-7


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 300), st.floats(-200, 200), st.floats(0.5, 1e6)),
        min_size=3,
        max_size=20,
        unique_by=lambda row: row[:2],
    ),
)
def test_any_customers_give_parameters_within_the_bounds(rows):
    x, log_spend, weight = np.array(rows).T
    spends = np.exp(log_spend)
    if len(np.unique(np.column_stack([x, spends]), axis=0)) < 3:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GammaGamma().fit(np.column_stack([x, spends]), sample_weight=weight)
    unit = np.exp(np.average(log_spend, weights=weight))
    found = parameters(model) / [1, 1, unit]
    assert (found >= np.array([1e-4, 1e-4, 1e-8]) * (1 - 1e-9)).all()
    assert (found <= np.array([1e4, 1e4, 1e8]) * (1 + 1e-9)).all()
    assert np.isfinite(model.log_likelihood_)
    assert model.mean_spend_ > 0
    if model.q_ > 1:
        expected = model.expected_spend(x, spends)
        assert np.isfinite(expected).all()
        assert (expected > 0).all()


def test_few_rows_of_any_kind_are_searched_to_the_end():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        count = rng.integers(3, 25)
        x = rng.integers(1, 10 ** rng.integers(1, 4), count)
        spends = np.exp(rng.normal(3, rng.uniform(0, 5), count))
        weight = 10 ** rng.uniform(0, 6, count)
        assert GammaGamma().fit(np.column_stack([x, spends]), sample_weight=weight).is_converged_


# ---- the estimator's contract -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([[1, np.nan]], "missing or infinite"),
        ([[np.inf, 1]], "missing or infinite"),
        ([[0, 2]], "not above 0"),
        ([[1, 0]], "not above 0"),
        ([[1, -2]], "not above 0"),
        ([[1.5, 2]], "fraction of a purchase"),
        ([[1, 2, 3]], "two columns"),
        ([1, 2], "two columns"),
        (np.empty((0, 2)), "one row or more"),
        ([["a", "b"]], "no numbers"),
    ],
)
def test_impossible_spends_are_refused_with_the_remedy(wrong, words):
    with pytest.raises(ValueError, match=words):
        GammaGamma().fit(wrong)
    with pytest.raises(ValueError, match=words):
        TRUTH.score_samples(wrong)


def test_too_few_rows_and_useless_weights_are_refused():
    for rows in ([[1, 5.0]], [[1, 5.0]] * 9, [[1, 5.0], [2, 5.0]]):
        with pytest.raises(ValueError, match="distinct rows of positive weight"):
            GammaGamma().fit(rows)
    for weight, words in [
        (np.zeros(len(X)), "zero for all rows"),
        (-WEIGHT, "negative or infinite"),
        (WEIGHT[1:], "one number for each"),
    ]:
        with pytest.raises(ValueError, match=words):
            GammaGamma().fit(X, sample_weight=weight)


def test_impossible_settings_and_parameters_are_refused():
    with pytest.raises(ValueError, match="bounds"):
        GammaGamma(bounds=(1, 2)).fit(X)
    with pytest.raises(ValueError, match="max_iter"):
        GammaGamma(max_iter=0).fit(X)
    with pytest.raises(ValueError, match=r"p, q and gamma are \[1\.0, 0\.0, 1\.0\]"):
        GammaGamma.from_parameters(p=1, q=0, gamma=1)


def test_what_has_no_mean_is_refused_with_the_remedy():
    model = GammaGamma.from_parameters(p=2, q=1, gamma=3)
    assert model.mean_spend_ == np.inf
    with pytest.raises(ValueError, match="use the plain mean"):
        model.expected_spend(4, 10)
    for x, mean in [(-1, 2), (1, -2), (np.nan, 1), (1, np.inf)]:
        with pytest.raises(ValueError, match="from 0 on"):
            TRUTH.expected_spend(x, mean)


def test_estimators_can_be_cloned_pickled_and_rebuilt():
    model = GammaGamma(bounds=(1e-3, 1e3), max_iter=99)
    assert clone(model).get_params() == {"bounds": (1e-3, 1e3), "max_iter": 99}
    with pytest.raises(NotFittedError):
        model.expected_spend(1, 2)
    assert model.fit(X, sample_weight=WEIGHT) is model
    assert model.n_features_in_ == 2
    rebuilt = GammaGamma.from_parameters(
        **dict(zip(GAMMA_GAMMA_PARAMETERS, parameters(model), strict=True))
    )
    for other in (pickle.loads(pickle.dumps(model)), rebuilt):
        np.testing.assert_array_equal(other.expected_spend(*X.T), model.expected_spend(*X.T))
        assert other.mean_spend_ == model.mean_spend_
    with pytest.raises(NotFittedError):
        clone(model).score_samples(X)


# ---- the table function -------------------------------------------------------------------------


def state_table(*dates, rows=X, counts=WEIGHT):
    tables = [
        pa.table(
            {
                "as_of_date": pa.array([date] * len(rows), pa.date32()),
                "repeat_count": np.asarray(rows, dtype=float)[:, 0].astype(int),
                "mean_spend": np.asarray(rows, dtype=float)[:, 1],
                "customer_count": np.broadcast_to(counts, len(rows)).astype(int),
            }
        )
        for date in dates
    ]
    return pa.concat_tables(tables)


def fit(states, stored=None, as_of_date=DAY, **changes):
    return fit_gamma_gamma_parameters(
        states, stored, as_of_date=as_of_date, settings=SETTINGS | changes
    )


EARLIER = DAY - datetime.timedelta(days=30)
EARLIEST = DAY - datetime.timedelta(days=60)
FITTED = [
    *GAMMA_GAMMA_PARAMETERS,
    *(f"{name}_standard_error" for name in GAMMA_GAMMA_PARAMETERS),
    "log_likelihood",
]


def test_a_table_holds_the_parameters_of_each_date():
    found = fit(state_table(DAY, EARLIER))
    assert found.schema == GAMMA_GAMMA_PARAMETERS_SCHEMA
    assert found["fitted_as_of"].to_pylist() == [EARLIER, DAY]
    row = found.to_pylist()[1]
    model = GammaGamma().fit(X, sample_weight=WEIGHT)
    for name in GAMMA_GAMMA_PARAMETERS:
        assert row[name] == pytest.approx(getattr(model, f"{name}_"), rel=1e-11)
        assert row[f"{name}_standard_error"] == pytest.approx(model.standard_errors_[name])
    assert row["log_likelihood"] == pytest.approx(model.log_likelihood_)
    assert row["mean_spend"] == pytest.approx(model.mean_spend_)
    repeated = np.repeat(X, WEIGHT, axis=0)
    assert row["spend_frequency_correlation"] == pytest.approx(np.corrcoef(repeated.T)[0, 1])
    assert row["customer_count"] == 400
    assert row["state_count"] == len(X)
    assert row["settings_hash"] == "s"
    assert row["is_converged"] is True
    assert row["fallback_reason"] is None
    # Numbers are rounded, so that another machine writes the same.
    assert row["p"] == float(f"{row['p']:.12g}")


def test_customers_without_repeats_or_spend_are_not_read():
    others = state_table(DAY, rows=[[0, 50], [0, 0], [7, 0], [7, -3]], counts=1000)
    nothing = others.slice(0, 1).set_column(2, "mean_spend", pa.array([None], pa.float64()))
    states = pa.concat_tables([state_table(DAY), others, nothing])
    assert fit(states).equals(fit(state_table(DAY)))


def test_only_dates_without_parameters_are_fitted_where_a_fit_is_due():
    states = state_table(EARLIEST, EARLIER, DAY)
    stored = fit(state_table(EARLIER), as_of_date=EARLIER)
    assert fit(states, stored)["fitted_as_of"].to_pylist() == [EARLIEST, DAY]
    assert fit(states, stored, refit_interval_days=31).num_rows == 0
    assert fit(states, fit(states)).num_rows == 0
    assert fit(states, stored, as_of_date=EARLIEST).num_rows == 0
    assert fit(states, stored, settings_hash="t").num_rows == 3
    later = DAY + datetime.timedelta(days=1)
    assert fit(state_table(DAY, later)).equals(fit(state_table(DAY)))


def test_row_order_and_other_dates_change_nothing():
    states = pa.concat_tables([state_table(DAY), state_table(EARLIER, rows=X[::2], counts=9)])
    shuffled = states.take(np.random.default_rng(0).permutation(states.num_rows))
    assert fit(shuffled).equals(fit(states))
    assert fit(state_table(DAY)).equals(fit(states).slice(1, 1))


@pytest.mark.parametrize("stored", [None, GAMMA_GAMMA_PARAMETERS_SCHEMA.empty_table()])
def test_nothing_gives_an_empty_table(stored):
    states = state_table(DAY)
    for found in [
        fit(states, stored, as_of_date=None),
        fit(states, stored, is_empty="True"),
        fit(states.slice(0, 0), stored),
    ]:
        assert found.equals(GAMMA_GAMMA_PARAMETERS_SCHEMA.empty_table())


def heavy_tail(count=400):
    """Customers of so many sizes that their mean is not finite."""
    return np.column_stack([np.full(count, 3), 10 / np.random.default_rng(0).gamma(0.7, 1, count)])


@pytest.mark.parametrize(
    ("rows", "counts", "changes", "reason"),
    [
        ([[1, 10.0], [2, 20.0], [3, 60.0]], 10, {}, "too_few_repeaters"),
        (X, WEIGHT, {"min_repeat_customer_count": "401"}, "too_few_repeaters"),
        ([[0, 0.0]], 5000, {}, "too_few_repeaters"),
        ([[4, 0.0]], 5000, {"min_repeat_customer_count": 0}, "too_few_repeaters"),
        ([[x, 10.0 * x] for x in range(1, 30)], 10, {}, "spend_depends_on_frequency"),
        ([[x, 10.0 / x] for x in range(1, 30)], 10, {}, "spend_depends_on_frequency"),
        (X, WEIGHT, {"max_spend_correlation": 0}, "spend_depends_on_frequency"),
        (X, WEIGHT, {"max_iter": 1}, "not_converged"),
        ([[2, 10.0]], 500, {}, "not_converged"),
        (heavy_tail(), 1, {}, "no_finite_mean"),
    ],
)
def test_what_cannot_be_learned_is_the_plain_mean_with_the_reason(rows, counts, changes, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = fit(state_table(DAY, rows=rows, counts=counts), **changes).to_pylist()[0]
    assert row["fallback_reason"] == reason
    assert [row[name] for name in FITTED] == [None] * len(FITTED)
    spends = np.asarray(rows, dtype=float)[:, 1]
    used = (spends > 0) & (np.asarray(rows)[:, 0] > 0)
    counts = np.broadcast_to(counts, len(spends))[used]
    expected = np.average(spends[used], weights=counts) if len(counts) else 0
    assert row["mean_spend"] == pytest.approx(expected)
    assert row["customer_count"] == counts.sum()


def test_spends_of_one_price_are_fitted():
    row = fit(state_table(DAY, rows=[[x, 9.99] for x in range(1, 9)], counts=40)).to_pylist()[0]
    assert row["fallback_reason"] is None
    assert row["spend_frequency_correlation"] is None
    assert row["mean_spend"] == pytest.approx(9.99, rel=1e-3)
    assert row["p_standard_error"] is None


def test_a_fit_says_what_it_did(caplog):
    caplog.set_level(logging.INFO, "coterie")
    fit(state_table(DAY))
    fit(state_table(DAY, rows=[[1, 10.0]], counts=9))
    assert f"gamma_gamma: fitted as of {DAY} on 400 customers" in caplog.text
    assert f"gamma_gamma: too_few_repeaters as of {DAY} on 9 customers" in caplog.text


def test_impossible_states_of_a_table_are_refused():
    states = state_table(DAY)

    def changed(column, values):
        return states.set_column(states.column_names.index(column), column, pa.array(values))

    with pytest.raises(ValueError, match="no column mean_spend"):
        fit(states.drop_columns(["mean_spend"]))
    with pytest.raises(ValueError, match="several rows"):
        fit(pa.concat_tables([states, states.slice(0, 1)]))
    with pytest.raises(ValueError, match="customer_count of the table of spend states has NULL"):
        fit(changed("customer_count", [None] * len(states)))
    with pytest.raises(ValueError, match=rf"spends of {DAY} .* fraction of a purchase"):
        fit(changed("repeat_count", X[:, 0] + 0.5))
    with pytest.raises(ValueError, match="refit_interval_days is missing"):
        fit(states, refit_interval_days=None)
