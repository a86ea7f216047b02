"""Learn how often customers buy and when they leave for good; the fitted form is four parameters.

While alive a customer buys at a rate of their own, and may leave at certain purchases with a
probability of their own; rates follow a gamma and probabilities a beta distribution. BG/NBD (Fader,
Hardie & Lee 2005, "Counting your customers the easy way") lets a customer leave at each repeat
purchase, MBG/NBD (Batislam, Denizel & Filiztekin 2007, "Empirical validation and comparison of
models for customer base analysis") at the first purchase too, so that a customer who bought once
is not alive for certain. Both know a customer by repeat purchases, recency and age only, so
customers with equal states count as one state with a weight.
"""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import betainc, expit, polygamma, psi
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from coterie import tables
from coterie.lifetime_value.fitting import (
    MaximumLikelihoodModel,
    checked_weights,
    dates_to_fit,
    distinct_rows,
    log_rising,
    read_states,
)

logger = logging.getLogger("coterie")

NBD_PARAMETERS_SCHEMA = pa.schema(
    [
        ("fitted_as_of", pa.date32()),
        ("settings_hash", pa.string()),
        ("family", pa.string()),
        ("customer_count", pa.int64()),
        ("repeat_customer_count", pa.int64()),
        ("state_count", pa.int64()),
        ("r", pa.float64()),
        ("alpha", pa.float64()),
        ("a", pa.float64()),
        ("b", pa.float64()),
        ("r_standard_error", pa.float64()),
        ("alpha_standard_error", pa.float64()),
        ("a_standard_error", pa.float64()),
        ("b_standard_error", pa.float64()),
        ("log_likelihood", pa.float64()),
        ("is_converged", pa.bool_()),
    ]
)

PARAMETERS = ("r", "alpha", "a", "b")
# What rounding days up to weeks adds on average: days 1 to 7 stand as 7. Uncorrected, it makes the
# probability alive of CDNOW's customers 2 points too high.
MEAN_ROUNDING_WEEKS = 3 / 7
# Four parameters cannot be learned from fewer distinct states.
MIN_STATE_COUNT = len(PARAMETERS)
# Starts of the search, tried in all combinations: r, alpha as a multiple of r / (purchases per unit
# of time), and a with b. Times are in mean ages, so that they suit any unit.
START_R = (0.3, 1.0)
START_ALPHA = (0.3, 1.0)
START_A_B = ((0.3, 1.5), (1.0, 2.0), (1.0, 8.0))
# Nodes of the quadrature over the probability to leave, and the logarithm of the density, below
# its peak, at which it ends. Errors stay under 1e-9 of the value where a and b are 0.03 to 30, and
# under 1e-6 between all default bounds.
NODE_COUNT = 128
TAIL_LOG_DENSITY = 40.0
# Counts of purchases are told apart up to here: several a day in a year. Less than this
# probability is none.
MAX_PURCHASE_COUNT = 2000
NO_PROBABILITY = 1e-10
# Rows that are integrated at a time: 8 MB for each temporary matrix.
CHUNK_ROWS = 8192


class _BetaGeometricModel(MaximumLikelihoodModel):
    """What BG/NBD and MBG/NBD share: all but the number of chances to leave.

    With k chances passed (x for BG/NBD, x + 1 for MBG/NBD) the likelihood of a state is, up to
    factors without parameters::

        G(r+x) alpha^r / G(r) * [ B(a, b+k) / B(a, b) (alpha+T)^-(r+x)
                                  + (k > 0) B(a+1, b+k-1) / B(a, b) (alpha+t_x)^-(r+x) ]

    where G is the gamma and B the beta function; the second term is of those who have left. It is
    evaluated as the logarithm of the first term plus ``log(1 + exp(z))``, with z the log-odds of
    having left, and with differences of logarithms written as ``log1p``.
    """

    _names = PARAMETERS
    _column_count = 3
    # Chances to leave that a customer without a repeat purchase has passed.
    _first_chances: int

    def fit(self, X: Any, sample_weight: Any = None) -> _BetaGeometricModel:
        """Find the most likely parameters.

        Parameters
        ----------
        X : array-like of float, shape (n, 3)
            Repeat purchases x, age at the last purchase t_x, age T; any one unit of time.
        sample_weight : array-like of float, shape (n,), optional
            Customers of each row, not negative. Equal rows count as one with their weights added,
            and neither the order of the rows nor their splitting changes the result.

        Raises
        ------
        ValueError
            If a row is not a possible state (NaN, infinite or negative numbers, fractions of
            purchases, t_x above T, a repeat purchase at age 0, or a later one without repeat
            purchases), no row has a positive weight and a repeat purchase, there are fewer than
            4 distinct rows, or a constructor parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            If the search did not end at a maximum; see ``convergence_``.
        """
        self._check_parameters()
        X = _checked_states(X)
        states, weight = distinct_rows(X, checked_weights(sample_weight, len(X)))
        if not (states[:, 0] > 0).any():
            raise ValueError(
                "X has no repeat purchase in a row of positive weight, and without one nothing "
                "tells how often customers buy; give customers of a longer time."
            )
        if len(states) < MIN_STATE_COUNT:
            raise ValueError(
                f"X has {len(states)} distinct rows of positive weight, and {MIN_STATE_COUNT} "
                "parameters need as many at least; give customers of different ages and purchases."
            )
        # In mean ages the bounds and the starts suit any unit of time.
        scale = np.average(states[:, 2], weights=weight)
        likelihood = _Likelihood(
            states[:, 0], states[:, 1] / scale, states[:, 2] / scale, weight, self._first_chances
        )
        log_bounds = np.tile(np.log(self.bounds), (len(PARAMETERS), 1))
        self._learn(likelihood, log_bounds, np.array([1, scale, 1, 1]), states, weight)
        return self

    @classmethod
    def from_parameters(cls, *, r: float, alpha: float, a: float, b: float) -> _BetaGeometricModel:
        """Make stored parameters an estimator again.

        Parameters
        ----------
        r, alpha, a, b : float
            alpha in the unit of time of the states to come.

        Raises
        ------
        ValueError
            If one of them is not a number above 0.
        """
        return cls._from_parameters(r=r, alpha=alpha, a=a, b=b)

    def score_samples(self, X: Any) -> np.ndarray:
        """Give the log-likelihood of each row.

        Parameters
        ----------
        X : array-like of float, shape (n, 3)
            As for `fit`.

        Returns
        -------
        ndarray of float64, shape (n,)
            Without the factor of x and the purchase times before t_x that holds no parameter.
        """
        x, t_x, age = self._read_states(X)
        k = x + self._first_chances
        a, b = self.a_, self.b_
        alive = log_rising(self.r_, x) + log_rising(b, k) - log_rising(a + b, k)
        alive -= self.r_ * np.log1p(age / self.alpha_) + x * np.log(self.alpha_ + age)
        return alive + np.logaddexp(0, self._log_odds_gone(x, t_x, age))

    def probability_alive(self, X: Any) -> np.ndarray:
        """Give the probability that a customer has not left by age T.

        Parameters
        ----------
        X : array-like of float, shape (n, 3)
            As for `fit`.

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        return expit(-self._log_odds_gone(*self._read_states(X)))

    def probability_of_purchase(self, X: Any, horizon: Any) -> np.ndarray:
        """Give the probability of at least one purchase from age T to T + horizon.

        Nobody leaves between purchases, so the next one comes at the customer's rate, which given
        the state is gamma distributed with shape r + x and rate alpha + T::

            P(alive) (1 - ((alpha+T) / (alpha+T+horizon))^(r+x))

        Parameters
        ----------
        X : array-like of float, shape (n, 3)
            As for `fit`.
        horizon : float or array-like of float, shape (n,)
            Not negative, in the unit of time of X.

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        x, t_x, age = self._read_states(X)
        horizon = _checked_horizon(horizon, len(x))
        is_buyer = -np.expm1(-(self.r_ + x) * np.log1p(horizon / (self.alpha_ + age)))
        return expit(-self._log_odds_gone(x, t_x, age)) * is_buyer

    def expected_purchases(self, X: Any, horizon: Any) -> np.ndarray:
        """Give the expected number of purchases from age T to T + horizon.

        With rate l and probability p to leave at a purchase, a living customer is expected to buy
        (1 - exp(-l p horizon)) / p times. The mean over the rate is taken exactly, the mean over p
        by quadrature. It equals the hypergeometric expression of Fader, Hardie & Lee (2005,
        equation 10), and stays exact where that loses its digits: a near 1, short horizons, many
        purchases.

        Parameters
        ----------
        X : array-like of float, shape (n, 3)
            As for `fit`.
        horizon : float or array-like of float, shape (n,)
            Not negative, in the unit of time of X.

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        x, t_x, age = self._read_states(X)
        horizon = _checked_horizon(horizon, len(x))
        alive = expit(-self._log_odds_gone(x, t_x, age))
        return alive * self._expected_purchases_alive(x, horizon / (self.alpha_ + age))

    def expected_purchases_alive(self, x: Any, age: Any, horizon: Any) -> np.ndarray:
        """Give the expected number of purchases from age T to T + horizon, given alive at T.

        `expected_purchases` without the probability of being alive: when the last purchase was
        says no more than that.

        Parameters
        ----------
        x, age : array-like of float
            Repeat purchases and age T, not negative.
        horizon : array-like of float
            Not negative; all three of shapes that fit each other, times in one unit.

        Returns
        -------
        ndarray of float64
        """
        x, age, horizon = self._read_alive(x, age, horizon)
        tau = horizon / (self.alpha_ + age)
        return self._expected_purchases_alive(x.ravel(), tau.ravel()).reshape(x.shape)

    def count_probabilities_alive(self, x: Any, age: Any, horizon: Any) -> np.ndarray:
        """Give the distribution of the number of purchases from T to T + horizon, given alive at T.

        To buy n times or more, one has to stay at n - 1 purchases, and to buy n times if one
        always stayed. Given the state the rate and the probability to leave are independent, so
        with k chances to leave passed, s = r + x and u = horizon / (alpha + T + horizon)::

            P(N >= n) = B(a, b+k+n-1) / B(a, b+k) * I_u(n, s)

        where I is the regularised incomplete beta function, the survival function of a negative
        binomial distribution (for BG/NBD see Fader, Hardie & Lee 2005, equations 6 to 8).

        Parameters
        ----------
        x, age, horizon : array-like of float, shape (n,)
            As for `expected_purchases_alive`.

        Returns
        -------
        ndarray of float64, shape (n, m)
            Probabilities of 0, 1, ... purchases; rows sum to 1. The last column stands for its
            count or more: that is less likely than 1e-10, or `MAX_PURCHASE_COUNT`.
        """
        x, age, horizon = (np.ravel(part) for part in self._read_alive(x, age, horizon))
        shape = self.r_ + x
        tau = horizon / (self.alpha_ + age)
        buys = tau / (1 + tau)
        last = 8
        while last < MAX_PURCHASE_COUNT and (betainc(last, shape, buys) > NO_PROBABILITY).any():
            last = min(2 * last, MAX_PURCHASE_COUNT)
        count = np.arange(1.0, last)
        with np.errstate(divide="ignore"):
            log_ratios = np.log((shape[:, np.newaxis] + count - 1) / count)
            log_ratios += np.log(buys)[:, np.newaxis]
        # If one always stayed: of each count, and of more than it.
        staying = np.zeros((len(x), last))
        np.cumsum(log_ratios, axis=1, out=staying[:, 1:])
        staying -= (shape * np.log1p(tau))[:, np.newaxis]
        np.exp(staying, out=staying)
        more = np.column_stack([staying[:, 1:], betainc(last, shape, buys)])
        more = np.cumsum(more[:, ::-1], axis=1)[:, ::-1]

        # The probability to leave at the next purchase, after 1, 2, ... of them without leaving.
        chances = self.b_ + x[:, np.newaxis] + self._first_chances + count - 1
        leaves = self.a_ / (self.a_ + chances)
        stayed = np.exp(np.cumsum(np.log1p(-leaves), axis=1))
        stayed = np.column_stack([np.ones(len(x)), stayed])
        found = np.empty((len(x), last + 1))
        found[:, 0] = staying[:, 0]
        found[:, 1:-1] = stayed[:, :-1] * (staying[:, 1:] + leaves * more[:, 1:])
        found[:, -1] = stayed[:, -1] * more[:, -1]
        # As many columns as the widest row needs.
        rest = np.cumsum(found[:, ::-1], axis=1)[:, ::-1]
        needed = max(1, int((rest > NO_PROBABILITY).any(axis=0).sum()))
        return np.column_stack([found[:, :needed], rest[:, needed : needed + 1]])

    def waiting_time_quantile(self, x: Any, age: Any, level: Any) -> np.ndarray:
        """Give quantiles of the time from T to the next purchase, given alive at T.

        Nobody leaves before the next purchase, and given the state its rate is gamma distributed:
        the time follows a Lomax distribution, ``(alpha+T) ((1-level)^(-1/(r+x)) - 1)``.

        Parameters
        ----------
        x, age : array-like of float
            As for `expected_purchases_alive`, and of shapes that fit level.
        level : array-like of float
            From 0 to less than 1.

        Returns
        -------
        ndarray of float64
            In the unit of time of age; infinite where it is beyond the largest number.
        """
        x, age, level = self._read_alive(x, age, level, "level")
        if not (level < 1).all():
            raise ValueError("level reaches 1; give levels from 0 to less than 1.")
        with np.errstate(over="ignore"):
            return (self.alpha_ + age) * np.expm1(-np.log1p(-level) / (self.r_ + x))

    def _read_alive(
        self, x: Any, age: Any, third: Any, name: str = "horizon"
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read numbers from 0 on, in one shape."""
        check_is_fitted(self)
        parts = [np.asarray(part, dtype=np.float64) for part in (x, age, third)]
        for what, part in zip(("x", "age", name), parts, strict=True):
            if not (np.isfinite(part) & (part >= 0)).all():
                raise ValueError(
                    f"{what} holds missing, negative or infinite numbers; give numbers from 0 on."
                )
        return tuple(np.broadcast_arrays(*parts))

    def _expected_purchases_alive(self, x: np.ndarray, tau: np.ndarray) -> np.ndarray:
        """Give the expected purchases of the living, once for each distinct x and tau.

        tau is horizon / (alpha + T); t_x says only whether a customer is alive.
        """
        purchases, x_place = np.unique(x, return_inverse=True)
        taus, tau_place = np.unique(tau, return_inverse=True)
        pairs, place = np.unique(x_place * len(taus) + tau_place, return_inverse=True)
        x_place, tau_place = np.divmod(pairs, max(1, len(taus)))
        p, weight = _beta_nodes(self.a_, self.b_ + purchases + self._first_chances)
        shape = self.r_ + purchases
        expected = np.empty(len(pairs))
        for start in range(0, len(pairs), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            at = x_place[rows]
            nodes = p[at]
            value = nodes * taus[tau_place[rows], np.newaxis]
            np.log1p(value, out=value)
            value *= -shape[at, np.newaxis]
            np.expm1(value, out=value)
            value /= nodes
            expected[rows] = -np.einsum("ij,ij->i", value, weight[at])
        return expected[place] + 0.0

    def _log_odds_gone(self, x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Give the log-odds of having left, -inf for those who had no chance to."""
        k = x + self._first_chances
        had_chance = k > 0
        chances = np.log(self.a_) - np.log(np.where(had_chance, self.b_ + k - 1, 1.0))
        waited = (self.r_ + x) * np.log1p((age - t_x) / (self.alpha_ + t_x))
        return np.where(had_chance, chances + waited, -np.inf)

    def _read_states(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        check_is_fitted(self)
        x, t_x, age = _checked_states(X).T
        return x, t_x, age


class BetaGeometricNBD(_BetaGeometricModel):
    """BG/NBD: a customer may leave at each repeat purchase (Fader, Hardie & Lee 2005).

    Parameters
    ----------
    bounds : tuple of two floats, default=(1e-4, 1e4)
        Of r, a and b, and of alpha in mean ages of the customers. Where the likelihood has no peak
        (nobody leaves, or all leave alike) a parameter ends at a bound.
    max_iter : int, default=200
        Iterations from each start.

    Attributes
    ----------
    r_, alpha_ : float
        Shape and rate of the gamma distribution of purchase rates; alpha in the unit of time of X.
    a_, b_ : float
        Of the beta distribution of the probability to leave.
    standard_errors_ : dict of float
        By parameter name, from the curvature of the likelihood in the logarithms of the parameters
        (delta method); NaN at a bound.
    covariance_ : ndarray of float64, shape (4, 4)
        Of log r, log alpha, log a and log b; NaN at a bound.
    log_likelihood_ : float
        Sum over the customers.
    is_converged_ : bool
    n_iter_ : int
    convergence_ : Convergence
    n_features_in_ : int

    Notes
    -----
    An estimator that `from_parameters` made knows the four parameters only.
    """

    _first_chances = 0


class ModifiedBetaGeometricNBD(_BetaGeometricModel):
    """MBG/NBD: a customer may leave at the first purchase, too (Batislam et al. 2007).

    Parameters and attributes are those of `BetaGeometricNBD`.
    """

    _first_chances = 1


FAMILIES = {"mbg_nbd": ModifiedBetaGeometricNBD, "bg_nbd": BetaGeometricNBD}


def fit_nbd_parameters(
    states: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit the purchase model at each date that has no parameters yet, where a fit is due.

    The parameters of a date are learned from the states of that date alone, so they do not depend
    on which other dates are fitted or stored. They are those of time as it is: what rounding up to
    weeks added on average is taken off first, and has to be taken off for scores, too.

    Parameters
    ----------
    states : pa.Table
        Columns as_of_date, repeat_count, recency_weeks, age_weeks (rounded up) and customer_count;
        one row for each date and state. Dates after `as_of_date` are ignored.
    stored : pa.Table or None
        Columns fitted_as_of and settings_hash of the parameters fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        settings_hash, refit_interval_days, and optionally family ("mbg_nbd" or "bg_nbd"),
        min_customer_count (300), min_repeat_customer_count (100), rounding_weeks (3/7, see
        `unrounded_weeks`), max_iter (200) and is_empty ("True" fits nothing).

    Returns
    -------
    pa.Table
        `NBD_PARAMETERS_SCHEMA`: one row for each date, sorted by it. Where no fit is due there are
        no rows; a date with too few customers or without convergence has none. alpha is in weeks.
        A parameter at a bound has no standard error.

    Raises
    ------
    ValueError
        If a column or a setting is missing, a state is NULL, impossible or occurs twice at a date,
        or the family is unknown.
    """
    rows = []
    family = tables.read_setting(settings, "family", str, "mbg_nbd")
    if family not in FAMILIES:
        raise ValueError(f"the setting family is {family!r}; choose {' or '.join(FAMILIES)}.")
    to_fit = dates_to_fit(states, stored, as_of_date=as_of_date, settings=settings)
    if len(to_fit):
        dates, X, weight = read_states(
            states, ["repeat_count", "recency_weeks", "age_weeks"], "the table of states"
        )
    for date in to_fit:
        is_of_date = (dates == date) & (weight > 0)
        fitted = _fit_date(date.item(), X[is_of_date], weight[is_of_date], family, settings)
        if fitted is not None:
            rows.append(
                {
                    "fitted_as_of": date.item(),
                    "settings_hash": tables.read_setting(settings, "settings_hash", str),
                    "family": family,
                    **fitted,
                }
            )
    return pa.Table.from_pylist(rows, schema=NBD_PARAMETERS_SCHEMA)


def unrounded_weeks(X: Any, rounding_weeks: float = MEAN_ROUNDING_WEEKS) -> np.ndarray:
    """Give states in whole weeks the times that they stand for on average.

    Parameters
    ----------
    X : array-like of float, shape (n, 3)
        Repeat purchases, age at the last purchase and age, both rounded up to whole weeks.
    rounding_weeks : float
        What rounding up added on average: 3/7 to whole days, 1/2 to times of day, 0 to times that
        were not rounded.

    Returns
    -------
    ndarray of float64, shape (n, 3)
        Ages of 0 stay 0.

    Raises
    ------
    ValueError
        If a row is no possible state, a time is no whole number of weeks though it was rounded, or
        `rounding_weeks` is not from 0 to less than 1.
    """
    X = _checked_states(X)
    if not 0 <= rounding_weeks < 1:
        raise ValueError(
            f"rounding_weeks is {rounding_weeks}; rounding up to weeks adds 0 to less than 1."
        )
    if rounding_weeks and (X[:, 1:] != np.ceil(X[:, 1:])).any():
        raise ValueError(
            "X has times that are no whole weeks; round them up, or set rounding_weeks to 0."
        )
    return np.column_stack([X[:, 0], np.maximum(X[:, 1:] - rounding_weeks, 0)])


def _fit_date(
    date: datetime.date,
    X: np.ndarray,
    weight: np.ndarray,
    family: str,
    settings: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Fit the states of one date; None where customers are too few or the fit fails."""
    customer_count = int(weight.sum())
    repeat_customer_count = int(weight[X[:, 0] > 0].sum())
    is_enough = (
        customer_count >= tables.read_setting(settings, "min_customer_count", int, 300)
        and repeat_customer_count
        >= max(1, tables.read_setting(settings, "min_repeat_customer_count", int, 100))
        and len(X) >= MIN_STATE_COUNT
    )
    if not is_enough:
        logger.info(
            "%s: %d customers with %d repeaters in %d states are too few as of %s, no fit",
            family,
            customer_count,
            repeat_customer_count,
            len(X),
            date,
        )
        return None
    rounding_weeks = tables.read_setting(settings, "rounding_weeks", float, MEAN_ROUNDING_WEEKS)
    model = FAMILIES[family](max_iter=tables.read_setting(settings, "max_iter", int, 200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            model.fit(unrounded_weeks(X, rounding_weeks), sample_weight=weight)
        except ValueError as error:
            raise ValueError(f"the states of {date} cannot be fitted: {error}") from error
    if not model.is_converged_:
        logger.warning(
            "%s: not converged as of %s (%s), no parameters",
            family,
            date,
            model.convergence_.message,
        )
        return None
    logger.info(
        "%s: fitted as of %s on %d customers with %d repeaters in %d states, %d iterations",
        family,
        date,
        customer_count,
        repeat_customer_count,
        len(X),
        model.n_iter_,
    )
    rounded = tables.round_significant([*model._parameters(), model.log_likelihood_]).tolist()
    errors = tables.round_significant(list(model.standard_errors_.values())).tolist()
    return {
        "customer_count": customer_count,
        "repeat_customer_count": repeat_customer_count,
        "state_count": len(X),
        **dict(zip(PARAMETERS, rounded, strict=False)),
        **{
            f"{name}_standard_error": error if np.isfinite(error) else None
            for name, error in zip(PARAMETERS, errors, strict=True)
        },
        "log_likelihood": rounded[-1],
        "is_converged": model.is_converged_,
    }


class _Likelihood:
    """Mean log-likelihood of weighted states, and its slopes in the logs of the parameters.

    Terms of x alone and of T alone are summed over the distinct x and T, so that only the odds of
    having left are evaluated for each state.
    """

    def __init__(
        self,
        x: np.ndarray,
        t_x: np.ndarray,
        age: np.ndarray,
        weight: np.ndarray,
        first_chances: int,
    ):
        weight = weight / weight.sum()
        self.purchases, place = np.unique(x, return_inverse=True)
        self.chances = self.purchases + first_chances
        self.purchase_weight = np.bincount(place, weight)
        self.ages, age_place = np.unique(age, return_inverse=True)
        self.age_weight = np.bincount(age_place, weight)
        self.age_purchases = np.bincount(age_place, weight * x)
        self.rate = weight @ x
        had_chance = x + first_chances > 0
        self.x, self.t_x, self.age = x[had_chance], t_x[had_chance], age[had_chance]
        self.gap = self.age - self.t_x
        self.weight, self.place = weight[had_chance], place[had_chance]
        # b + k - 1 of the distinct x; rows without a chance do not look it up.
        self.earlier = np.where(self.chances > 0, self.chances - 1, 0)
        self.evaluation_count = 0

    def starts(self) -> list[np.ndarray]:
        """Give where a search may start."""
        return [
            np.log([r, multiple * r / self.rate, a, b])
            for r in START_R
            for multiple in START_ALPHA
            for a, b in START_A_B
        ]

    def loss(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        """Give the negative mean log-likelihood and its gradient in the logs of r, alpha, a, b."""
        self.evaluation_count += 1
        r, alpha, a, b = np.exp(logs)
        x, k, w = self.purchases, self.chances, self.purchase_weight
        log_wait = np.log1p(self.gap / (alpha + self.t_x))
        shape = r + self.x
        odds = (np.log(a) - np.log(b + self.earlier))[self.place] + shape * log_wait
        log_age = np.log1p(self.ages / alpha)
        value = w @ (log_rising(r, x) + log_rising(b, k) - log_rising(a + b, k))
        value -= r * (self.age_weight @ log_age) + self.age_purchases @ (log_age + np.log(alpha))
        value += self.weight @ np.logaddexp(0, odds)

        gone = self.weight * expit(odds)
        slower = shape * self.gap / ((alpha + self.age) * (alpha + self.t_x))
        leaving = w @ (psi(a + b) - psi(a + b + k))
        gone_of_x = np.bincount(self.place, gone, minlength=len(x))
        gradient = np.array(
            [
                r * (w @ (psi(r + x) - psi(r)) - self.age_weight @ log_age + gone @ log_wait),
                (r * self.age_weight) @ (self.ages / (alpha + self.ages))
                - self.age_purchases @ (alpha / (alpha + self.ages))
                - alpha * (gone @ slower),
                a * leaving + gone.sum(),
                b * (w @ (psi(b + k) - psi(b)) + leaving - gone_of_x @ (1 / (b + self.earlier))),
            ]
        )
        return -value, -gradient

    def curvature(self, logs: np.ndarray) -> np.ndarray:
        """Give the second derivatives of the loss in the logs of the parameters, shape (4, 4)."""
        r, alpha, a, b = parameters = np.exp(logs)
        x, k, w = self.purchases, self.chances, self.purchase_weight
        old, recent = alpha + self.age, alpha + self.t_x
        log_wait = np.log1p(self.gap / recent)
        shape = r + self.x
        earlier = (b + self.earlier)[self.place]
        odds = np.log(a) - np.log(earlier) + shape * log_wait
        gone = expit(odds)
        spread = self.weight * gone * expit(-odds)
        gone *= self.weight

        slope = np.array(
            [log_wait, -shape * self.gap / (old * recent), np.full_like(odds, 1 / a), -1 / earlier]
        )
        second = (spread * slope) @ slope.T
        second[0, 1] -= gone @ (self.gap / (old * recent))
        second[1, 1] += gone @ (shape * self.gap * (old + recent) / (old * recent) ** 2)
        second[2, 2] -= gone.sum() / a**2
        second[3, 3] += gone @ (1 / earlier**2)

        both = w @ (polygamma(1, a + b) - polygamma(1, a + b + k))
        second[0, 0] += w @ (polygamma(1, r + x) - polygamma(1, r))
        second[0, 1] += self.age_weight @ (self.ages / (alpha * (alpha + self.ages)))
        second[1, 1] += self.age_purchases @ (1 / (alpha + self.ages) ** 2)
        second[1, 1] += self.age_weight @ (r * (1 / (alpha + self.ages) ** 2 - 1 / alpha**2))
        second[2:, 2:] += both
        second[3, 3] += w @ (polygamma(1, b + k) - polygamma(1, b))
        second[1, 0] = second[0, 1]
        # From the parameters to their logs; the slopes are those of the log-likelihood.
        return -second * np.outer(parameters, parameters) + np.diag(self.loss(logs)[1])


def _beta_nodes(a: float, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give nodes and weights for means over beta distributions.

    The trapezoidal rule in s, where the log-odds of p are the mode plus c sinh(s) (after Takahasi &
    Mori 1974): log-odds make the ends of the density exponential however steep it is there, and
    sinh makes these tails short.

    Parameters
    ----------
    a : float
    b : ndarray of float64, shape (n,)

    Returns
    -------
    p, weight : ndarray of float64, shape (n, NODE_COUNT)
        Rows of weights sum to 1.
    """
    b = b[:, np.newaxis]
    width = np.sqrt(1 / a + 1 / b)
    unit = np.minimum(width, 1.0)
    start = -np.arcsinh((TAIL_LOG_DENSITY / a + 9 * width) / unit)
    end = np.arcsinh((TAIL_LOG_DENSITY / b + 9 * width) / unit)
    s = start + (end - start) * np.linspace(0, 1, NODE_COUNT)
    log_odds = np.log(a) - np.log(b) + unit * np.sinh(s)
    log_p = -np.logaddexp(0, -log_odds)
    log_weight = a * log_p - b * np.logaddexp(0, log_odds) + np.log(np.cosh(s))
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    # Smaller p change nothing, and would lose digits.
    return np.exp(np.maximum(log_p, -400.0)), weight


def _checked_states(X: Any) -> np.ndarray:
    """Read X and refuse what cannot be a state."""
    try:
        X = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("X holds values that are no numbers; give x, t_x and T only.") from None
    if X.ndim != 2 or X.shape[1] != 3 or not len(X):
        raise ValueError(
            f"X has the shape {X.shape}; give one row or more with three columns: repeat "
            "purchases, age at the last purchase, age."
        )
    x, t_x, age = X.T
    for is_wrong, words in [
        (~np.isfinite(X).all(axis=1), "a missing or infinite number; leave such customers out"),
        ((X < 0).any(axis=1), "a negative number; count purchases and time from the first one"),
        (x != np.floor(x), "a fraction of a purchase; count purchases in the first column"),
        (t_x > age, "t_x above T; order the columns x, t_x, T and cut both times at one date"),
        (
            (x > 0) & (t_x == 0),
            "a repeat purchase at age 0; count purchases of one day, or of one unit of time "
            "rounded up, as one",
        ),
        (
            (x == 0) & (t_x > 0),
            "a last purchase after the first, but no repeat purchase; let t_x be 0 where x is 0",
        ),
    ]:
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            raise ValueError(f"row {row} of X, {X[row].tolist()}, has {words}.")
    return X


def _checked_horizon(horizon: Any, count: int) -> np.ndarray:
    horizon = np.asarray(horizon, dtype=np.float64)
    if horizon.shape not in [(), (count,)]:
        raise ValueError(
            f"horizon has the shape {horizon.shape}; give one number, or one for each of the "
            f"{count} rows of X."
        )
    if not (np.isfinite(horizon) & (horizon >= 0)).all():
        raise ValueError("horizon holds negative or infinite numbers; give a time from 0.")
    return horizon
