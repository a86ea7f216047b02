"""Learn how much customers spend at a purchase; the fitted form is three parameters.

The purchases of a customer are gamma distributed with the shape p around a mean of their own, and
these means are spread by a gamma distribution of the shape q (Fader & Hardie 2013, "The gamma-gamma
model of monetary value"; Fader, Hardie & Lee 2005, "RFM and CLV: using iso-value curves for
customer base analysis"). A customer is known by the number of purchases and their mean spend; where
purchases are few, the mean of all customers counts for much. Spend must not depend on how often
customers buy.
"""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit, polygamma
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from coterie import tables
from coterie.lifetime_value.fitting import (
    MaximumLikelihoodModel,
    checked_weights,
    dates_to_fit,
    digamma_remainder,
    distinct_rows,
    log_gamma_remainder,
    read_states,
)

logger = logging.getLogger("coterie")

GAMMA_GAMMA_PARAMETERS_SCHEMA = pa.schema(
    [
        ("fitted_as_of", pa.date32()),
        ("settings_hash", pa.string()),
        ("customer_count", pa.int64()),
        ("state_count", pa.int64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
        ("gamma", pa.float64()),
        ("p_standard_error", pa.float64()),
        ("q_standard_error", pa.float64()),
        ("gamma_standard_error", pa.float64()),
        ("log_likelihood", pa.float64()),
        ("mean_spend", pa.float64()),
        ("spend_frequency_correlation", pa.float64()),
        ("is_converged", pa.bool_()),
        ("fallback_reason", pa.string()),
    ]
)

GAMMA_GAMMA_PARAMETERS = ("p", "q", "gamma")
# Three parameters cannot be learned from fewer distinct rows.
MIN_ROW_COUNT = len(GAMMA_GAMMA_PARAMETERS)
# Starts of the search, tried in all combinations; gamma as that which gives a usual spend.
START_P = (0.5, 4.0, 32.0)
START_Q = (1.5, 4.0, 12.0)
# Correlation of spend and purchases from which on the model's assumption is broken.
MAX_SPEND_CORRELATION = 0.3


class GammaGamma(MaximumLikelihoodModel):
    """Gamma-Gamma: spends vary around a mean of the customer, and means between customers.

    With z = x m, the total of x purchases of the mean m, the likelihood of a row is (Fader & Hardie
    2013, equation 1a)::

        G(px+q) / (G(px) G(q)) / m * (z / (gamma+z))^(px) * (gamma / (gamma+z))^q

    where G is the gamma function. It is evaluated as its peak in z, where z / gamma = px / q, and
    what lies below it: where customers hardly differ, both factors are large and nearly cancel.

    Parameters
    ----------
    bounds : tuple of two floats, default=(1e-4, 1e4)
        Of p and q; of gamma their squares, in geometric means of the spends. Where the likelihood
        has no peak (all customers spend alike, or each always the same) a parameter ends at a
        bound.
    max_iter : int, default=200
        Iterations from each start.

    Attributes
    ----------
    p_ : float
        Shape of the gamma distribution of a customer's spends.
    q_, gamma_ : float
        Shape and rate of the gamma distribution of the rates of these; gamma in the unit of money
        of X.
    mean_spend_ : float
        Mean of all customers' mean spends, p gamma / (q - 1); infinite where q is 1 or less.
    standard_errors_ : dict of float
        By parameter name, from the curvature of the likelihood in the logarithms of the parameters
        (delta method); NaN at a bound.
    covariance_ : ndarray of float64, shape (3, 3)
        Of log p, log q and log gamma; NaN at a bound.
    log_likelihood_ : float
        Sum over the customers.
    is_converged_ : bool
    n_iter_ : int
    convergence_ : Convergence
    n_features_in_ : int

    Notes
    -----
    An estimator that `from_parameters` made knows the three parameters and `mean_spend_` only.
    """

    _names = GAMMA_GAMMA_PARAMETERS
    _column_count = 2

    def fit(self, X: Any, sample_weight: Any = None) -> GammaGamma:
        """Find the most likely parameters.

        Parameters
        ----------
        X : array-like of float, shape (n, 2)
            Repeat purchases x and their mean spend, both above 0; any unit of money.
        sample_weight : array-like of float, shape (n,), optional
            Customers of each row, not negative. Equal rows count as one with their weights added,
            and neither the order of the rows nor their splitting changes the result.

        Raises
        ------
        ValueError
            If a number is missing, infinite or not above 0, x is a fraction, there are fewer than
            3 distinct rows of positive weight, or a constructor parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            If the search did not end at a maximum; see ``convergence_``.
        """
        self._check_parameters()
        X = _checked_spends(X)
        rows, weight = distinct_rows(X, checked_weights(sample_weight, len(X)))
        if len(rows) < MIN_ROW_COUNT:
            raise ValueError(
                f"X has {len(rows)} distinct rows of positive weight, and {MIN_ROW_COUNT} "
                "parameters need as many at least; give customers of different spends."
            )
        # In usual spends the bounds and the starts suit any unit of money.
        log_spend = np.log(rows[:, 1])
        unit = np.average(log_spend, weights=weight)
        likelihood = _SpendLikelihood(rows[:, 0], log_spend - unit, weight)
        log_bounds = np.outer([1, 1, 2], np.log(self.bounds))
        self._learn(likelihood, log_bounds, np.array([1, 1, np.exp(unit)]), rows, weight)
        return self

    @classmethod
    def from_parameters(cls, *, p: float, q: float, gamma: float) -> GammaGamma:
        """Make stored parameters an estimator again.

        Parameters
        ----------
        p, q, gamma : float
            gamma in the unit of money of the spends to come.

        Raises
        ------
        ValueError
            If one of them is not a number above 0.
        """
        return cls._from_parameters(p=p, q=q, gamma=gamma)

    def score_samples(self, X: Any) -> np.ndarray:
        """Give the log-likelihood of each row.

        Parameters
        ----------
        X : array-like of float, shape (n, 2)
            As for `fit`.

        Returns
        -------
        ndarray of float64, shape (n,)
            Logarithm of the density of the mean spend of x purchases.
        """
        check_is_fitted(self)
        x, spend = _checked_spends(X).T
        shape = self.p_ * x
        log_ratio = np.log(self.gamma_) - np.log(x) - np.log(spend)
        of_spends, of_all = _log_shares(shape, self.q_, log_ratio)
        at_peak = _log_density_at_peak(shape, self.q_)
        return at_peak + shape * of_spends + self.q_ * of_all - np.log(spend)

    def expected_spend(self, x: Any, mean_spend: Any) -> np.ndarray:
        """Give the expected mean spend of customers, given what they have spent.

        ``p (gamma + x m) / (p x + q - 1)``: the mean of all customers where there is no purchase,
        and ever nearer to the customer's own mean with each (Fader & Hardie 2013, equation 5).

        Parameters
        ----------
        x : array-like of float
            Purchases, not negative.
        mean_spend : array-like of float, of a shape that fits x
            Their mean spend, not negative; of no account where x is 0.

        Returns
        -------
        ndarray of float64

        Raises
        ------
        ValueError
            If q is 1 or less, so that spends have no finite mean, or a number is missing, infinite
            or negative.
        """
        check_is_fitted(self)
        if self.q_ <= 1:
            raise ValueError(
                f"q is {self.q_}, and spends have a finite mean only where it is above 1; use the "
                "plain mean of the customers."
            )
        x, spend = np.broadcast_arrays(
            np.asarray(x, dtype=np.float64), np.asarray(mean_spend, dtype=np.float64)
        )
        for name, values in [("x", x), ("mean_spend", spend)]:
            if not (np.isfinite(values) & (values >= 0)).all():
                raise ValueError(
                    f"{name} holds missing, negative or infinite numbers; give numbers from 0 on, "
                    "and a mean_spend of 0 where x is 0."
                )
        return self.p_ * (self.gamma_ + x * spend) / (self.p_ * x + self.q_ - 1)

    def _set_parameters(self, parameters: np.ndarray) -> None:
        super()._set_parameters(parameters)
        self.mean_spend_ = self.p_ * self.gamma_ / (self.q_ - 1) if self.q_ > 1 else np.inf


def fit_gamma_gamma_parameters(
    states: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit the spend model at each date that has no parameters yet, where a fit is due.

    The parameters of a date are learned from the states of that date alone. A date on which they
    cannot be learned, or would mislead, has a row that says why and gives the plain mean.

    Parameters
    ----------
    states : pa.Table
        Columns as_of_date, repeat_count, mean_spend (of the repeat order days; rounded, so that
        states are few) and customer_count; one row for each date and state. Rows without repeats
        or without a positive spend are ignored, and so are dates after `as_of_date`.
    stored : pa.Table or None
        Columns fitted_as_of and settings_hash of the parameters fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        settings_hash, refit_interval_days, and optionally min_repeat_customer_count (100),
        max_spend_correlation (0.3), max_iter (200) and is_empty ("True" fits nothing).

    Returns
    -------
    pa.Table
        `GAMMA_GAMMA_PARAMETERS_SCHEMA`: one row for each date, sorted by it. mean_spend is the mean
        of all customers' mean spends by the model. spend_frequency_correlation is NULL where all
        customers buy or spend alike. fallback_reason is NULL, or the first of these that holds:
        ``too_few_repeaters``, ``spend_depends_on_frequency`` (the absolute correlation reaches
        max_spend_correlation), ``not_converged`` (or fewer than 3 states) and ``no_finite_mean``
        (q of 1 or less); then parameters, errors and log_likelihood are NULL, and mean_spend is the
        mean over the customers, 0 where nobody has spent anything.

    Raises
    ------
    ValueError
        If a column or a setting is missing, a count is NULL or negative, a repeat_count is a
        fraction, or a state occurs twice at a date.
    """
    rows = []
    to_fit = dates_to_fit(states, stored, as_of_date=as_of_date, settings=settings)
    if len(to_fit):
        settings_hash = tables.read_setting(settings, "settings_hash", str)
        is_known = tables.feature_matrix(states, ["repeat_count", "mean_spend"]) > 0
        dates, X, weight = read_states(
            states.filter(pa.array(is_known.all(axis=1))),
            ["repeat_count", "mean_spend"],
            "the table of spend states",
        )
        for date in to_fit:
            is_of_date = (dates == date) & (weight > 0)
            fitted = _fit_date(date.item(), X[is_of_date], weight[is_of_date], settings)
            rows.append({"fitted_as_of": date.item(), "settings_hash": settings_hash, **fitted})
    return pa.Table.from_pylist(rows, schema=GAMMA_GAMMA_PARAMETERS_SCHEMA)


def _fit_date(
    date: datetime.date, X: np.ndarray, weight: np.ndarray, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Fit the states of one date, or say why not."""
    correlation = _correlation(X, weight)
    row: dict[str, Any] = {
        "customer_count": int(weight.sum()),
        "state_count": len(X),
        "mean_spend": np.average(X[:, 1], weights=weight) if len(X) else 0.0,
        "spend_frequency_correlation": correlation,
        "is_converged": False,
    }
    enough = max(1, tables.read_setting(settings, "min_repeat_customer_count", int, 100))
    max_correlation = tables.read_setting(
        settings, "max_spend_correlation", float, MAX_SPEND_CORRELATION
    )
    if row["customer_count"] < enough:
        row["fallback_reason"] = "too_few_repeaters"
    elif correlation is not None and abs(correlation) >= max_correlation:
        row["fallback_reason"] = "spend_depends_on_frequency"
    elif len(X) < MIN_ROW_COUNT:
        row["fallback_reason"] = "not_converged"
    else:
        model = GammaGamma(max_iter=tables.read_setting(settings, "max_iter", int, 200))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                model.fit(X, sample_weight=weight)
            except ValueError as error:
                raise ValueError(f"the spends of {date} cannot be fitted: {error}") from error
        row["is_converged"] = model.is_converged_
        if not model.is_converged_:
            row["fallback_reason"] = "not_converged"
        elif model.q_ <= 1:
            row["fallback_reason"] = "no_finite_mean"
        else:
            row |= dict(zip(GAMMA_GAMMA_PARAMETERS, model._parameters(), strict=True))
            row |= {
                f"{name}_standard_error": error if np.isfinite(error) else None
                for name, error in model.standard_errors_.items()
            }
            row |= {"log_likelihood": model.log_likelihood_, "mean_spend": model.mean_spend_}
    logger.info(
        "gamma_gamma: %s as of %s on %d customers in %d states",
        row.get("fallback_reason", "fitted"),
        date,
        row["customer_count"],
        len(X),
    )
    return {
        name: float(tables.round_significant(value)) if isinstance(value, float) else value
        for name, value in row.items()
    }


def _correlation(X: np.ndarray, weight: np.ndarray) -> float | None:
    """Give the weighted correlation of the columns; None where one of them does not vary."""
    if not len(X):
        return None
    centered = X - np.average(X, axis=0, weights=weight)
    # Of numbers of any size, and of rounding errors as none.
    sizes = np.abs(centered).max(axis=0)
    if (sizes <= 1e-12 * np.abs(X).max(axis=0)).any():
        return None
    first, second = (centered / sizes).T
    product, *squares = (weight @ (first * second), weight @ first**2, weight @ second**2)
    return float(product / np.sqrt(np.prod(squares)))


class _SpendLikelihood:
    """Mean log-likelihood of weighted spends, with its slopes in the logs of the parameters.

    Terms of x alone are summed over the distinct x.
    """

    def __init__(self, x: np.ndarray, log_spend: np.ndarray, weight: np.ndarray):
        self.x, self.weight = x, weight / weight.sum()
        self.log_total = np.log(x) + log_spend
        self.purchases, place = np.unique(x, return_inverse=True)
        self.purchase_weight = np.bincount(place, self.weight)
        self.without_parameters = -(self.weight @ log_spend)
        self.evaluation_count = 0

    def starts(self) -> list[np.ndarray]:
        """Give where a search may start."""
        return [np.log([p, q, q / p]) for p in START_P for q in START_Q]

    def loss(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        """Give the negative mean log-likelihood and its gradient in the logs of p, q, gamma."""
        self.evaluation_count += 1
        p, q = np.exp(logs[:2])
        w, rows = self.purchase_weight, self.weight
        shape, row_shape = p * self.purchases, p * self.x
        of_spends, of_all = _log_shares(row_shape, q, logs[2] - self.log_total)
        value = w @ _log_density_at_peak(shape, q)
        value += rows @ (row_shape * of_spends + q * of_all)
        both = digamma_remainder(shape + q)
        slope = rows * (row_shape * q / (row_shape + q))
        gradient = np.array(
            [
                w @ (shape * (both - digamma_remainder(shape))) + rows @ (row_shape * of_spends),
                q * (w @ both - digamma_remainder(q) + rows @ of_all),
                slope @ (np.exp(of_spends) - np.exp(of_all)),
            ]
        )
        return -(value + self.without_parameters), -gradient

    def curvature(self, logs: np.ndarray) -> np.ndarray:
        """Give the second derivatives of the loss in the logs of the parameters, shape (3, 3)."""
        p, q = np.exp(logs[:2])
        shape, w = p * self.purchases, self.purchase_weight
        share = expit(logs[2] - self.log_total)
        both = polygamma(1, shape + q)
        second = np.empty((3, 3))
        second[0, 0] = w @ (shape**2 * (both - polygamma(1, shape)))
        second[1, 1] = q**2 * (w @ both - polygamma(1, q))
        second[0, 1] = second[1, 0] = w @ (shape * both) * q
        second[0, 2] = second[2, 0] = -p * (self.weight @ (self.x * share))
        second[1, 2] = second[2, 1] = q * (self.weight @ (1 - share))
        second[2, 2] = -self.weight @ ((q + p * self.x) * share * (1 - share))
        # p and q come in as factors of their slopes, too.
        second[[0, 1], [0, 1]] -= self.loss(logs)[1][:2]
        return -second


def _log_density_at_peak(shape: np.ndarray, q: float) -> np.ndarray:
    """Give the log-likelihood of log spends at their most likely, where gamma / total = q / shape.

    There it is ``shape log(shape) + q log(q) - (shape+q) log(shape+q) - log B(shape, q)``, and for
    large shapes that is what Stirling's formula leaves: the rest cancels.
    """
    both = shape + q
    remainder = log_gamma_remainder(both) - log_gamma_remainder(shape) - log_gamma_remainder(q)
    return 0.5 * np.log(shape * q / both / (2 * np.pi)) + remainder


def _log_shares(
    shape: np.ndarray, q: float, log_ratio: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the logs of the shares of the total and of gamma in their sum, over those at the peak.

    log_ratio is the logarithm of gamma / total. Near the peak, ``log1p`` keeps the digits that
    large shapes need.
    """
    log_of_spends, log_of_all = -np.log1p(q / shape), -np.log1p(shape / q)
    way = log_ratio - np.log(q) + np.log(shape)
    near = np.clip(way, -1, 1)
    is_near = np.abs(way) < 1
    return (
        -np.where(
            is_near,
            np.log1p(np.exp(log_of_all) * np.expm1(near)),
            np.logaddexp(log_of_spends, log_of_all + way),
        ),
        -np.where(
            is_near,
            np.log1p(np.exp(log_of_spends) * np.expm1(-near)),
            np.logaddexp(log_of_all, log_of_spends - way),
        ),
    )


def _checked_spends(X: Any) -> np.ndarray:
    """Read X and refuse what cannot be a spend."""
    try:
        X = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("X holds values that are no numbers; give x and spends only.") from None
    if X.ndim != 2 or X.shape[1] != 2 or not len(X):
        raise ValueError(
            f"X has the shape {X.shape}; give one row or more with two columns: repeat purchases, "
            "mean spend of these."
        )
    for is_wrong, words in [
        (~np.isfinite(X).all(axis=1), "a missing or infinite number; leave such customers out"),
        (
            (X <= 0).any(axis=1),
            "a number that is not above 0; leave customers without repeat purchases, and those "
            "who spent nothing, out",
        ),
        (X[:, 0] != np.floor(X[:, 0]), "a fraction of a purchase; count purchases in column one"),
    ]:
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            raise ValueError(f"row {row} of X, {X[row].tolist()}, has {words}.")
    return X
