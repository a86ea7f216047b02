"""Predict what a customer will spend; the learned half is one table of weights, as for outcomes.

Two views of the same customer are averaged. One is learned from past dates: the probability of
spending anything times the amount of those who do, both additive over the bins of the features
(`coterie.additive`). The other knows orders and amounts only: expected orders by the purchase model
times the expected amount of one (`coterie.lifetime_value.purchases` and `.spend`). The first ranks
better; the second knows a level beyond what has been seen.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from coterie import tables
from coterie.additive import AdditiveClassifier, AdditiveRegressor
from coterie.binning import bin_set_edges
from coterie.learning import (
    DEFAULT_MAX_ITER,
    LabelledRows,
    Learner,
    Prediction,
    bin_set_as_of,
    in_parallel,
    sampled,
    untested_versions,
)
from coterie.lifetime_value.expectations import LEVELS, state_expectations
from coterie.lifetime_value.purchases import (
    FAMILIES,
    MEAN_ROUNDING_WEEKS,
    PARAMETERS,
    BetaGeometricNBD,
    ModifiedBetaGeometricNBD,
)
from coterie.lifetime_value.spend import GAMMA_GAMMA_PARAMETERS, GammaGamma

logger = logging.getLogger("coterie")

VALUE_WEIGHTS_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("data_through", pa.date32()),
        ("horizon_days", pa.int64()),
        ("learned_horizon_days", pa.int64()),
        ("settings_hash", pa.string()),
        ("settings", pa.string()),
        ("training_fingerprint", pa.string()),
        ("training_row_count", pa.int64()),
        ("buyer_count", pa.int64()),
        ("origin_count", pa.int64()),
        ("first_origin", pa.date32()),
        ("last_origin", pa.date32()),
        ("learner", pa.string()),
        ("max_iter", pa.int64()),
        ("calibration", pa.string()),
        ("bin_set_id", pa.string()),
        ("purchase_intercept", pa.float64()),
        ("spend_intercept", pa.float64()),
        ("spend_slope", pa.float64()),
        ("smearing", pa.float64()),
        ("additive_share", pa.float64()),
        ("nbd_level", pa.float64()),
        ("history_days", pa.int64()),
        ("component", pa.string()),
        ("feature", pa.string()),
        ("bin", pa.int64()),
        ("weight", pa.float64()),
    ]
)

VALUE_BACKTEST_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("origin", pa.date32()),
        ("tested_horizon_days", pa.int64()),
        ("scorer_name", pa.string()),
        ("customer_id", pa.string()),
        ("cohort", pa.string()),
        ("rfm_segment_code", pa.string()),
        ("actual_amount", pa.float64()),
        ("predicted_amount", pa.float64()),
        ("value_lower", pa.float64()),
        ("value_upper", pa.float64()),
        ("training_row_count", pa.int64()),
    ]
)

PREDICTION_SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("additive_amount", pa.float64()),
        ("nbd_amount", pa.float64()),
        ("individual_amount", pa.float64()),
        ("cohort_amount", pa.float64()),
        ("predicted_amount", pa.float64()),
        ("value_lower", pa.float64()),
        ("value_upper", pa.float64()),
    ]
)

# What a longer horizon is learned from while the history is short.
SHORT_HORIZON_DAYS = 90
# The level of the purchase model is that of a window one year ago, with this much history before.
LEVEL_DAYS_AGO = 360
LEVEL_HISTORY_DAYS = 182
LEVEL_LIMITS = (0.67, 1.5)
# A customer without a repeat purchase is a newcomer up to this age.
NEWCOMER_DAYS = 90
# The residuals of the log amount are kept at these levels; the outermost ones are less extreme.
RESIDUAL_LEVELS = np.clip(np.arange(41) / 40, 0.005, 0.995)
# Intervals hold 80 %, from this level to that one.
INTERVAL_LEVELS = (0.1, 0.9)
# Who spends nothing with at least this probability has an interval from 0 on, up to this level.
NO_SPEND_LIMIT = 0.1
ONE_SIDED_LEVEL = 0.8
# A horizon is tested on no fewer origins, or else the short one is.
MIN_TEST_ORIGIN_COUNT = 2
# Less is taken for this where a logarithm is needed.
LEAST_EXPECTED_AMOUNT = 1e-6
LEAST_PROBABILITY = 1e-12
# Decimals of amounts in back-tests.
AMOUNT_DECIMALS = 6
KEY_COLUMNS = ["as_of_date", "customer_id"]
STATE_COLUMNS = ["repeat_count", "recency_days", "age_days", "mean_spend"]
GROUP_COLUMNS = ["cohort", "rfm_segment_code"]


def fit_value_weights(
    training_rows: pa.Table,
    feature_bins: pa.Table,
    purchase_parameters: pa.Table,
    spend_parameters: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit the value model of each horizon that is due, and return its weights as rows.

    Parameters
    ----------
    training_rows : pa.Table
        One row for each past date and customer with an order before it: as_of_date (the origin),
        customer_id, repeat_count, recency_days (from the first to the last order), age_days,
        mean_spend (of the repeat order days, NULL without one), amount_{h}d for the horizons and
        for 90 (net amount in the h days from the origin on, NULL while they are not over), and
        each feature. Rows whose window reaches beyond `as_of_date` are not learned from.
    feature_bins : pa.Table
        As for `coterie.propensity.fit_propensity_weights`.
    purchase_parameters : pa.Table
        `coterie.lifetime_value.NBD_PARAMETERS_SCHEMA`; at any date the newest of the current
        settings that were fitted by it are used.
    spend_parameters : pa.Table
        `coterie.lifetime_value.GAMMA_GAMMA_PARAMETERS_SCHEMA`, used alike.
    stored : pa.Table or None
        Columns model_name, fitted_as_of, settings_hash of the versions fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        horizon_days (list of int), first_ordered_on (date of the first valid order), and those of
        `coterie.propensity.fit_propensity_weights` but for predictions. Parameters count where
        their settings_hash is parameters_settings_hash (by default settings_hash).

    Returns
    -------
    pa.Table
        `VALUE_WEIGHTS_SCHEMA`. One row for each model (``value_{horizon}d``), component, feature
        and bin. Weights of the component ``purchase`` add up to the log-odds of spending anything
        in the learned horizon, those of ``spend`` to the mean log amount of those who do. The
        component ``residual`` (feature '', bin 0 to 40) holds the residuals of the log amount at
        the levels of `RESIDUAL_LEVELS`. The column learner is ``additive`` or ``spline`` as for
        propensity, and ``nbd`` where nothing could be learned but the purchase model is known: then
        additive_share is 0, and one row of the component ``none`` stands for all weights. A model
        that is not due, or for which neither is known, has no rows.

    Raises
    ------
    ValueError
        If a column, a setting or a bin is missing, a customer occurs twice at one origin, a state
        is impossible, or no bins of these settings were ever fitted.
    """
    empty = VALUE_WEIGHTS_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    shop = _Shop.from_tables(purchase_parameters, spend_parameters, settings)
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    due = [
        horizon_days
        for horizon_days in shop.horizons
        if tables.fit_is_due(
            stored,
            as_of_date=as_of_date,
            settings_hash=settings_hash,
            refit_interval_days=tables.read_setting(settings, "refit_interval_days", int),
            model_name=value_model_name(horizon_days),
        )
    ]
    if not due:
        return empty
    bin_set = bin_set_as_of(feature_bins, as_of_date, settings)
    edges = None if bin_set is None else bin_set_edges(bin_set, shop.learner.features)
    rows = _read_rows(training_rows, shop)
    found = shop.models(rows, [(horizon_days, as_of_date) for horizon_days in due], edges)
    fitted = []
    for horizon_days, model in zip(due, found, strict=True):
        name = value_model_name(horizon_days)
        if model is None:
            logger.info("%s: neither rows nor a purchase model as of %s, no fit", name, as_of_date)
        else:
            logger.info("%s: fitted as of %s, %s", name, as_of_date, model.in_words())
            fitted.append(_weights_table(model, rows, shop, as_of_date, settings, bin_set))
    return pa.concat_tables([empty, *fitted]).combine_chunks()


def predict_values(
    rows: pa.Table,
    version: pa.Table,
    feature_bins: pa.Table,
    purchase_parameters: pa.Table,
    spend_parameters: pa.Table,
    *,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Predict what customers will spend from the stored rows of a version, as the SQL models do.

    Parameters
    ----------
    rows : pa.Table
        One row for each customer: customer_id, repeat_count, recency_days, age_days, mean_spend,
        cohort_amount_{h}d of the horizon of the version, and each feature. repeat_count is NULL
        where there is no order yet.
    version : pa.Table
        The rows of one version (`VALUE_WEIGHTS_SCHEMA`).
    feature_bins : pa.Table
        With the bin set of the version.
    purchase_parameters, spend_parameters, settings
        As for `fit_value_weights`.
    as_of_date : date
        At which the parameters have to be known.

    Returns
    -------
    pa.Table
        `PREDICTION_SCHEMA`, in the order of the rows: additive_amount and nbd_amount, each for the
        horizon of the version and NULL where not known; individual_amount, their mean with the
        weight additive_share; cohort_amount, NULL where none is known; predicted_amount, which for
        newcomers lies between the two; value_lower and value_upper, which hold the amount to come
        in 80 % of the cases.

    Raises
    ------
    ValueError
        If a column is missing, the rows are of several versions, or a bin is missing.
    """
    shop = _Shop.from_tables(purchase_parameters, spend_parameters, settings)
    tables.require_columns(rows, ["customer_id"], "the rows to predict")
    model = _read_model(version, feature_bins, shop, tables.as_date(as_of_date))
    dated = rows.select(["customer_id", *STATE_COLUMNS, *shop.learner.features])
    dated = dated.append_column("as_of_date", pa.array([as_of_date] * rows.num_rows, pa.date32()))
    customers = _Rows.read(dated, shop.learner.features)
    cohort_amount = tables.feature_matrix(rows, [f"cohort_amount_{model.horizon_days}d"])[:, 0]
    found = model.predict(customers, cohort_amount)
    return pa.table(
        {
            "customer_id": rows["customer_id"].cast(pa.string()),
            **{
                name: pa.array(found[name], from_pandas=True)
                for name in PREDICTION_SCHEMA.names[1:]
            },
        },
        schema=PREDICTION_SCHEMA,
    )


def backtest_values(
    training_rows: pa.Table,
    purchase_parameters: pa.Table,
    spend_parameters: pa.Table,
    weights: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Predict past dates, each with what could have been learned before it.

    Each model whose newest version was fitted by `as_of_date` and has no stored back-test is
    tested on its newest complete origins: everything is learned anew from the origins whose window
    had closed by the tested one, and the parameters are those of its day.

    Parameters
    ----------
    training_rows : pa.Table
        As for `fit_value_weights`, with the columns cohort and rfm_segment_code (text), and for
        each horizon past_amount_{h}d (net amount in the h days before the origin) and
        cohort_amount_{h}d (mean amount of the cohort as learned by the origin, NULL where nothing
        was).
    purchase_parameters, spend_parameters
        As for `fit_value_weights`.
    weights : pa.Table
        Columns model_name, model_version, fitted_as_of, settings_hash of the fitted versions.
    stored : pa.Table or None
        Column model_version of the back-tests done so far.
    as_of_date : date or None
        None (no data yet) tests nothing.
    settings : mapping
        As for `fit_value_weights`, and optionally max_test_origins (4) and max_test_row_count
        (10000): of an origin with more customers those whose id has the lowest MD5 are tested.

    Returns
    -------
    pa.Table
        `VALUE_BACKTEST_SCHEMA`: one row for each model, test origin, scorer and customer, sorted by
        these. Scorers are ``model``, its parts ``additive`` and ``nbd`` where they are known,
        ``last_period`` (what the customer spent in the period before) and ``cohort_mean`` (where
        one is known). tested_horizon_days is the horizon of the model, or 90 where fewer than two
        origins can be tested with it. value_lower and value_upper are those of the model, NULL for
        other scorers. An origin at which nothing could be learned is left out.

    Raises
    ------
    ValueError
        If a column or a setting is missing, or a customer occurs twice at one origin.
    """
    empty = VALUE_BACKTEST_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    shop = _Shop.from_tables(purchase_parameters, spend_parameters, settings)
    max_test_origins = tables.read_setting(settings, "max_test_origins", int, 4)
    max_test_row_count = tables.read_setting(settings, "max_test_row_count", int, 10_000)
    versions = untested_versions(weights, stored, as_of_date, settings)
    versions = {
        horizon_days: (name, versions[name])
        for horizon_days in shop.horizons
        if (name := value_model_name(horizon_days)) in versions
    }
    if not versions:
        return empty
    rows = _read_rows(training_rows, shop, [*GROUP_COLUMNS, *_backtest_columns(shop)])
    wanted = {
        horizon_days: shop.test_origins(rows, horizon_days, as_of_date, max_test_origins)
        for horizon_days in versions
    }
    # Horizons that are tested alike share their tests.
    folds = list(dict.fromkeys(fold for of_horizon in wanted.values() for fold in of_horizon))
    tested = {}
    for fold, model in zip(folds, shop.models(rows, folds), strict=True):
        horizon_days, origin = fold
        test = rows.closed_by(as_of_date, horizon_days)
        test = test.take(test.origin == origin)
        test = test.take(sampled(test.table["customer_id"], max_test_row_count))
        tested[fold] = _tested_table(model, test, horizon_days)
        logger.info(
            "%d days from %s: tested on %d customers, %s",
            horizon_days,
            origin,
            len(test.origin),
            model.in_words(),
        )
    found = [
        _named(tested[fold], *versions[horizon_days])
        for horizon_days, of_horizon in wanted.items()
        for fold in of_horizon
    ]
    return pa.concat_tables([empty, *found]).combine_chunks()


def value_model_name(horizon_days: int) -> str:
    """Name the model of a horizon."""
    return f"value_{horizon_days}d"


@dataclass(frozen=True)
class _Rows:
    """Customers at dates, as far as they are known before them."""

    table: pa.Table
    origin: np.ndarray  # datetime64[D], shape (n,)
    X: np.ndarray  # float64, shape (n, f)
    states: np.ndarray  # float64, shape (n, 3): repeat purchases, weeks to the last one, age
    mean_spend: np.ndarray  # float64, shape (n,), 0 without a repeat purchase

    @classmethod
    def read(cls, table: pa.Table, features: Sequence[str]) -> _Rows:
        """Read rows as they stand; a customer without an order has NaN for a state."""
        states = tables.feature_matrix(table, STATE_COLUMNS)
        return cls(
            table=table,
            origin=tables.date_array(table["as_of_date"]),
            X=tables.feature_matrix(table, features),
            states=states[:, :3] / [1, 7, 7],
            mean_spend=np.maximum(np.nan_to_num(states[:, 3]), 0.0),
        )

    def take(self, mask: np.ndarray) -> _Rows:
        return _Rows(
            table=self.table.filter(pa.array(mask)),
            origin=self.origin[mask],
            X=self.X[mask],
            states=self.states[mask],
            mean_spend=self.mean_spend[mask],
        )

    def numbers(self, column: str) -> np.ndarray:
        return tables.feature_matrix(self.table, [column])[:, 0]

    def amount(self, horizon_days: int) -> np.ndarray:
        """Give what was spent in the days from the origin on, NaN where they are not over."""
        return self.numbers(f"amount_{horizon_days}d")

    def closed_by(self, date: Any, horizon_days: int) -> _Rows:
        """Keep the rows whose window had ended by a date."""
        ends = self.origin + np.timedelta64(horizon_days, "D")
        return self.take(
            (ends <= np.datetime64(date, "D")) & np.isfinite(self.amount(horizon_days))
        )

    def has_order(self) -> np.ndarray:
        return np.isfinite(self.states).all(axis=1)

    def is_newcomer(self) -> np.ndarray:
        return (self.states[:, 0] == 0) & (self.states[:, 2] * 7 < NEWCOMER_DAYS)


@dataclass(frozen=True)
class _AdditiveAmount:
    """What is learned from past dates: who buys, how much the buyers spend, how that scatters."""

    purchase: AdditiveClassifier
    spend: AdditiveRegressor
    spend_slope: float  # of the log of what the purchase model expects in the learned horizon
    smearing: float
    residuals: np.ndarray  # of the log amount, at RESIDUAL_LEVELS
    learner: str
    max_iter: int
    calibration: str

    @classmethod
    def fit(
        cls,
        rows: _Rows,
        expected: np.ndarray,
        horizon_days: int,
        as_of: Any,
        learner: Learner,
        bin_edges: list[np.ndarray] | None,
    ) -> _AdditiveAmount:
        """Learn from rows whose windows are over; bins are fitted where none are given.

        `expected`, of shape (n,), is what the purchase model expected of the rows in the horizon,
        NaN where it was not known.
        """
        amount = rows.amount(horizon_days)
        labelled = LabelledRows(
            table=rows.table.select(KEY_COLUMNS),
            origin=rows.origin,
            outcome=(amount > 0).astype(np.int64),
            X=rows.X,
            nbd=np.full(len(amount), np.nan),
        )
        prediction = Prediction(horizon_days, is_purchase=True, left_out_features=[])
        fit = learner.fit(labelled, as_of, prediction, bin_edges)
        bought = amount > 0
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
            max_iter=fit.max_iter or DEFAULT_MAX_ITER,
        )
        spend.fit(buyers.X, log_amount - slope * reference, sample_weight=weight)
        residual = log_amount - slope * reference - spend.predict(buyers.X)
        residuals = tables.round_significant(np.quantile(residual, RESIDUAL_LEVELS))
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
        )

    def predict(self, X: np.ndarray, expected: np.ndarray | None) -> _AdditivePrediction:
        """Predict customers of whom the purchase model expects this in the learned horizon."""
        log_amount = self.spend.predict(X)
        if expected is not None:
            log_amount += self.spend_slope * _log_expected(expected)
        return _AdditivePrediction(
            probability=self.purchase.predict_proba(X)[:, 1],
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
class _AdditivePrediction:
    """The amounts of some customers: a chance of none, else log amounts around a typical one."""

    probability: np.ndarray  # float64, shape (n,)
    typical_amount: np.ndarray  # float64, shape (n,)
    smearing: float
    residuals: np.ndarray

    def amount(self) -> np.ndarray:
        return self.probability * self.typical_amount * self.smearing

    def no_spend(self) -> np.ndarray:
        return 1 - self.probability

    def quantile(self, level: float) -> np.ndarray:
        """Give the amount that a share `level` of such customers does not exceed."""
        within = (level - self.no_spend()) / np.maximum(self.probability, LEAST_PROBABILITY)
        residual = np.interp(within, np.linspace(0, 1, len(self.residuals)), self.residuals)
        return np.where(within > 0, self.typical_amount * np.exp(residual), 0.0)


@dataclass(frozen=True)
class _NbdAmount:
    """What the dates and amounts of orders alone tell, at a level that the past has shown."""

    date: datetime.date
    purchase_parameters: pa.Table  # of this date
    spend_parameters: pa.Table
    rounding_weeks: float
    horizon_days: int
    level: float = 1.0

    def predict(self, rows: _Rows) -> _NbdPrediction:
        """Predict customers with an order, by state as SQL looks them up."""
        states, place = np.unique(self._rounded(rows), axis=0, return_inverse=True)
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
            settings={
                "horizon_days": [self.horizon_days],
                "rounding_weeks": self.rounding_weeks,
            },
        )

        def found(column: str) -> np.ndarray:
            values = expected[column].to_numpy().reshape(len(states), -1)
            return values[place.ravel()]

        alive = self._alive(rows)
        orders = alive * found("expected_orders_alive")[:, 0]
        return _NbdPrediction(
            alive=alive,
            no_order_alive=found("no_order_probability_alive")[:, 0],
            mean=self.level * orders * self._spend(rows),
            quantiles=found("value_quantile"),
            unit=self.level * self._unit(rows),
        )

    def expected_amount(self, rows: _Rows, horizon_days: int) -> np.ndarray:
        """Give the expected amount in some days before any level is set, of shape (n,)."""
        repeat_count, age_weeks = self._rounded(rows).T
        orders = self._purchases().expected_purchases_alive(
            repeat_count, np.maximum(age_weeks - self.rounding_weeks, 0), horizon_days / 7
        )
        return self._alive(rows) * orders * self._spend(rows)

    def knows_spend(self) -> bool:
        """Tell whether amounts differ by customer, or are the mean of all for want of a model."""
        return self._spend_row()["p"] is not None

    def _alive(self, rows: _Rows) -> np.ndarray:
        return self._purchases().probability_alive(rows.states)

    def _spend(self, rows: _Rows) -> np.ndarray:
        """Give the expected amount of one order day."""
        if not self.knows_spend():
            return np.full(len(rows.origin), self._spend_row()["mean_spend"])
        return self._gamma_gamma().expected_spend(rows.states[:, 0], rows.mean_spend)

    def _unit(self, rows: _Rows) -> np.ndarray:
        """Give what the quantiles by state are multiples of."""
        if not self.knows_spend():
            return np.full(len(rows.origin), self._spend_row()["mean_spend"])
        return self._gamma_gamma().gamma_ + rows.states[:, 0] * rows.mean_spend

    def _rounded(self, rows: _Rows) -> np.ndarray:
        """Give repeat purchases and whole weeks of age, rounded up."""
        age_weeks = np.ceil(np.round(rows.states[:, 2] * 7) / 7)
        return np.column_stack([rows.states[:, 0], age_weeks])

    def _purchases(self) -> ModifiedBetaGeometricNBD | BetaGeometricNBD:
        row = self.purchase_parameters.to_pylist()[0]
        return FAMILIES[row["family"]].from_parameters(**{name: row[name] for name in PARAMETERS})

    def _gamma_gamma(self) -> GammaGamma:
        row = self._spend_row()
        return GammaGamma.from_parameters(**{name: row[name] for name in GAMMA_GAMMA_PARAMETERS})

    def _spend_row(self) -> dict[str, Any]:
        return self.spend_parameters.to_pylist()[0]


@dataclass(frozen=True)
class _NbdPrediction:
    """The amounts of some customers by the purchase model."""

    alive: np.ndarray  # float64, shape (n,)
    no_order_alive: np.ndarray  # float64, shape (n,)
    mean: np.ndarray  # float64, shape (n,)
    quantiles: np.ndarray  # float64, shape (n, levels), of those alive, in units
    unit: np.ndarray  # float64, shape (n,)

    def amount(self) -> np.ndarray:
        return self.mean

    def no_spend(self) -> np.ndarray:
        return 1 - self.alive * (1 - self.no_order_alive)

    def quantile(self, level: float) -> np.ndarray:
        """Give the amount that a share `level` of such customers does not exceed."""
        within = (level - (1 - self.alive)) / np.maximum(self.alive, LEAST_PROBABILITY)
        return np.where(within > 0, self.unit * _interpolated(self.quantiles, within, LEVELS), 0.0)


def _interpolated(values: np.ndarray, level: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Read each row of values, shape (n, m), at a level of its own between the m levels."""
    level = np.clip(level, levels[0], levels[-1])
    right = np.clip(np.searchsorted(levels, level, side="right"), 1, len(levels) - 1)
    share = (level - levels[right - 1]) / (levels[right] - levels[right - 1])
    rows = np.arange(len(level))
    return values[rows, right - 1] * (1 - share) + values[rows, right] * share


@dataclass(frozen=True)
class _ValueModel:
    """One fitted version: its parts and how they are joined."""

    horizon_days: int
    learned_horizon_days: int
    history_days: int
    additive_share: float
    additive: _AdditiveAmount | None
    nbd: _NbdAmount | None
    training_row_count: int

    def in_words(self) -> str:
        learner = "nbd" if self.additive is None else self.additive.learner
        return (
            f"{self.training_row_count} rows of {self.learned_horizon_days} days, learner "
            f"{learner}, additive share {self.additive_share:g}"
        )

    def predict(self, rows: _Rows, cohort_amount: np.ndarray) -> dict[str, np.ndarray]:
        """Give the amounts of `PREDICTION_SCHEMA`, each of shape (n,), NaN where not known."""
        ordered = rows.has_order()
        found = {name: np.full(len(ordered), np.nan) for name in PREDICTION_SCHEMA.names[1:]}
        found["cohort_amount"] = np.where(cohort_amount >= 0, cohort_amount, np.nan)
        if ordered.any():
            individual = self._individual(rows.take(ordered))
            for name, values in individual.items():
                found[name][ordered] = values
        own = found["individual_amount"]
        age_days = np.where(ordered, rows.states[:, 2] * 7, 0.0)
        share = np.where(rows.is_newcomer(), np.minimum(age_days / NEWCOMER_DAYS, 1.0), 1.0)
        cohort = np.where(np.isnan(found["cohort_amount"]), own, found["cohort_amount"])
        value = np.where(np.isnan(own), cohort, share * own + (1 - share) * cohort)
        value = np.maximum(np.nan_to_num(value), 0.0)
        lower, upper = found["value_lower"], found["value_upper"]
        found["predicted_amount"] = value
        found["value_lower"] = np.minimum(np.nan_to_num(lower), value)
        found["value_upper"] = np.maximum(np.nan_to_num(upper), value)
        return found

    def _individual(self, rows: _Rows) -> dict[str, np.ndarray]:
        """Predict customers with an order, without their cohort."""
        parts, found = [], {}
        if self.nbd is not None:
            nbd = self.nbd.predict(rows)
            found["nbd_amount"] = nbd.amount()
            parts.append((nbd, 1 - self.additive_share, 1.0))
        if self.additive is not None:
            expected = None
            if self.nbd is not None:
                expected = self.nbd.expected_amount(rows, self.learned_horizon_days)
            additive = self.additive.predict(rows.X, expected)
            scale = self._scale(additive.amount(), found.get("nbd_amount"), expected)
            found["additive_amount"] = scale * additive.amount()
            parts.append((additive, self.additive_share, scale))
        # A part without a share has no say, whatever it holds.
        parts = [part for part in parts if part[1] > 0]

        def joined(get: Any) -> np.ndarray:
            return sum(share * get(part, scale) for part, share, scale in parts)

        value = joined(lambda part, scale: scale * part.amount())
        no_spend = joined(lambda part, _: part.no_spend())
        lowest, highest, one_sided = (
            joined(lambda part, scale, level=level: scale * part.quantile(level))
            for level in (*INTERVAL_LEVELS, ONE_SIDED_LEVEL)
        )
        is_sure = no_spend < NO_SPEND_LIMIT
        found["individual_amount"] = value
        found["value_lower"] = np.where(is_sure, np.minimum(lowest, value), 0.0)
        found["value_upper"] = np.maximum(np.where(is_sure, highest, one_sided), value)
        return found

    def _scale(
        self, additive: np.ndarray, nbd: np.ndarray | None, expected: np.ndarray | None
    ) -> float:
        """Give the factor from the learned horizon to that of the model.

        The purchase model knows how orders thin out over a year; what was learned from a shorter
        time shares its total out. Where it does not know what customers spend, it tells only how
        many times the orders of the learned horizon (`expected`) there are.
        """
        if self.learned_horizon_days == self.horizon_days:
            return 1.0
        if nbd is None:
            return self.horizon_days / self.learned_horizon_days
        if not self.nbd.knows_spend():
            total = self.nbd.level * expected.sum()
            return float(nbd.sum() / total) if total > 0 else 1.0
        return float(nbd.sum() / additive.sum()) if additive.sum() > 0 else 1.0


@dataclass(frozen=True)
class _Shop:
    """What is known of a shop beside its rows, at any date."""

    learner: Learner
    horizons: list[int]
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
    ) -> _Shop:
        settings_hash = tables.read_setting(settings, "settings_hash", str)
        settings_hash = tables.read_setting(
            settings, "parameters_settings_hash", str, settings_hash
        )
        horizons = tables.read_setting(settings, "horizon_days", list)
        first_ordered_on = tables.as_date(settings.get("first_ordered_on"))
        if first_ordered_on is None:
            raise ValueError(
                "the setting first_ordered_on is missing; give the date of the first valid order."
            )
        known = [
            tables.matching_rows(found, settings_hash=settings_hash)
            for found in (purchase_parameters, spend_parameters)
        ]
        return cls(
            learner=Learner.from_settings(settings),
            horizons=sorted({int(horizon_days) for horizon_days in horizons}),
            first_ordered_on=np.datetime64(first_ordered_on, "D"),
            purchase_parameters=purchase_parameters.slice(0, 0) if known[0] is None else known[0],
            spend_parameters=spend_parameters.slice(0, 0) if known[1] is None else known[1],
            rounding_weeks=tables.read_setting(
                settings, "rounding_weeks", float, MEAN_ROUNDING_WEEKS
            ),
        )

    def history_days(self, date: Any) -> int:
        """Count the days from the first order of the shop to a date."""
        return int((np.datetime64(date, "D") - self.first_ordered_on) / np.timedelta64(1, "D"))

    def learned_horizon(self, horizon_days: int, date: Any) -> int:
        """Give the horizon that is learned in place of one for which the history is too short."""
        has_twice = self.history_days(date) >= 2 * horizon_days
        return horizon_days if has_twice else SHORT_HORIZON_DAYS

    def nbd(self, horizon_days: int, date: Any) -> _NbdAmount | None:
        """Give the purchase and spend model as of a date; None where one of them is not known."""
        purchases = _newest_by(self.purchase_parameters, date)
        spend = _newest_by(self.spend_parameters, date)
        if purchases is None or spend is None:
            return None
        return _NbdAmount(
            date=np.datetime64(date, "D").item(),
            purchase_parameters=purchases,
            spend_parameters=spend,
            rounding_weeks=self.rounding_weeks,
            horizon_days=horizon_days,
        )

    def expected_amounts(self, rows: _Rows, horizon_days: int) -> np.ndarray:
        """Give what the purchase model of each origin expected, NaN where there was none."""
        expected = np.full(len(rows.origin), np.nan)
        for origin in np.unique(rows.origin):
            nbd = self.nbd(horizon_days, origin)
            if nbd is not None:
                of_origin = rows.origin == origin
                expected[of_origin] = nbd.expected_amount(rows.take(of_origin), horizon_days)
        return expected

    def can_learn(self, rows: _Rows, horizon_days: int, date: Any) -> bool:
        """Tell whether the rows of closed windows suffice for the additive part of a date."""
        if self.history_days(date) < 2 * horizon_days:
            return False
        return self.learner.has_enough((rows.amount(horizon_days) > 0).astype(np.int64))

    def level(self, rows: _Rows, horizon_days: int, date: Any) -> float:
        """Give what the purchase model missed in the same season one year ago, as a factor."""
        newest = np.datetime64(date, "D") - np.timedelta64(LEVEL_DAYS_AGO, "D")
        closed = rows.closed_by(date, horizon_days)
        for origin in np.unique(closed.origin)[::-1]:
            nbd = self.nbd(horizon_days, origin)
            if origin > newest or self.history_days(origin) < LEVEL_HISTORY_DAYS or nbd is None:
                continue
            then = closed.take(closed.origin == origin)
            predicted = nbd.expected_amount(then, horizon_days).sum()
            if predicted > 0:
                level = then.amount(horizon_days).sum() / predicted
                return float(tables.round_significant(np.clip(level, *LEVEL_LIMITS)))
        return 1.0

    def models(
        self,
        rows: _Rows,
        wanted: Sequence[tuple[int, Any]],
        bin_edges: list[np.ndarray] | None = None,
    ) -> list[_ValueModel | None]:
        """Learn a model for each horizon and date; None where nothing can be known.

        Bins are fitted on the rows of each where none are given.
        """
        learned: dict[tuple[int, Any], _Rows] = {}
        for horizon_days, date in wanted:
            h = self.learned_horizon(horizon_days, date)
            closed = rows.closed_by(date, h)
            if self.can_learn(closed, h, date):
                learned[h, date] = closed
        additive = dict(
            zip(
                learned,
                in_parallel(
                    (
                        _AdditiveAmount.fit,
                        closed,
                        self.expected_amounts(closed, h),
                        h,
                        date,
                        self.learner,
                        bin_edges,
                    )
                    for (h, date), closed in learned.items()
                ),
                strict=True,
            )
        )
        found: list[_ValueModel | None] = []
        for horizon_days, date in wanted:
            h = self.learned_horizon(horizon_days, date)
            nbd = self.nbd(horizon_days, date)
            if nbd is not None:
                nbd = replace(nbd, level=self.level(rows, horizon_days, date))
            of_rows = additive.get((h, date))
            if nbd is None and of_rows is None:
                found.append(None)
                continue
            history_days = self.history_days(date)
            share = 0.5 if history_days < 4 * horizon_days else 1.0
            if nbd is None or not nbd.knows_spend():
                # Orders times the same amount for all would say little about who spends what.
                share = 1.0
            if of_rows is None:
                share = 0.0
            found.append(
                _ValueModel(
                    horizon_days=horizon_days,
                    learned_horizon_days=h,
                    history_days=history_days,
                    additive_share=share,
                    additive=of_rows,
                    nbd=nbd,
                    training_row_count=len(learned[h, date].origin) if of_rows else 0,
                )
            )
        return found

    def test_origins(
        self, rows: _Rows, horizon_days: int, date: Any, limit: int
    ) -> list[tuple[int, Any]]:
        """Give horizon and date of the tests of a model: its own horizon, or else the short one."""
        found: list[tuple[int, Any]] = []
        for tested in dict.fromkeys((horizon_days, SHORT_HORIZON_DAYS)):
            origins = np.unique(rows.closed_by(date, tested).origin)[-limit:]
            found = [(tested, origin) for origin in origins if self._is_known(rows, tested, origin)]
            if len(found) >= MIN_TEST_ORIGIN_COUNT:
                break
        return found

    def _is_known(self, rows: _Rows, horizon_days: int, date: Any) -> bool:
        h = self.learned_horizon(horizon_days, date)
        return self.nbd(horizon_days, date) is not None or self.can_learn(
            rows.closed_by(date, h), h, date
        )


def _newest_by(parameters: pa.Table, date: Any) -> pa.Table | None:
    """Find the newest parameters that were fitted by a date, as one row."""
    if not parameters.num_rows:
        return None
    fitted = tables.date_array(parameters["fitted_as_of"])
    known = np.flatnonzero(fitted <= np.datetime64(date, "D"))
    return parameters.slice(int(known[np.argmax(fitted[known])]), 1) if len(known) else None


def _read_rows(training_rows: pa.Table, shop: _Shop, others: Sequence[str] = ()) -> _Rows:
    """Read the rows of past dates, sorted by origin and customer."""
    amounts = [f"amount_{horizon_days}d" for horizon_days in _known_horizons(shop)]
    columns = [*KEY_COLUMNS, *STATE_COLUMNS, *others, *amounts, *shop.learner.features]
    columns = list(dict.fromkeys(columns))
    tables.require_columns(training_rows, columns, "the training rows of values")
    rows = training_rows.select(columns)
    for column, data_type in [("as_of_date", pa.date32()), ("customer_id", pa.string())]:
        rows = rows.set_column(columns.index(column), column, rows[column].cast(data_type))
    tables.refuse_duplicates(rows, KEY_COLUMNS, "the training rows of values")
    rows = rows.sort_by([(name, "ascending") for name in KEY_COLUMNS])
    return _Rows.read(rows, shop.learner.features)


def _known_horizons(shop: _Shop) -> list[int]:
    return sorted({SHORT_HORIZON_DAYS, *shop.horizons})


def _backtest_columns(shop: _Shop) -> list[str]:
    return [
        f"{name}_{horizon_days}d"
        for horizon_days in _known_horizons(shop)
        for name in ("past_amount", "cohort_amount")
    ]


def _weights_table(
    model: _ValueModel,
    rows: _Rows,
    shop: _Shop,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
    bin_set: pa.Table | None,
) -> pa.Table:
    """Write one model as the rows of a version."""
    name, h = value_model_name(model.horizon_days), model.learned_horizon_days
    closed = rows.closed_by(as_of_date, h)
    additive = model.additive
    origins = np.unique(closed.origin) if additive else np.array([], dtype="datetime64[D]")
    level = model.nbd.level if model.nbd else 1.0
    training_fingerprint = tables.fingerprint(
        closed.table, [*KEY_COLUMNS, f"amount_{h}d", *shop.learner.features]
    )
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    constants = {
        "model_name": name,
        "model_version": tables.version_hash(
            tables.read_setting(settings, "code_version", str, ""),
            settings_hash,
            name,
            as_of_date,
            training_fingerprint,
            level,
            model.additive_share,
        ),
        "fitted_as_of": as_of_date,
        "data_through": tables.as_date(settings.get("data_through")) or as_of_date,
        "horizon_days": model.horizon_days,
        "learned_horizon_days": h,
        "settings_hash": settings_hash,
        "settings": tables.canonical_json({**asdict(shop.learner), "horizon_days": shop.horizons}),
        "training_fingerprint": training_fingerprint,
        "training_row_count": model.training_row_count,
        "buyer_count": int((closed.amount(h) > 0).sum()) if additive else 0,
        "origin_count": len(origins),
        "first_origin": origins[0].item() if additive else None,
        "last_origin": origins[-1].item() if additive else None,
        "learner": additive.learner if additive else "nbd",
        "max_iter": additive.max_iter if additive else 0,
        "calibration": additive.calibration if additive else "none",
        "bin_set_id": None if bin_set is None else bin_set["bin_set_id"][0].as_py(),
        "purchase_intercept": additive.purchase.intercept_ if additive else 0.0,
        "spend_intercept": additive.spend.intercept_ if additive else 0.0,
        "spend_slope": additive.spend_slope if additive else 0.0,
        "smearing": additive.smearing if additive else 0.0,
        "additive_share": model.additive_share,
        "nbd_level": level,
        "history_days": model.history_days,
    }
    weights: dict[str, list] = {"component": [], "feature": [], "bin": [], "weight": []}
    for component, named in _components(additive, shop.learner.features):
        for feature, values in named:
            weights["component"] += [component] * len(values)
            weights["feature"] += [feature] * len(values)
            weights["bin"] += range(len(values))
            weights["weight"] += [float(value) for value in values]
    row_count = len(weights["weight"])
    return pa.table(
        {**{name: [value] * row_count for name, value in constants.items()}, **weights},
        schema=VALUE_WEIGHTS_SCHEMA,
    )


def _components(
    additive: _AdditiveAmount | None, features: Sequence[str]
) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Give the weights of each component by feature."""
    if additive is None:
        return [("none", [("", [0.0])])]
    return [
        ("purchase", list(zip(features, additive.purchase.weights_, strict=True))),
        ("spend", list(zip(features, additive.spend.weights_, strict=True))),
        ("residual", [("", additive.residuals)]),
    ]


def _read_model(
    version: pa.Table, feature_bins: pa.Table, shop: _Shop, as_of_date: Any
) -> _ValueModel:
    """Make the stored rows of a version a model again, with the parameters of a date."""
    tables.require_columns(version, VALUE_WEIGHTS_SCHEMA.names, "the version of values")
    if len(set(version["model_version"].to_pylist())) != 1:
        raise ValueError("the rows are not those of one model_version; give one version.")
    facts = version.slice(0, 1).to_pylist()[0]
    additive = None
    if facts["additive_share"] > 0:
        bins = feature_bins.filter(pc.equal(feature_bins["bin_set_id"], facts["bin_set_id"]))
        features = shop.learner.features
        edges = bin_set_edges(bins, features)
        residuals = _stored_weights(version, "residual", [""])[0]
        additive = _AdditiveAmount(
            purchase=AdditiveClassifier.from_weights(
                edges, _stored_weights(version, "purchase", features), facts["purchase_intercept"]
            ),
            spend=AdditiveRegressor.from_weights(
                edges, _stored_weights(version, "spend", features), facts["spend_intercept"]
            ),
            spend_slope=facts["spend_slope"],
            smearing=facts["smearing"],
            residuals=residuals,
            learner=facts["learner"],
            max_iter=facts["max_iter"],
            calibration=facts["calibration"],
        )
    nbd = shop.nbd(facts["horizon_days"], as_of_date)
    return _ValueModel(
        horizon_days=facts["horizon_days"],
        learned_horizon_days=facts["learned_horizon_days"],
        history_days=facts["history_days"],
        additive_share=facts["additive_share"],
        additive=additive,
        nbd=None if nbd is None else replace(nbd, level=facts["nbd_level"]),
        training_row_count=facts["training_row_count"],
    )


def _stored_weights(version: pa.Table, component: str, features: Sequence[str]) -> list[np.ndarray]:
    """Give the weights of a component of a version, one array for each feature."""
    rows = version.filter(pc.equal(version["component"], component))
    return [
        rows.filter(pc.equal(rows["feature"], feature)).sort_by("bin")["weight"].to_numpy()
        for feature in features
    ]


def _tested_table(model: _ValueModel, test: _Rows, horizon_days: int) -> pa.Table:
    """Predict the rows of a test origin with each scorer; model names are added later."""
    cohort_amount = test.numbers(f"cohort_amount_{horizon_days}d")
    found = model.predict(test, cohort_amount)
    known = np.isfinite(cohort_amount)
    scorers = {
        "model": found["predicted_amount"],
        "last_period": np.nan_to_num(test.numbers(f"past_amount_{horizon_days}d")),
    }
    if model.additive is not None:
        scorers["additive"] = found["additive_amount"]
    if model.nbd is not None:
        scorers["nbd"] = found["nbd_amount"]
    if known.any():
        # A cohort of which nothing had been seen is taken for an average one.
        scorers["cohort_mean"] = np.where(known, cohort_amount, cohort_amount[known].mean())
    row_count = len(test.origin)
    nothing = np.full(row_count, np.nan)
    parts = []
    for scorer_name, amount in sorted(scorers.items()):
        is_model = scorer_name == "model"
        numbers = {
            "actual_amount": test.amount(horizon_days),
            "predicted_amount": np.maximum(amount, 0.0),
            "value_lower": found["value_lower"] if is_model else nothing,
            "value_upper": found["value_upper"] if is_model else nothing,
        }
        parts.append(
            pa.table(
                {
                    "model_name": pa.nulls(row_count, pa.string()),
                    "model_version": pa.nulls(row_count, pa.string()),
                    "origin": test.table["as_of_date"],
                    "tested_horizon_days": [horizon_days] * row_count,
                    "scorer_name": [scorer_name] * row_count,
                    "customer_id": test.table["customer_id"],
                    **{name: test.table[name].cast(pa.string()) for name in GROUP_COLUMNS},
                    **{
                        name: pa.array(np.round(values, AMOUNT_DECIMALS) + 0.0, from_pandas=True)
                        for name, values in numbers.items()
                    },
                    "training_row_count": [model.training_row_count] * row_count,
                },
                schema=VALUE_BACKTEST_SCHEMA,
            )
        )
    return pa.concat_tables(parts)


def _named(tested: pa.Table, model_name: str, model_version: str) -> pa.Table:
    for position, text in enumerate((model_name, model_version)):
        column = pa.array([text] * tested.num_rows)
        tested = tested.set_column(position, VALUE_BACKTEST_SCHEMA.field(position), column)
    return tested
