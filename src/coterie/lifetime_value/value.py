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
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from coterie import tables
from coterie.additive import AdditiveClassifier, AdditiveRegressor
from coterie.binning import bin_set_edges
from coterie.learning import bin_set_as_of, sampled, untested_versions
from coterie.lifetime_value.amounts import (
    KEY_COLUMNS,
    STATE_COLUMNS,
    AdditiveAmount,
    CustomerRows,
    Shop,
    ValueModel,
)

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

GROUP_COLUMNS = ["cohort", "rfm_segment_code"]
# Decimals of amounts in back-tests.
AMOUNT_DECIMALS = 6


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
        `coterie.propensity.fit_propensity_weights` but for predictions and max_iter_candidates
        (always 150 trees); optionally has_additive
        ("False" learns from no features), newcomer_days (90), rounding_weeks (3/7, as for the
        purchase model) and parameters_settings_hash (by default settings_hash: parameters of
        others are not known).

    Returns
    -------
    pa.Table
        `VALUE_WEIGHTS_SCHEMA`: one row for each model (``value_{horizon}d``), component, feature
        and bin.

        - ``purchase``: weights that add up to the log-odds of spending anything in the learned
          horizon.
        - ``spend``: weights that add up to the mean log amount of those who do, together with
          spend_slope times the log of what the purchase model expects in the learned horizon. The
          expected amount is the exponential of it, times smearing.
        - ``residual`` (feature '', bin 0 to 40): what log amounts differ from that by, at the
          levels 0, 1/40, ... 1, the outermost of which stand for .005 and .995.
        - ``none`` (one row of weight 0): stands for all of them where nothing could be learned,
          but the purchase and the spend model are known. Then additive_share is 0.

        The column learner is ``additive`` or ``spline`` as for propensity, or ``nbd`` beside
        ``none``. A model that is not due, or of which neither is known, has no rows. Where the
        spend model has fallen back to one mean for all, additive_share is 1.

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
    shop = Shop.from_tables(purchase_parameters, spend_parameters, settings)
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
    bin_set, edges = None, None
    if shop.has_additive:
        bin_set = bin_set_as_of(feature_bins, as_of_date, settings)
    if bin_set is None:
        shop = replace(shop, has_additive=False)
    else:
        edges = bin_set_edges(bin_set, shop.learner.features)
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
    shop = Shop.from_tables(purchase_parameters, spend_parameters, settings)
    tables.require_columns(rows, ["customer_id"], "the rows to predict")
    model = _read_model(version, feature_bins, shop, tables.as_date(as_of_date))
    dated = rows.select(["customer_id", *STATE_COLUMNS, *shop.learner.features])
    dated = dated.append_column("as_of_date", pa.array([as_of_date] * rows.num_rows, pa.date32()))
    customers = CustomerRows.read(dated, shop.learner.features)
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
    shop = Shop.from_tables(purchase_parameters, spend_parameters, settings)
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
        test = rows.take((rows.origin == origin) & rows.is_closed_by(as_of_date, horizon_days))
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


def _read_rows(training_rows: pa.Table, shop: Shop, others: Sequence[str] = ()) -> CustomerRows:
    """Read the rows of past dates, sorted by origin and customer."""
    amounts = [f"amount_{horizon_days}d" for horizon_days in shop.known_horizons()]
    columns = [*KEY_COLUMNS, *STATE_COLUMNS, *others, *amounts, *shop.learner.features]
    columns = list(dict.fromkeys(columns))
    tables.require_columns(training_rows, columns, "the training rows of values")
    rows = training_rows.select(columns)
    for column, data_type in [("as_of_date", pa.date32()), ("customer_id", pa.string())]:
        rows = rows.set_column(columns.index(column), column, rows[column].cast(data_type))
    tables.refuse_duplicates(rows, KEY_COLUMNS, "the training rows of values")
    rows = rows.sort_by([(name, "ascending") for name in KEY_COLUMNS])
    return CustomerRows.read(rows, shop.learner.features)


def _backtest_columns(shop: Shop) -> list[str]:
    return [
        f"{name}_{horizon_days}d"
        for horizon_days in shop.known_horizons()
        for name in ("past_amount", "cohort_amount")
    ]


def _weights_table(
    model: ValueModel,
    rows: CustomerRows,
    shop: Shop,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
    bin_set: pa.Table | None,
) -> pa.Table:
    """Write one model as the rows of a version."""
    name, h = value_model_name(model.horizon_days), model.learned_horizon_days
    closed = rows.take(rows.is_closed_by(as_of_date, h))
    additive = model.additive
    origins = np.unique(closed.origin) if additive else np.array([], dtype="datetime64[D]")
    level = model.nbd.level if model.nbd else 1.0
    training_fingerprint = _fingerprint(closed, h, shop.learner.features)
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


def _fingerprint(rows: CustomerRows, horizon_days: int, features: Sequence[str]) -> str:
    """Hash what was learned from."""
    table = rows.table.select([*KEY_COLUMNS, f"amount_{horizon_days}d"])
    for feature, values in zip(features, rows.X.T, strict=True):
        table = table.append_column(f"feature_{feature}", pa.array(values, from_pandas=True))
    return tables.fingerprint(table, table.column_names)


def _components(
    additive: AdditiveAmount | None, features: Sequence[str]
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
    version: pa.Table, feature_bins: pa.Table, shop: Shop, as_of_date: Any
) -> ValueModel:
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
        additive = AdditiveAmount(
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
            row_count=facts["training_row_count"],
        )
    nbd = shop.nbd(facts["horizon_days"], as_of_date)
    return ValueModel(
        horizon_days=facts["horizon_days"],
        learned_horizon_days=facts["learned_horizon_days"],
        history_days=facts["history_days"],
        additive_share=facts["additive_share"],
        additive=additive,
        nbd=None if nbd is None else replace(nbd, level=facts["nbd_level"]),
        newcomer_days=shop.newcomer_days,
    )


def _stored_weights(version: pa.Table, component: str, features: Sequence[str]) -> list[np.ndarray]:
    """Give the weights of a component of a version, one array for each feature."""
    rows = version.filter(pc.equal(version["component"], component))
    return [
        rows.filter(pc.equal(rows["feature"], feature)).sort_by("bin")["weight"].to_numpy()
        for feature in features
    ]


def _tested_table(model: ValueModel, test: CustomerRows, horizon_days: int) -> pa.Table:
    """Predict the rows of a test origin with each scorer; model names are added later."""
    cohort_amount = test.numbers(f"cohort_amount_{horizon_days}d")
    found = model.predict(test, cohort_amount)
    known = np.isfinite(cohort_amount)
    scorers = {
        "model": found["predicted_amount"],
        "last_period": np.nan_to_num(test.numbers(f"past_amount_{horizon_days}d")),
    }
    for name in ("additive", "nbd"):
        if np.isfinite(found[f"{name}_amount"]).all():
            scorers[name] = found[f"{name}_amount"]
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
