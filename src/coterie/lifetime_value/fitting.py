"""What the fits of this package share: a bounded search for the most likely parameters."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import gammaln, psi
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from coterie import tables
from coterie.threads import one_thread

# The search runs from this many of the starts, the most likely.
START_COUNT = 3
# Slope of the mean log-likelihood in the log of a parameter up to which a fit has converged.
MAX_SLOPE = 1e-7
# Curvature, as a share of the largest one, below which it is rounding error.
FLAT = 1e-11
# Rounding error of the mean log-likelihood, as a share of it; changes below it say nothing.
LOSS_ROUNDING = 1e-13
# From here on three terms of Stirling's series are exact.
STIRLING_FROM = 100.0
# How often a Newton step is halved before the search gives up; 2^-30 of it changes nothing.
MAX_HALVINGS = 30


@dataclass(frozen=True)
class Convergence:
    """How the search for the parameters ended.

    Attributes
    ----------
    is_converged : bool
        The slopes have vanished, but for parameters at a bound, and the likelihood has a peak
        there in the other parameters.
    message : str
    n_iter : int
        Iterations from the best start.
    evaluation_count : int
        Evaluations of the likelihood, from all starts.
    max_slope : float
        Largest absolute slope of the mean log-likelihood in the log of a parameter, not counting
        slopes that point out of the bounds.
    start_log_likelihoods : tuple of float
        What each start led to, the most likely start first.
    at_bounds : tuple of str
        Parameters that ended at a bound; they have no standard error.
    """

    is_converged: bool
    message: str
    n_iter: int
    evaluation_count: int
    max_slope: float
    start_log_likelihoods: tuple[float, ...]
    at_bounds: tuple[str, ...]


class Likelihood(Protocol):
    """The mean log-likelihood of some rows, as a function of the logs of the parameters."""

    evaluation_count: int

    def loss(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        """Give the negative mean log-likelihood and its gradient."""

    def curvature(self, logs: np.ndarray) -> np.ndarray:
        """Give the second derivatives of the loss."""

    def starts(self) -> list[np.ndarray]:
        """Give where a search may start."""


class MaximumLikelihoodModel(BaseEstimator):
    """An estimator that learns a few positive numbers, the most likely ones."""

    # What they are called, and how many columns X has.
    _names: tuple[str, ...]
    _column_count: int

    def __init__(self, bounds: tuple[float, float] = (1e-4, 1e4), max_iter: int = 200):
        self.bounds = bounds
        self.max_iter = max_iter

    def _learn(
        self,
        likelihood: Likelihood,
        log_bounds: np.ndarray,
        units: np.ndarray,
        rows: np.ndarray,
        weight: np.ndarray,
    ) -> None:
        """Search, and keep what was found.

        Parameters
        ----------
        likelihood : Likelihood
        log_bounds : ndarray of float64, shape (parameters, 2)
        units : ndarray of float64, shape (parameters,)
            What the parameters of the likelihood are counted in.
        rows : ndarray of float64, shape (n, columns)
            As `score_samples` reads them.
        weight : ndarray of float64, shape (n,)
        """
        with one_thread():
            search = Search(likelihood, log_bounds, self.max_iter)
            found = search.run()
            self.covariance_ = search.covariance(found) / weight.sum()
            self._set_parameters(np.exp(found) * units)
            # Of the rows in their own unit.
            self.log_likelihood_ = float(weight @ self.score_samples(rows))
        errors = self._parameters() * np.sqrt(np.diagonal(self.covariance_))
        self.standard_errors_ = dict(zip(self._names, errors.tolist(), strict=True))
        self.convergence_ = Convergence(
            is_converged=search.is_converged,
            message=search.message,
            n_iter=search.n_iter,
            evaluation_count=likelihood.evaluation_count,
            max_slope=search.max_slope,
            start_log_likelihoods=tuple(
                float(self.log_likelihood_ - (loss - search.loss) * weight.sum())
                for loss in search.start_losses
            ),
            at_bounds=tuple(
                name
                for name, free in zip(self._names, search.is_free(found), strict=True)
                if not free
            ),
        )
        self.is_converged_ = search.is_converged
        self.n_iter_ = search.n_iter
        if not self.is_converged_:
            warnings.warn(
                f"{type(self).__name__} has not converged: {search.message}; raise max_iter, or "
                "widen bounds.",
                ConvergenceWarning,
                stacklevel=3,
            )

    @classmethod
    def _from_parameters(cls, **parameters: float) -> Any:
        values = np.array([parameters[name] for name in cls._names], dtype=np.float64)
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(
                f"{', '.join(cls._names[:-1])} and {cls._names[-1]} are {values.tolist()}; give "
                "numbers above 0, as fitted."
            )
        model = cls()
        model._set_parameters(values)
        return model

    def _set_parameters(self, parameters: np.ndarray) -> None:
        for name, value in zip(self._names, parameters.tolist(), strict=True):
            setattr(self, f"{name}_", value)
        self.n_features_in_ = self._column_count

    def _parameters(self) -> np.ndarray:
        return np.array([getattr(self, f"{name}_") for name in self._names])

    def _check_parameters(self) -> None:
        try:
            lower, upper = (float(bound) for bound in self.bounds)
        except (TypeError, ValueError):
            lower, upper = np.nan, np.nan
        if not 0 < lower < 1 < upper < np.inf:
            raise ValueError(
                f"bounds is {self.bounds!r}; give two numbers, one between 0 and 1 and one above 1."
            )
        if not self.max_iter >= 1:
            raise ValueError(f"max_iter is {self.max_iter}; give 1 or more.")


class Search:
    """Bounded search for the least loss: L-BFGS-B from a few starts, then Newton's method.

    Parameters
    ----------
    likelihood : Likelihood
    log_bounds : ndarray of float64, shape (parameters, 2)
    max_iter : int
        Iterations from each start.
    """

    def __init__(self, likelihood: Likelihood, log_bounds: np.ndarray, max_iter: int):
        self.likelihood = likelihood
        self.lower, self.upper = log_bounds.T
        self.max_iter = max_iter
        self.is_converged = False
        self.message = ""
        self.n_iter = 0
        self.loss = np.inf
        self.max_slope = np.inf
        self.start_losses: list[float] = []

    def _starts(self) -> list[np.ndarray]:
        """Give the most likely of the starts."""
        starts = [np.clip(start, self.lower, self.upper) for start in self.likelihood.starts()]
        losses = [self.likelihood.loss(start)[0] for start in starts]
        return [starts[place] for place in np.argsort(losses, kind="stable")[:START_COUNT]]

    def run(self) -> np.ndarray:
        """Search from each start, and refine the best end; gives the logs of the parameters."""
        ends = []
        for start in self._starts():
            end = minimize(
                self.likelihood.loss,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=np.column_stack([self.lower, self.upper]),
                # Newton's method finishes the best one, so this needs to come near only.
                options={"maxiter": self.max_iter, "ftol": 1e-12, "gtol": 1e-6},
            )
            ends.append(end)
        self.start_losses = [float(end.fun) for end in ends]
        # The first among equals: starts that end alike differ by rounding only.
        best = min(ends, key=lambda end: round(float(end.fun), 9))
        self.n_iter = int(best.nit)
        logs = self._refined(best.x)
        self.loss, gradient = self.likelihood.loss(logs)
        self.max_slope = self._max_slope(logs, gradient)
        has_peak = self._factor(logs) is not None
        self.is_converged = self.max_slope <= MAX_SLOPE and has_peak
        if self.is_converged:
            self.message = "the slopes have vanished"
        elif self.max_slope > MAX_SLOPE:
            self.message = f"a slope of {self.max_slope:.1g} is left after {self.n_iter} iterations"
        else:
            self.message = "the likelihood is flat in some direction, so that many parameters fit"
        return logs

    def is_free(self, logs: np.ndarray) -> np.ndarray:
        """Mark the parameters that are not held at a bound by their slope."""
        return self._is_free(logs, self.likelihood.loss(logs)[1])

    def covariance(self, logs: np.ndarray) -> np.ndarray:
        """Give the covariance of the logs for one customer; NaN for those at a bound."""
        covariance = np.full((len(logs), len(logs)), np.nan)
        free = self.is_free(logs)
        factor = self._factor(logs)
        if factor is not None and free.any():
            covariance[np.ix_(free, free)] = cho_solve(factor, np.eye(free.sum()))
        return covariance

    def _refined(self, logs: np.ndarray) -> np.ndarray:
        """Take Newton steps, each as long as it helps, until none does."""
        loss, gradient = self.likelihood.loss(logs)
        while self.n_iter < self.max_iter:
            changed = self._improved(logs, loss, gradient)
            if changed is None:
                break
            logs, loss, gradient = changed
            self.n_iter += 1
        return logs

    def _improved(
        self, logs: np.ndarray, loss: float, gradient: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray] | None:
        """Go along a Newton step, half as far until it helps; None where even a short one fails."""
        slope = self._max_slope(logs, gradient)
        step = self._newton_step(logs, gradient)
        share = self._share_within_bounds(logs, step)
        # Near the peak the loss is too flat to compare, and far from it the slopes may grow.
        rounding = LOSS_ROUNDING * max(1.0, abs(loss))
        # Once the slopes have vanished, there is nothing to gain but digits.
        for _ in range(MAX_HALVINGS if slope > MAX_SLOPE else 1):
            changed = np.clip(logs + share * step, self.lower, self.upper)
            changed_loss, changed_gradient = self.likelihood.loss(changed)
            change = changed_loss - loss
            is_flatter = self._max_slope(changed, changed_gradient) < slope
            if change < -rounding or (change <= rounding and is_flatter):
                return changed, changed_loss, changed_gradient
            share /= 2
        return None

    def _newton_step(self, logs: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Go downhill along each axis of the curvature, by no more than a factor e^2.

        Towards a bound the loss is nearly flat, and its curvature may be of either sign. Parameters
        at a bound that the step would cross stay there (Bertsekas 1982, "Projected Newton methods
        for optimization problems with simple constraints"); what remains still goes downhill.
        """
        free = self._is_free(logs, gradient)
        curvature = self.likelihood.curvature(logs)
        while True:
            step = np.zeros(len(logs))
            values, axes = np.linalg.eigh(curvature[np.ix_(free, free)])
            values = np.maximum(np.abs(values), FLAT * np.abs(values).max(initial=1e-300))
            step[free] = -axes @ ((axes.T @ gradient[free]) / values)
            is_leaving = ((logs <= self.lower) & (step < 0)) | ((logs >= self.upper) & (step > 0))
            if not is_leaving.any():
                return step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
            free &= ~is_leaving

    def _share_within_bounds(self, logs: np.ndarray, step: np.ndarray) -> float:
        """Give the share of a step, up to 1, that ends at the first bound on its way.

        Cutting off only the parameter that meets its bound would leave the valley in which others
        grow with it: a and b do where all customers leave alike.
        """
        room = np.where(step > 0, self.upper - logs, self.lower - logs)
        moves = step != 0
        return float((room[moves] / step[moves]).min(initial=1.0))

    def _is_free(self, logs: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        return ~(((logs <= self.lower) & (gradient > 0)) | ((logs >= self.upper) & (gradient < 0)))

    def _max_slope(self, logs: np.ndarray, gradient: np.ndarray) -> float:
        return float(np.abs(gradient[self._is_free(logs, gradient)]).max(initial=0.0))

    def _factor(self, logs: np.ndarray) -> tuple | None:
        """Factor the curvature in the free parameters; None where it has no peak."""
        free = self.is_free(logs)
        try:
            return cho_factor(self.likelihood.curvature(logs)[np.ix_(free, free)])
        except LinAlgError:
            return None


def dates_to_fit(
    states: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> np.ndarray:
    """Find the dates that have states but no parameters of these settings, if a fit is due.

    Parameters
    ----------
    states : pa.Table
        Column as_of_date; dates after `as_of_date` are ignored.
    stored : pa.Table or None
        Columns fitted_as_of and settings_hash of the parameters fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        settings_hash, refit_interval_days, and optionally is_empty ("True" fits nothing).

    Returns
    -------
    ndarray of datetime64[D], sorted
        Empty where no fit is due.
    """
    nothing = np.array([], dtype="datetime64[D]")
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not states.num_rows:
        return nothing
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    is_due = tables.fit_is_due(
        stored,
        as_of_date=as_of_date,
        settings_hash=settings_hash,
        refit_interval_days=tables.read_setting(settings, "refit_interval_days", int),
    )
    if not is_due:
        return nothing
    tables.require_columns(states, ["as_of_date"], "the table of states")
    found = np.unique(tables.date_array(states["as_of_date"].drop_null()))
    found = found[found <= np.datetime64(as_of_date, "D")]
    fitted = tables.matching_rows(stored, settings_hash=settings_hash)
    return (
        found if fitted is None else np.setdiff1d(found, tables.date_array(fitted["fitted_as_of"]))
    )


def read_states(
    states: pa.Table, columns: Sequence[str], name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the date, the state and the number of customers of each row.

    Parameters
    ----------
    states : pa.Table, n rows
        Columns as_of_date, customer_count and `columns`.
    columns : sequence of str, length f
        What makes a state.
    name : str
        What to call the table in messages.

    Returns
    -------
    dates : ndarray of datetime64[D], shape (n,)
    X : ndarray of float64, shape (n, f)
    weight : ndarray of float64, shape (n,)

    Raises
    ------
    ValueError
        If a column is missing, a state is NULL or occurs twice at a date, or a count is NULL or
        negative.
    """
    key = ["as_of_date", *columns]
    tables.require_columns(states, [*key, "customer_count"], name)
    states = states.select([*key, "customer_count"])
    states = states.set_column(0, "as_of_date", states["as_of_date"].cast(pa.date32()))
    tables.refuse_duplicates(states, key, name)
    weight = tables.feature_matrix(states, ["customer_count"])[:, 0]
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError(
            f"the column customer_count of {name} has NULL or negative numbers; count the "
            "customers of each state."
        )
    return tables.date_array(states["as_of_date"]), tables.feature_matrix(states, columns), weight


def log_rising(base: Any, count: np.ndarray) -> np.ndarray:
    """Give the logarithm of the gamma function of base + count over that of base.

    By Stirling's formula: where the base is large, the two logarithms agree in nearly all their
    digits, and what their difference loses would hide the peak of the likelihood from the search.
    """
    sum_ = base + count
    rising = (base - 0.5) * np.log1p(count / base) + count * (np.log(sum_) - 1)
    return rising + log_gamma_remainder(sum_) - log_gamma_remainder(base)


def log_gamma_remainder(z: Any) -> np.ndarray:
    """Give what Stirling's formula leaves of the logarithm of the gamma function.

    The formula is ``(z - 1/2) log(z) - z + log(2 pi) / 2``.
    """
    z = np.asarray(z, dtype=np.float64)
    large = np.maximum(z, STIRLING_FROM)
    series = (1 / 12 - (1 / 360 - 1 / 1260 / large**2) / large**2) / large
    exact = gammaln(z) - ((z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.pi))
    return np.where(z >= STIRLING_FROM, series, exact)


def digamma_remainder(z: Any) -> np.ndarray:
    """Give what the logarithm leaves of the digamma function."""
    z = np.asarray(z, dtype=np.float64)
    large = np.maximum(z, STIRLING_FROM)
    series = -(1 / 2 + (1 / 12 - (1 / 120 - 1 / 252 / large**2) / large**2) / large) / large
    return np.where(z >= STIRLING_FROM, series, psi(z) - np.log(z))


def checked_weights(sample_weight: Any, count: int) -> np.ndarray:
    """Read the weights of the rows of X and refuse what cannot be one; None is 1 for each row."""
    if sample_weight is None:
        return np.ones(count)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (count,):
        raise ValueError(
            f"sample_weight has the shape {weight.shape}; give one number for each of the {count} "
            "rows of X."
        )
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError("sample_weight holds negative or infinite numbers; give weights >= 0.")
    if not weight.any():
        raise ValueError("sample_weight is zero for all rows; give some rows a weight above 0.")
    return weight


def distinct_rows(X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the rows of positive weight, and give each row once with its weights added."""
    X, weight = X[weight > 0] + 0.0, weight[weight > 0]
    order = np.lexsort((weight, *X.T[::-1]))
    X, weight = X[order], weight[order]
    is_first = np.ones(len(X), dtype=bool)
    is_first[1:] = (X[1:] != X[:-1]).any(axis=1)
    return X[is_first], np.add.reduceat(weight, np.flatnonzero(is_first))
