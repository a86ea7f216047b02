"""The parts of a value: what was learned from past dates, and what the purchase model expects.

`AdditiveAmount` learns from rows of past dates, `NbdAmount` evaluates stored parameters, and
`ValueModel` joins both. `Shop` knows which of them can be had at a date. Every fit and every
prediction at a date goes through `Shop.models`, so that a back-test repeats what a build did.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit

from coterie import tables
from coterie.additive import WEIGHT_DECIMALS, AdditiveClassifier, AdditiveRegressor
from coterie.learning import (
    DEFAULT_MAX_ITER,
    LabelledRows,
    Learner,
    Prediction,
    in_parallel,
)
from coterie.lifetime_value.expectations import state_expectations
from coterie.lifetime_value.purchases import (
    FAMILIES,
    MEAN_ROUNDING_WEEKS,
    PARAMETERS,
    BetaGeometricNBD,
    ModifiedBetaGeometricNBD,
)
from coterie.lifetime_value.spend import GAMMA_GAMMA_PARAMETERS, GammaGamma

KEY_COLUMNS = ["as_of_date", "customer_id"]
STATE_COLUMNS = ["repeat_count", "recency_days", "age_days", "mean_spend"]

# What a longer horizon is learned from while the history is short.
SHORT_HORIZON_DAYS = 90
# The history, in horizons, from which on a horizon is learned, and counts alone.
LEARNED_HISTORY = 2
SETTLED_HISTORY = 4
# How much what was learned counts until then.
ADDITIVE_SHARE = 0.5
# The level of the purchase model is that of a window one year ago, with this much history before.
LEVEL_DAYS_AGO = 360
LEVEL_HISTORY_DAYS = 182
LEVEL_LIMITS = (0.67, 1.5)
# Up to this age a customer without a repeat purchase is a newcomer.
NEWCOMER_DAYS = 90
# The residuals of the log amount are kept at these levels; the outermost ones are less extreme.
RESIDUAL_LEVELS = np.clip(np.arange(41) / 40, 0.005, 0.995)
# Intervals of 80 %: who spends nothing with at least this probability has one from 0 to a level,
# others one between two.
NO_SPEND_LIMIT = 0.1
ONE_SIDED_LEVEL = 0.8
LOWEST_LEVEL, HIGHEST_LEVEL = 0.1, 0.9
# A horizon is tested on no fewer origins, or else the short one is.
MIN_TEST_ORIGIN_COUNT = 2
# Less is taken for this where a logarithm is needed, or a division.
LEAST_EXPECTED_AMOUNT = 1e-6
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class CustomerRows:
    """Customers at dates, as far as they are known before them."""

    table: pa.Table  # keys, groups and amounts
    origin: np.ndarray  # datetime64[D], shape (n,)
    X: np.ndarray  # float64, shape (n, f)
    states: np.ndarray  # float64, shape (n, 3): repeat purchases, weeks to the last one, age
    mean_spend: np.ndarray  # float64, shape (n,), 0 without a repeat purchase

    @classmethod
    def read(cls, table: pa.Table, features: Sequence[str]) -> CustomerRows:
        """Read rows as they stand; a customer without an order has NaN for a state."""
        states = tables.feature_matrix(table, STATE_COLUMNS)
        kept = [name for name in table.column_names if name not in {*STATE_COLUMNS, *features}]
        return cls(
            table=table.select(kept),
            origin=tables.date_array(table["as_of_date"]),
            X=tables.feature_matrix(table, features),
            states=states[:, :3] / [1, 7, 7],
            mean_spend=np.maximum(np.nan_to_num(states[:, 3]), 0.0),
        )

    def take(self, mask: np.ndarray) -> CustomerRows:
        """Keep the rows that a mask of shape (n,) marks."""
        return CustomerRows(
            table=self.table.filter(pa.array(mask)),
            origin=self.origin[mask],
            X=self.X[mask],
            states=self.states[mask],
            mean_spend=self.mean_spend[mask],
        )

    def numbers(self, column: str) -> np.ndarray:
        """Read a numeric column of the table, shape (n,), NULL as NaN."""
        return tables.feature_matrix(self.table, [column])[:, 0]

    def amount(self, horizon_days: int) -> np.ndarray:
        """Give what was spent in the days from the origin on, NaN where they are not over."""
        return self.numbers(f"amount_{horizon_days}d")

    def is_closed_by(self, date: Any, horizon_days: int) -> np.ndarray:
        """Mark the rows whose window had ended by a date."""
        ends = self.origin + np.timedelta64(horizon_days, "D")
        return (ends <= np.datetime64(date, "D")) & np.isfinite(self.amount(horizon_days))

    def has_order(self) -> np.ndarray:
        """Mark the customers with an order."""
        return np.isfinite(self.states).all(axis=1)

    def own_share(self, newcomer_days: int) -> np.ndarray:
        """Give how much the own value of a customer counts beside that of the cohort."""
        is_new = self.states[:, 0] == 0
        share = np.minimum(self.states[:, 2] * 7 / newcomer_days, 1.0)
        return np.where(is_new, share, 1.0)


# ---- learned from past dates --------------------------------------------------------------------


@dataclass(frozen=True)
class AdditiveAmount:
    """What is learned from past dates: who buys, how much the buyers spend, how that scatters."""

    purchase: AdditiveClassifier
    spend: AdditiveRegressor
    spend_slope: float  # of the log of what the purchase model expects in the learned horizon
    smearing: float
    residuals: np.ndarray  # of the log amount, at RESIDUAL_LEVELS
    learner: str
    max_iter: int
    calibration: str
    row_count: int

    @classmethod
    def fit(
        cls,
        rows: CustomerRows,
        expected: np.ndarray,
        horizon_days: int,
        as_of: Any,
        learner: Learner,
        bin_edges: list[np.ndarray] | None,
    ) -> AdditiveAmount:
        """Learn from rows whose windows are over; bins are fitted where none are given.

        `expected`, of shape (n,), is what the purchase model expected of the rows in the horizon,
        NaN where it was not known.
        """
        amount = rows.amount(horizon_days)
        bought = amount > 0
        labelled = LabelledRows(
            table=rows.table.select(KEY_COLUMNS),
            origin=rows.origin,
            outcome=bought.astype(np.int64),
            X=rows.X,
            nbd=np.full(len(amount), np.nan),
        )
        prediction = Prediction(horizon_days, is_purchase=True, left_out_features=[])
        fit = learner.fit(labelled, as_of, prediction, bin_edges)

        buyers = labelled.take(bought)
        log_amount = np.log(amount[bought])
        weight = learner.weight(buyers, as_of)
        # All customers of the highest bins look alike, whether they spend ten times as much as
        # others or a thousand times; what the purchase model expects tells them apart.
        slope, reference = _fitted_line(expected[bought], log_amount, weight, learner)
        is_small = len(log_amount) < learner.min_rows_to_boost
        spend = learner.regressor(
            fit.classifier.bin_edges_,
            parts="spline" if is_small else "blend",
        )
        spend.fit(buyers.X, log_amount - slope * reference, sample_weight=weight)
        # Whole billionths add up exactly, in whatever order and engine.
        spend.weights_ = [np.round(weights, WEIGHT_DECIMALS) + 0.0 for weights in spend.weights_]
        residual = log_amount - slope * reference - spend.predict(buyers.X)
        residuals = np.round(np.quantile(residual, RESIDUAL_LEVELS), WEIGHT_DECIMALS) + 0.0
        # Duan (1983), "Smearing estimate: a nonparametric retransformation method". The outermost
        # residuals are cut off: one customer unlike all others would raise the amounts of all.
        smeared = np.exp(np.clip(residual, residuals[0], residuals[-1]))
        return cls(
            purchase=fit.classifier,
            spend=spend,
            spend_slope=slope,
            smearing=float(tables.round_significant(np.average(smeared, weights=weight))),
            residuals=residuals,
            learner=fit.learner,
            max_iter=fit.max_iter,
            calibration=fit.calibration,
            row_count=len(amount),
        )

    def predict(self, X: np.ndarray, expected: np.ndarray | None) -> AdditivePrediction:
        """Predict customers of whom the purchase model expects this in the learned horizon."""
        log_amount = self.spend.predict(X)
        if expected is not None:
            log_amount += self.spend_slope * _log_expected(expected)
        return AdditivePrediction(
            probability=expit(self.purchase.decision_function(X)),
            typical_amount=np.exp(log_amount),
            smearing=self.smearing,
            residuals=self.residuals,
        )


def _log_expected(expected: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(expected, LEAST_EXPECTED_AMOUNT))


def _fitted_line(
    expected: np.ndarray, log_amount: np.ndarray, weight: np.ndarray, learner: Learner
) -> tuple[float, np.ndarray]:
    """Give the slope, from 0 to 1, of log amounts in the logs of what was expected, and the logs.

    Rows without an expectation stand at the mean.
    """
    known = np.isfinite(expected)
    if known.sum() < max(2, learner.min_positive_count):
        return 0.0, np.zeros(len(expected))
    logs = np.zeros(len(expected))
    logs[known] = _log_expected(expected[known])
    logs[~known] = np.average(logs[known], weights=weight[known])
    centered = logs - np.average(logs, weights=weight)
    spread = weight @ centered**2
    slope = weight @ (centered * log_amount) / spread if spread > 1e-12 * weight.sum() else 0.0
    return float(tables.round_significant(np.clip(slope, 0.0, 1.0))), logs


@dataclass(frozen=True)
class AdditivePrediction:
    """The amounts of some customers: a chance of none, else log amounts around a typical one."""

    probability: np.ndarray  # float64, shape (n,)
    typical_amount: np.ndarray  # float64, shape (n,)
    smearing: float
    residuals: np.ndarray

    def mean(self) -> np.ndarray:
        """Give the expected amount of each customer, shape (n,)."""
        return self.probability * self.typical_amount * self.smearing

    def no_spend(self) -> np.ndarray:
        """Give the probability that nothing is spent in the learned horizon, shape (n,)."""
        return 1 - self.probability

    def quantile(self, level: float) -> np.ndarray:
        """Give the amount that a share `level` of such customers does not exceed, shape (n,)."""
        within = (level - self.no_spend()) / np.maximum(self.probability, LEAST_PROBABILITY)
        residual = np.interp(within, np.linspace(0, 1, len(self.residuals)), self.residuals)
        return np.where(within > 0, self.typical_amount * np.exp(residual), 0.0)


# ---- expected by the purchase model -------------------------------------------------------------


@dataclass(frozen=True)
class NbdAmount:
    """What the dates and amounts of orders alone tell, at a level that the past has shown."""

    date: datetime.date
    purchase_parameters: pa.Table  # one row
    spend_parameters: pa.Table  # one row
    rounding_weeks: float
    horizon_days: int
    level: float = 1.0

    def knows_spend(self) -> bool:
        """Tell whether amounts differ by customer, or are the mean of all for want of a model."""
        return self._spend_row()["p"] is not None

    def expected_amount(self, rows: CustomerRows, horizon_days: int) -> np.ndarray:
        """Give the expected amount in some days before any level is set, shape (n,)."""
        repeat_count, age_weeks = _rounded_states(rows).T
        orders = self._purchases().expected_purchases_alive(
            repeat_count, np.maximum(age_weeks - self.rounding_weeks, 0), horizon_days / 7
        )
        spend = self._spend_row()["mean_spend"]
        if self.knows_spend():
            spend = self._gamma_gamma().expected_spend(rows.states[:, 0], rows.mean_spend)
        return self._purchases().probability_alive(rows.states) * orders * spend

    def amount(self, rows: CustomerRows) -> np.ndarray:
        """Give the expected amount in the horizon, shape (n,)."""
        return self.level * self.expected_amount(rows, self.horizon_days)

    def predict(self, rows: CustomerRows) -> NbdPrediction:
        """Predict customers with an order, by state as SQL looks them up."""
        states, place = np.unique(_rounded_states(rows), axis=0, return_inverse=True)
        expected = state_expectations(
            pa.table(
                {
                    "as_of_date": pa.array([self.date] * len(states), pa.date32()),
                    "repeat_count": states[:, 0].astype(np.int64),
                    "age_weeks": states[:, 1].astype(np.int64),
                }
            ),
            self.purchase_parameters,
            self.spend_parameters,
            settings={"horizon_days": [self.horizon_days], "rounding_weeks": self.rounding_weeks},
        )

        def found(column: str) -> np.ndarray:
            return expected[column].to_numpy().reshape(len(states), -1)[place.ravel()]

        unit = np.full(len(rows.origin), self._spend_row()["mean_spend"])
        if self.knows_spend():
            unit = self._gamma_gamma().gamma_ + rows.states[:, 0] * rows.mean_spend
        return NbdPrediction(
            alive=self._purchases().probability_alive(rows.states),
            no_order_alive=found("no_order_probability_alive")[:, 0],
            amount=self.amount(rows),
            quantiles=found("value_quantile"),
            unit=self.level * unit,
        )

    def _purchases(self) -> ModifiedBetaGeometricNBD | BetaGeometricNBD:
        row = self.purchase_parameters.to_pylist()[0]
        return FAMILIES[row["family"]].from_parameters(**{name: row[name] for name in PARAMETERS})

    def _gamma_gamma(self) -> GammaGamma:
        row = self._spend_row()
        return GammaGamma.from_parameters(**{name: row[name] for name in GAMMA_GAMMA_PARAMETERS})

    def _spend_row(self) -> dict[str, Any]:
        return self.spend_parameters.to_pylist()[0]


def _rounded_states(rows: CustomerRows) -> np.ndarray:
    """Give repeat purchases and whole weeks of age, rounded up, shape (n, 2)."""
    age_weeks = np.ceil(np.round(rows.states[:, 2] * 7) / 7)
    return np.column_stack([rows.states[:, 0], age_weeks])


@dataclass(frozen=True)
class NbdPrediction:
    """The amounts of some customers by the purchase and the spend model."""

    alive: np.ndarray  # float64, shape (n,)
    no_order_alive: np.ndarray  # float64, shape (n,)
    amount: np.ndarray  # float64, shape (n,)
    quantiles: np.ndarray  # float64, shape (n, levels), of those alive, in units
    unit: np.ndarray  # float64, shape (n,)

    def mean(self) -> np.ndarray:
        """Give the expected amount of each customer, shape (n,)."""
        return self.amount

    def no_spend(self) -> np.ndarray:
        """Give the probability that nothing is spent in the horizon, shape (n,)."""
        return 1 - self.alive * (1 - self.no_order_alive)

    def quantile(self, level: float) -> np.ndarray:
        """Give the amount that a share `level` of such customers does not exceed, shape (n,)."""
        # Of those who may be gone for good a level of all is a lower one of those who are alive.
        within = (level - (1 - self.alive)) / np.maximum(self.alive, LEAST_PROBABILITY)
        step_count = self.quantiles.shape[1] - 1
        place = np.clip(within, 0, 1) * step_count
        below = np.minimum(np.floor(place), step_count - 1).astype(np.int64)
        rows = np.arange(len(place))
        start, end = self.quantiles[rows, below], self.quantiles[rows, below + 1]
        return np.where(within > 0, self.unit * (start + (place - below) * (end - start)), 0.0)


# ---- joined -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ValueModel:
    """One fitted version: its parts and how they are joined."""

    horizon_days: int
    learned_horizon_days: int
    history_days: int
    additive_share: float
    additive: AdditiveAmount | None
    nbd: NbdAmount | None
    newcomer_days: int = NEWCOMER_DAYS

    @property
    def training_row_count(self) -> int:
        """Count the rows that were learned from."""
        return self.additive.row_count if self.additive else 0

    def in_words(self) -> str:
        """Say what was learned, for a log."""
        learner = self.additive.learner if self.additive else "nbd"
        return (
            f"{self.training_row_count} rows of {self.learned_horizon_days} days, learner "
            f"{learner}, additive share {self.additive_share:g}"
        )

    def predict(self, rows: CustomerRows, cohort_amount: np.ndarray) -> dict[str, np.ndarray]:
        """Predict customers, with the means of their cohorts for what they do not tell.

        Parameters
        ----------
        rows : CustomerRows, n rows
        cohort_amount : ndarray of float64, shape (n,)
            Mean amount of the cohort in the horizon, NaN where it is not known.

        Returns
        -------
        dict of str to ndarray of float64, shape (n,)
            additive_amount, nbd_amount, individual_amount and cohort_amount, NaN where not known;
            predicted_amount, value_lower and value_upper, always known.
        """
        ordered = rows.has_order()
        names = ["additive_amount", "nbd_amount", "individual_amount", "value_lower", "value_upper"]
        found = {name: np.full(len(ordered), np.nan) for name in names}
        if ordered.any():
            for name, values in self._individual(rows.take(ordered)).items():
                found[name][ordered] = values
        found["cohort_amount"] = np.where(cohort_amount >= 0, cohort_amount, np.nan)
        own = found["individual_amount"]
        cohort = np.where(np.isnan(found["cohort_amount"]), own, found["cohort_amount"])
        share = rows.own_share(self.newcomer_days)
        value = np.nan_to_num(np.where(np.isnan(own), cohort, share * own + (1 - share) * cohort))
        found["predicted_amount"] = value
        for name, outer in [("value_lower", np.minimum), ("value_upper", np.maximum)]:
            found[name] = outer(np.where(np.isnan(found[name]), value, found[name]), value)
        return found

    def _individual(self, rows: CustomerRows) -> dict[str, np.ndarray]:
        """Predict customers with an order, without their cohort; nothing where no part is known."""
        found, parts = {}, []
        if self.nbd is not None:
            found["nbd_amount"] = self.nbd.amount(rows)
            # A part without a share has no say.
            if self.additive_share < 1:
                parts.append((1 - self.additive_share, 1.0, self.nbd.predict(rows)))
        # Amounts that were learned beside what the purchase model expects are none without it.
        if self.additive is not None and (self.nbd is not None or self.additive.spend_slope == 0):
            expected = None
            if self.nbd is not None:
                expected = self.nbd.expected_amount(rows, self.learned_horizon_days)
            additive = self.additive.predict(rows.X, expected)
            scale = self._scale(rows, additive.mean(), found.get("nbd_amount"))
            found["additive_amount"] = scale * additive.mean()
            parts.append((self.additive_share, scale, additive))
        parts = [part for part in parts if part[0] > 0]
        if not parts:
            return found
        total = sum(share for share, _, _ in parts)

        def joined(amounts: Any) -> np.ndarray:
            return sum(share / total * amounts(scale, part) for share, scale, part in parts)

        lowest, one_sided, highest = (
            joined(lambda scale, part, level=level: scale * part.quantile(level))
            for level in (LOWEST_LEVEL, ONE_SIDED_LEVEL, HIGHEST_LEVEL)
        )
        is_sure = joined(lambda _, part: part.no_spend()) < NO_SPEND_LIMIT
        found["individual_amount"] = joined(lambda scale, part: scale * part.mean())
        found["value_lower"] = np.where(is_sure, lowest, 0.0)
        found["value_upper"] = np.where(is_sure, highest, one_sided)
        return found

    def _scale(self, rows: CustomerRows, additive: np.ndarray, nbd: np.ndarray | None) -> float:
        """Give the factor from the learned horizon to that of the model.

        The purchase model knows how orders thin out over a year; what was learned from a shorter
        time shares its total out. Where it does not know what customers spend, it tells only how
        many times the orders of the learned horizon there are.
        """
        if self.learned_horizon_days == self.horizon_days:
            return 1.0
        if nbd is None:
            return self.horizon_days / self.learned_horizon_days
        total, shared = nbd.sum(), additive.sum()
        if not self.nbd.knows_spend():
            total = self.nbd.expected_amount(rows, self.horizon_days).sum()
            shared = self.nbd.expected_amount(rows, self.learned_horizon_days).sum()
        return float(total / shared) if shared > 0 else 1.0


# ---- the shop -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shop:
    """What is known of a shop beside its rows, at any date."""

    learner: Learner
    has_additive: bool
    horizons: list[int]
    newcomer_days: int
    first_ordered_on: np.datetime64
    purchase_parameters: pa.Table
    spend_parameters: pa.Table
    rounding_weeks: float

    @classmethod
    def from_tables(
        cls,
        purchase_parameters: pa.Table,
        spend_parameters: pa.Table,
        settings: Mapping[str, Any],
    ) -> Shop:
        """Read parameters and settings; see `coterie.lifetime_value.fit_value_weights`."""
        settings_hash = tables.read_setting(
            settings,
            "parameters_settings_hash",
            str,
            tables.read_setting(settings, "settings_hash", str),
        )
        first_ordered_on = tables.as_date(settings.get("first_ordered_on"))
        if first_ordered_on is None:
            raise ValueError(
                "the setting first_ordered_on is missing; give the date of the first valid order."
            )
        horizons = tables.read_setting(settings, "horizon_days", list)
        return cls(
            # To choose the number of trees takes as long as to learn, and gains nothing here.
            learner=replace(
                Learner.from_settings(settings), max_iter_candidates=[DEFAULT_MAX_ITER]
            ),
            has_additive=tables.is_true(settings.get("has_additive", True)),
            horizons=sorted({int(horizon_days) for horizon_days in horizons}),
            newcomer_days=tables.read_setting(settings, "newcomer_days", int, NEWCOMER_DAYS),
            first_ordered_on=np.datetime64(first_ordered_on, "D"),
            purchase_parameters=_of_settings(purchase_parameters, settings_hash),
            spend_parameters=_of_settings(spend_parameters, settings_hash),
            rounding_weeks=tables.read_setting(
                settings, "rounding_weeks", float, MEAN_ROUNDING_WEEKS
            ),
        )

    def known_horizons(self) -> list[int]:
        """Give the horizons of which amounts are read."""
        return sorted({SHORT_HORIZON_DAYS, *self.horizons})

    def history_days(self, date: Any) -> int:
        """Count the days from the first order of the shop to a date."""
        return int((np.datetime64(date, "D") - self.first_ordered_on) / np.timedelta64(1, "D"))

    def learned_horizon(self, horizon_days: int, date: Any) -> int:
        """Give the horizon that is learned in place of one for which the history is too short."""
        has_enough = self.history_days(date) >= LEARNED_HISTORY * horizon_days
        return horizon_days if has_enough else SHORT_HORIZON_DAYS

    def nbd(self, horizon_days: int, date: Any) -> NbdAmount | None:
        """Give the purchase and spend model as of a date; None where one of them is not known."""
        purchases = _newest_by(self.purchase_parameters, date)
        spend = _newest_by(self.spend_parameters, date)
        if purchases is None or spend is None:
            return None
        return NbdAmount(
            date=np.datetime64(date, "D").item(),
            purchase_parameters=purchases,
            spend_parameters=spend,
            rounding_weeks=self.rounding_weeks,
            horizon_days=horizon_days,
        )

    def models(
        self,
        rows: CustomerRows,
        wanted: Sequence[tuple[int, Any]],
        bin_edges: list[np.ndarray] | None = None,
    ) -> list[ValueModel | None]:
        """Learn a model for each horizon and date; None where nothing can be known.

        Bins are fitted on the rows of each where none are given.
        """
        learnable = dict.fromkeys(
            (self.learned_horizon(horizon_days, date), date) for horizon_days, date in wanted
        )
        learnable = [(h, date) for h, date in learnable if self.can_learn(rows, h, date)]
        # Of a past date the same was expected, whatever date learns from it.
        newest = {
            horizon_days: max(d for h, d in learnable if h == horizon_days)
            for horizon_days, _ in learnable
        }
        expected = {h: self._expected(rows, h, date) for h, date in newest.items()}
        fits = in_parallel(
            (self._fit_additive, rows, expected[h], h, date, bin_edges) for h, date in learnable
        )
        additive = dict(zip(learnable, fits, strict=True))
        return [self._model(rows, horizon_days, date, additive) for horizon_days, date in wanted]

    def _expected(self, rows: CustomerRows, horizon_days: int, date: Any) -> np.ndarray:
        """Give what the purchase model expected of rows whose window had ended by a date.

        NaN where it was not known, shape (n,).
        """
        is_closed = rows.is_closed_by(date, horizon_days)
        expected = np.full(len(is_closed), np.nan)
        for origin in np.unique(rows.origin[is_closed]):
            nbd = self.nbd(horizon_days, origin)
            if nbd is not None:
                mask = is_closed & (rows.origin == origin)
                expected[mask] = nbd.expected_amount(rows.take(mask), horizon_days)
        return expected

    def _fit_additive(
        self,
        rows: CustomerRows,
        expected: np.ndarray,
        horizon_days: int,
        date: Any,
        bin_edges: list[np.ndarray] | None,
    ) -> AdditiveAmount:
        is_closed = rows.is_closed_by(date, horizon_days)
        return AdditiveAmount.fit(
            rows.take(is_closed),
            expected[is_closed],
            horizon_days,
            date,
            self.learner,
            bin_edges,
        )

    def _model(
        self,
        rows: CustomerRows,
        horizon_days: int,
        date: Any,
        fits: Mapping[tuple[int, Any], AdditiveAmount],
    ) -> ValueModel | None:
        learned_horizon_days = self.learned_horizon(horizon_days, date)
        additive, nbd = fits.get((learned_horizon_days, date)), self.nbd(horizon_days, date)
        if additive is None and nbd is None:
            return None
        if nbd is not None:
            nbd = replace(nbd, level=self.level(rows, horizon_days, date))
        is_settled = self.history_days(date) >= SETTLED_HISTORY * horizon_days
        # Orders times the same amount for all would say little about who spends what.
        is_alone = nbd is None or not nbd.knows_spend()
        share = 1.0 if is_settled or is_alone else ADDITIVE_SHARE
        return ValueModel(
            horizon_days=horizon_days,
            learned_horizon_days=learned_horizon_days,
            history_days=self.history_days(date),
            additive_share=share if additive is not None else 0.0,
            additive=additive,
            nbd=nbd,
            newcomer_days=self.newcomer_days,
        )

    def can_learn(self, rows: CustomerRows, horizon_days: int, date: Any) -> bool:
        """Tell whether a date may learn from features, and has enough rows for it."""
        if not self.has_additive or self.history_days(date) < LEARNED_HISTORY * horizon_days:
            return False
        amount = rows.amount(horizon_days)[rows.is_closed_by(date, horizon_days)]
        return self.learner.has_enough((amount > 0).astype(np.int64))

    def level(self, rows: CustomerRows, horizon_days: int, date: Any) -> float:
        """Give what the purchase model missed in the same season one year ago, as a factor."""
        newest = np.datetime64(date, "D") - np.timedelta64(LEVEL_DAYS_AGO, "D")
        is_closed = rows.is_closed_by(date, horizon_days)
        for origin in np.unique(rows.origin[is_closed])[::-1]:
            nbd = self.nbd(horizon_days, origin)
            if origin > newest or self.history_days(origin) < LEVEL_HISTORY_DAYS or nbd is None:
                continue
            then = rows.take(is_closed & (rows.origin == origin))
            predicted = nbd.expected_amount(then, horizon_days).sum()
            if predicted > 0:
                level = then.amount(horizon_days).sum() / predicted
                return float(tables.round_significant(np.clip(level, *LEVEL_LIMITS)))
        return 1.0

    def test_origins(
        self, rows: CustomerRows, horizon_days: int, date: Any, limit: int
    ) -> list[tuple[int, Any]]:
        """Give horizon and date of the tests of a model: its own horizon, or else the short one."""
        found: list[tuple[int, Any]] = []
        for tested in dict.fromkeys((horizon_days, SHORT_HORIZON_DAYS)):
            origins = np.unique(rows.origin[rows.is_closed_by(date, tested)])[-limit:]
            found = [(tested, origin) for origin in origins if self._is_known(rows, tested, origin)]
            if len(found) >= MIN_TEST_ORIGIN_COUNT:
                break
        return found

    def _is_known(self, rows: CustomerRows, horizon_days: int, date: Any) -> bool:
        if self.nbd(horizon_days, date) is not None:
            return True
        return self.can_learn(rows, self.learned_horizon(horizon_days, date), date)


def _of_settings(parameters: pa.Table, settings_hash: str) -> pa.Table:
    found = tables.matching_rows(parameters, settings_hash=settings_hash)
    return parameters.slice(0, 0) if found is None else found


def _newest_by(parameters: pa.Table, date: Any) -> pa.Table | None:
    """Find the newest parameters that were fitted by a date, as one row."""
    if not parameters.num_rows:
        return None
    fitted = tables.date_array(parameters["fitted_as_of"])
    known = np.flatnonzero(fitted <= np.datetime64(date, "D"))
    return parameters.slice(int(known[np.argmax(fitted[known])]), 1) if len(known) else None
