"""Learn the probability of an outcome; the fitted form is one table of weights per bin.

The log-odds of a customer are an intercept plus one weight for each feature, looked up by the bin
of its value (`coterie.additive`). Here is what makes predictions of it: which rows are learned
from (`coterie.learning` learns), and how the past is tested.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit, logit

from coterie import tables
from coterie.additive import intercept_shift
from coterie.binning import bin_set_edges
from coterie.learning import (
    PROBABILITY_LIMITS,
    Fit,
    LabelledRows,
    Learner,
    Prediction,
    bin_set_as_of,
    calibration_rows,
    in_parallel,
    sampled,
    untested_versions,
)

logger = logging.getLogger("coterie")

PROPENSITY_WEIGHTS_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("data_through", pa.date32()),
        ("horizon_days", pa.int64()),
        ("settings_hash", pa.string()),
        ("settings", pa.string()),
        ("training_fingerprint", pa.string()),
        ("training_row_count", pa.int64()),
        ("positive_count", pa.int64()),
        ("origin_count", pa.int64()),
        ("first_origin", pa.date32()),
        ("last_origin", pa.date32()),
        ("learner", pa.string()),
        ("max_iter", pa.int64()),
        ("calibration", pa.string()),
        ("bin_set_id", pa.string()),
        ("intercept", pa.float64()),
        ("feature", pa.string()),
        ("bin", pa.int64()),
        ("weight", pa.float64()),
    ]
)

PROPENSITY_BACKTEST_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("origin", pa.date32()),
        ("scorer_name", pa.string()),
        ("customer_id", pa.string()),
        ("outcome", pa.int64()),
        ("probability", pa.float64()),
        ("training_row_count", pa.int64()),
        ("training_positive_count", pa.int64()),
    ]
)

BASELINE_RATES_SCHEMA = pa.schema(
    [
        ("model_name", pa.string()),
        ("model_version", pa.string()),
        ("scorer_name", pa.string()),
        ("rfm_cell", pa.string()),
        ("probability", pa.float64()),
    ]
)

# Rows of prior weight that pull the rate of an RFM cell to the base rate.
RFM_CELL_PRIOR_COUNT = 10
# The horizon's own probability of any purchase by BG/NBD, beside the features.
NBD_COLUMN = "nbd_purchase_probability"


def fit_propensity_weights(
    training_rows: pa.Table,
    feature_bins: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit each model that is due, and return its weights as rows.

    Parameters
    ----------
    training_rows : pa.Table
        Columns model_name, as_of_date (the origin), customer_id, outcome (0 or 1; rows with NULL
        are left out) and each feature. Rows whose outcome window reaches beyond `as_of_date` are
        left out. Optionally nbd_purchase_probability, the probability by BG/NBD of any purchase in
        the horizon, which learned from no outcome.
    feature_bins : pa.Table
        Stored bin sets (`coterie.binning.FEATURE_BINS_SCHEMA`); the newest with
        ``bin_settings_hash`` that was fitted by `as_of_date` is used.
    stored : pa.Table or None
        Columns model_name, fitted_as_of, settings_hash of the versions fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        features (list of str), predictions ({model_name: {"horizon_days": days, "is_purchase":
        whether the outcome is a purchase, "left_out_features": list of str}}), settings_hash,
        bin_settings_hash, refit_interval_days, and optionally code_version, is_empty ("True" fits
        nothing), n_bins (32), learning_rate (.05), max_leaf_nodes (3), min_samples_leaf (40),
        l2_regularization (1.0), max_iter_candidates ([80, 150, 300]), spline_c (.2),
        half_life_days (200; 0 lets all origins count alike),
        min_positive_count and min_negative_count (200), min_rows_to_boost (1000),
        min_positives_to_learn (300).

    Returns
    -------
    pa.Table
        `PROPENSITY_WEIGHTS_SCHEMA`: one row for each model, feature and bin; features that a model
        leaves out weigh 0. A model with too few positives or negatives, or that is not due, has
        no rows. The column learner says where the weights come from: ``additive`` (boosting and
        spline), ``spline`` (fewer than min_rows_to_boost rows or min_positives_to_learn
        positives), or ``nbd`` (fewer than min_positives_to_learn positives of a purchase: the
        probability by BG/NBD alone, looked up on the bins of nbd_purchase_probability_90d).

    Raises
    ------
    ValueError
        If a column, a setting or a bin is missing, an outcome is not 0 or 1, a customer occurs
        twice at one origin of a model, or no bins of these settings were ever fitted.
    """
    empty = PROPENSITY_WEIGHTS_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    learner = Learner.from_settings(settings)
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    refit_interval_days = tables.read_setting(settings, "refit_interval_days", int)
    due = [
        model_name
        for model_name in _model_names(training_rows)
        if tables.fit_is_due(
            stored,
            as_of_date=as_of_date,
            settings_hash=settings_hash,
            refit_interval_days=refit_interval_days,
            model_name=model_name,
        )
    ]
    if not due:
        return empty
    bin_set = bin_set_as_of(feature_bins, as_of_date, settings)
    if bin_set is None:
        return empty
    bin_set_id = bin_set["bin_set_id"][0].as_py()
    edges = bin_set_edges(bin_set, learner.features)

    learnable = []
    for model_name in due:
        prediction = Prediction.from_settings(settings, model_name)
        rows = _read_rows(training_rows, model_name, learner.features, prediction)
        rows = rows.take(rows.is_closed_by(as_of_date, prediction.horizon_days))
        if learner.has_enough(rows.outcome):
            learnable.append((model_name, prediction, rows))
        else:
            logger.info(
                "%s: %d positives in %d rows are too few, no fit",
                model_name,
                rows.outcome.sum(),
                len(rows.outcome),
            )
    fits = in_parallel(
        (learner.fit, rows, as_of_date, prediction, edges) for _, prediction, rows in learnable
    )
    fitted_tables = [
        _weights_table(fit, rows, model_name, prediction, learner, as_of_date, settings, bin_set_id)
        for (model_name, prediction, rows), fit in zip(learnable, fits, strict=True)
    ]
    return pa.concat_tables([empty, *fitted_tables]).combine_chunks()


def _weights_table(
    fit: Fit,
    rows: LabelledRows,
    model_name: str,
    prediction: Prediction,
    learner: Learner,
    as_of_date: datetime.date,
    settings: Mapping[str, Any],
    bin_set_id: str,
) -> pa.Table:
    """Write one fitted model as the rows of a version."""
    logger.info(
        "%s: fitted as of %s on %d rows with %d positives, learner %s, %d iterations, "
        "calibration %s",
        model_name,
        as_of_date,
        len(rows.outcome),
        rows.outcome.sum(),
        fit.learner,
        fit.max_iter,
        fit.calibration,
    )
    used = [name for name in learner.features if name not in prediction.left_out_features]
    used += [NBD_COLUMN] if fit.learner == "nbd" else []
    training_fingerprint = tables.fingerprint(
        rows.table, ["as_of_date", "customer_id", "outcome", *used]
    )
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    model_version = tables.version_hash(
        tables.read_setting(settings, "code_version", str, ""),
        settings_hash,
        model_name,
        as_of_date,
        training_fingerprint,
    )
    weights = fit.classifier.to_table()
    origins = np.unique(rows.origin)
    constants = {
        "model_name": model_name,
        "model_version": model_version,
        "fitted_as_of": as_of_date,
        "data_through": tables.as_date(settings.get("data_through")) or as_of_date,
        "horizon_days": prediction.horizon_days,
        "settings_hash": settings_hash,
        "settings": tables.canonical_json({**asdict(learner), **asdict(prediction)}),
        "training_fingerprint": training_fingerprint,
        "training_row_count": len(rows.outcome),
        "positive_count": int(rows.outcome.sum()),
        "origin_count": len(origins),
        "first_origin": origins[0].item(),
        "last_origin": origins[-1].item(),
        "learner": fit.learner,
        "max_iter": fit.max_iter,
        "calibration": fit.calibration,
        "bin_set_id": bin_set_id,
        "intercept": fit.classifier.intercept_,
    }
    names = np.repeat(learner.features, [len(w) for w in fit.classifier.weights_])
    return pa.table(
        {
            **{name: [value] * len(names) for name, value in constants.items()},
            "feature": names.tolist(),
            "bin": weights["bin"],
            "weight": weights["weight"],
        },
        schema=PROPENSITY_WEIGHTS_SCHEMA,
    )


def backtest_propensity(
    training_rows: pa.Table,
    weights: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Predict past origins, each with what could have been learned before it.

    Each model whose newest version was fitted by `as_of_date` and has no stored back-test is
    tested on its newest complete origins. For each of them the bins, the learner, the iterations,
    the weights and the intercept are learned anew from the origins whose outcome window had closed
    by it. The other scorers take their intercept from the same rows as the model.

    Parameters
    ----------
    training_rows : pa.Table
        As for `fit_propensity_weights`, with the column rfm_cell (text).
    weights : pa.Table
        Columns model_name, model_version, fitted_as_of, settings_hash of the fitted versions.
    stored : pa.Table or None
        Column model_version of the back-tests done so far.
    as_of_date : date or None
        None (no data yet) tests nothing.
    settings : mapping
        As for `fit_propensity_weights`, and optionally max_test_origins (4) and max_test_row_count
        (20000): of an origin with more customers those whose id has the lowest MD5 are tested, so
        that the customers of one origin are those of the next.

    Returns
    -------
    pa.Table
        `PROPENSITY_BACKTEST_SCHEMA`: one row for each model, test origin, scorer (`model`,
        `base_rate`, `rfm_cell`, and `bg_nbd` where the outcome is a purchase and the training rows
        hold nbd_purchase_probability) and customer of the test origin, sorted by these. An origin
        that has too few positives or negatives before it is left out.

    Raises
    ------
    ValueError
        If a column or a setting is missing, an outcome is not 0 or 1, or a customer occurs twice
        at one origin of a model.
    """
    empty = PROPENSITY_BACKTEST_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    learner = Learner.from_settings(settings)
    max_test_origins = tables.read_setting(settings, "max_test_origins", int, 4)
    max_test_row_count = tables.read_setting(settings, "max_test_row_count", int, 20_000)
    versions = untested_versions(weights, stored, as_of_date, settings)

    folds = []
    for model_name, model_version in versions.items():
        prediction = Prediction.from_settings(settings, model_name)
        rows = _read_rows(
            training_rows, model_name, learner.features, prediction, with_rfm_cell=True
        )
        rows = rows.take(rows.is_closed_by(as_of_date, prediction.horizon_days))
        for origin in np.unique(rows.origin)[-max_test_origins:]:
            train = rows.take(rows.is_closed_by(origin, prediction.horizon_days))
            test = rows.take(rows.origin == origin)
            test = test.take(sampled(test.table["customer_id"], max_test_row_count))
            if learner.has_enough(train.outcome):
                folds.append((model_name, model_version, prediction, train, test, origin))
            else:
                logger.info("%s: too few outcomes before %s, not tested", model_name, origin)
    predicted = in_parallel(
        (_fold_probabilities, learner, prediction, train, test, origin)
        for _, _, prediction, train, test, origin in folds
    )
    tested = []
    for (model_name, model_version, _, train, test, origin), probabilities in zip(
        folds, predicted, strict=True
    ):
        logger.info(
            "%s: tested at %s on %d customers, trained on %d rows",
            model_name,
            origin,
            len(test.outcome),
            len(train.outcome),
        )
        tested += [
            pa.table(
                {
                    "model_name": [model_name] * len(test.outcome),
                    "model_version": [model_version] * len(test.outcome),
                    "origin": [origin.item()] * len(test.outcome),
                    "scorer_name": [scorer_name] * len(test.outcome),
                    "customer_id": test.table["customer_id"],
                    "outcome": test.outcome,
                    "probability": tables.round_significant(
                        np.clip(probability, *PROBABILITY_LIMITS)
                    ),
                    "training_row_count": [len(train.outcome)] * len(test.outcome),
                    "training_positive_count": [int(train.outcome.sum())] * len(test.outcome),
                },
                schema=PROPENSITY_BACKTEST_SCHEMA,
            )
            for scorer_name, probability in sorted(probabilities.items())
        ]
    return pa.concat_tables([empty, *tested]).combine_chunks()


def fit_baseline_rates(
    training_rows: pa.Table,
    weights: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Learn the rates that stand beside the newest version of each model, as its tests do.

    Parameters
    ----------
    training_rows, weights, stored, as_of_date, settings
        As for `backtest_propensity`.

    Returns
    -------
    pa.Table
        `BASELINE_RATES_SCHEMA`: for each version one row of the scorer ``base_rate``, and of
        ``rfm_cell`` one for each cell of the training rows. The row without a cell is the rate of
        customers in any other cell. Probabilities have the level of the origins that set the
        intercept of the model.

    Raises
    ------
    ValueError
        If a column or a setting is missing, an outcome is not 0 or 1, or a customer occurs twice
        at one origin of a model.
    """
    empty = BASELINE_RATES_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not training_rows.num_rows:
        return empty
    features = tables.read_setting(settings, "features", list)
    found = []
    for model_name, model_version in untested_versions(
        weights, stored, as_of_date, settings
    ).items():
        prediction = Prediction.from_settings(settings, model_name)
        rows = _read_rows(training_rows, model_name, features, prediction, with_rfm_cell=True)
        rows = rows.take(rows.is_closed_by(as_of_date, prediction.horizon_days))
        if not 0 < rows.outcome.sum() < len(rows.outcome):
            continue
        calibration = calibration_rows(
            rows.origin, rows.outcome, as_of_date, prediction.horizon_days
        )
        baselines = _Baselines.fit(rows, *calibration)
        cells = [None, *sorted(baselines.cell_rates)]
        for scorer_name, scored_cells in [("base_rate", [None]), ("rfm_cell", cells)]:
            probability = expit(baselines.log_odds(scorer_name, scored_cells))
            found.append(
                pa.table(
                    {
                        "model_name": [model_name] * len(scored_cells),
                        "model_version": [model_version] * len(scored_cells),
                        "scorer_name": [scorer_name] * len(scored_cells),
                        "rfm_cell": scored_cells,
                        "probability": tables.round_significant(
                            np.clip(probability, *PROBABILITY_LIMITS)
                        ),
                    },
                    schema=BASELINE_RATES_SCHEMA,
                )
            )
    return pa.concat_tables([empty, *found]).combine_chunks()


def _fold_probabilities(
    learner: Learner, prediction: Prediction, train: LabelledRows, test: LabelledRows, origin: Any
) -> dict[str, np.ndarray]:
    """Predict the rows of a test origin with each scorer."""
    fit = learner.fit(train, origin, prediction)
    probabilities = {"model": fit.classifier.predict_proba(test.X)[:, 1]}
    baselines = _Baselines.fit(train, fit.calibration, fit.calibration_rows)
    for scorer_name in ("base_rate", "rfm_cell"):
        cells = test.table["rfm_cell"].to_pylist()
        probabilities[scorer_name] = expit(baselines.log_odds(scorer_name, cells))
    if prediction.is_purchase and train.has_nbd() and test.has_nbd():
        base_rate = baselines.base_rate
        shift = 0.0
        if fit.calibration != "none":
            calibration = train.take(fit.calibration_rows)
            shift = intercept_shift(_nbd_log_odds(calibration, base_rate), calibration.outcome)
        probabilities["bg_nbd"] = expit(_nbd_log_odds(test, base_rate) + shift)
    return probabilities


def _nbd_log_odds(rows: LabelledRows, base_rate: float) -> np.ndarray:
    return logit(np.clip(np.where(np.isnan(rows.nbd), base_rate, rows.nbd), *PROBABILITY_LIMITS))


@dataclass(frozen=True)
class _Baselines:
    """What is known without a model: the overall rate, and that of each RFM cell."""

    base_rate: float
    cell_rates: dict[str, float]
    shifts: dict[str, float]

    @classmethod
    def fit(cls, train: LabelledRows, calibration: str, calibration_rows: np.ndarray) -> _Baselines:
        """Count the rates, and take their level from the rows that set a model's intercept.

        A cell is pulled to the base rate by a few prior rows.
        """
        base_rate = float(train.outcome.mean())
        cells = pa.table({"rfm_cell": train.table["rfm_cell"], "outcome": train.outcome})
        cells = cells.group_by("rfm_cell").aggregate([("outcome", "sum"), ("outcome", "count")])
        cell_rates = {
            cell["rfm_cell"]: (cell["outcome_sum"] + RFM_CELL_PRIOR_COUNT * base_rate)
            / (cell["outcome_count"] + RFM_CELL_PRIOR_COUNT)
            for cell in cells.to_pylist()
            if cell["rfm_cell"] is not None
        }
        rates = cls(base_rate, cell_rates, {"base_rate": 0.0, "rfm_cell": 0.0})
        if calibration == "none":
            return rates
        chosen = train.take(calibration_rows)
        chosen_cells = chosen.table["rfm_cell"].to_pylist()
        shifts = {
            name: intercept_shift(rates.log_odds(name, chosen_cells), chosen.outcome)
            for name in rates.shifts
        }
        return cls(base_rate, cell_rates, shifts)

    def log_odds(self, scorer_name: str, rfm_cells: Sequence[str | None]) -> np.ndarray:
        """Give the log-odds of customers in these cells by one of the two baselines."""
        rates = self.cell_rates if scorer_name == "rfm_cell" else {}
        found = np.array([rates.get(cell, self.base_rate) for cell in rfm_cells], dtype=np.float64)
        return logit(found) + self.shifts[scorer_name]


def _model_names(training_rows: pa.Table) -> list[str]:
    tables.require_columns(training_rows, ["model_name"], "the training rows")
    return sorted(set(training_rows["model_name"].drop_null().to_pylist()))


def _read_rows(
    training_rows: pa.Table,
    model_name: str,
    features: Sequence[str],
    prediction: Prediction,
    with_rfm_cell: bool = False,
) -> LabelledRows:
    """Read the labelled rows of one model, sorted by origin and customer.

    A feature that the model leaves out has no values, so that it weighs 0 in every bin. Read with
    RFM cells, rows are for tests, whose table needs no features.
    """
    name = "the training rows"
    optional = [NBD_COLUMN] if NBD_COLUMN in training_rows.column_names else []
    optional += ["rfm_cell"] if with_rfm_cell else []
    columns = ["as_of_date", "customer_id", "outcome", *features]
    columns += [column for column in optional if column not in columns]
    tables.require_columns(training_rows, ["model_name", *columns], name)
    rows = training_rows.filter(pc.equal(training_rows["model_name"], model_name))
    rows = rows.filter(rows["outcome"].is_valid()).select(columns)
    for column, data_type in [
        ("as_of_date", pa.date32()),
        ("customer_id", pa.string()),
        *([("rfm_cell", pa.string())] if with_rfm_cell else []),
    ]:
        position = columns.index(column)
        rows = rows.set_column(position, column, rows[column].cast(data_type))
    tables.refuse_duplicates(rows, ["as_of_date", "customer_id"], f"{name} of {model_name}")
    rows = rows.sort_by([("as_of_date", "ascending"), ("customer_id", "ascending")])
    outcome = tables.feature_matrix(rows, ["outcome"])[:, 0]
    if not np.isin(outcome, [0, 1]).all():
        raise ValueError(f"the column outcome of {model_name} holds other values than 0 and 1.")
    X = tables.feature_matrix(rows, features)
    X[:, np.isin(features, prediction.left_out_features)] = np.nan
    nbd = np.full(len(outcome), np.nan)
    if NBD_COLUMN in columns:
        nbd = tables.feature_matrix(rows, [NBD_COLUMN])[:, 0]
        if ((nbd < 0) | (nbd > 1)).any():
            raise ValueError(f"the column {NBD_COLUMN} of {model_name} lies outside 0 to 1.")
    if with_rfm_cell:
        rows = rows.select(["as_of_date", "customer_id", "outcome", "rfm_cell"])
    return LabelledRows(
        table=rows,
        origin=tables.date_array(rows["as_of_date"]),
        outcome=outcome.astype(np.int64),
        X=X,
        nbd=nbd,
    )
