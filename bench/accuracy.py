"""How well the scores rank and how far they can be trusted, beside what else one could have used.

    python bench/accuracy.py --data FOLDER --out bench/results/accuracy.json

Online Retail is built as of several dates, each in a database of its own and up to the scores; the
labels are the host's own orders after the date, which no scorer has seen. The peers learn from the
same training rows and score the same customers. On two files without a shop the library alone is
compared, on the latest rows and on rows drawn at random. With `--date` the tables go into
docs/accuracy.md, too.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import lightgbm
import numpy as np
import pandas as pd
from common import REPOSITORY, build_host, write_between_marks
from compare_features import built_relation
from learning_curve import KEY_COLUMNS, weighted_auc
from scipy.special import expit, logit
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tabulate import tabulate

from coterie.additive import AdditiveClassifier, intercept_shift
from coterie.drift import check_drift
from coterie.learning import PROBABILITY_LIMITS, calibration_rows
from coterie.propensity import RFM_CELL_PRIOR_COUNT

HOST = REPOSITORY / "integration_tests" / "online_retail"
PAGE = REPOSITORY / "docs" / "accuracy.md"
CUTOFFS = {
    "purchase_30d": ["2011-08-11", "2011-09-10", "2011-10-10", "2011-11-09"],
    "purchase_90d": ["2011-08-11", "2011-09-10"],
}
NODES = ["+int_coterie__propensity_scores", "+coterie__model_versions"]

OWN = "Coterie"
SMALL = "small LightGBM"
CELL, NBD = "RFM-cell rate", "BG/NBD"
#: The most by which the ROC-AUC may lie below that of the small LightGBM.
MAX_AUC_GAP = 0.003
#: How a metric's difference has to be signed to be good.
SIGN = {"roc_auc": 1, "log_loss": -1, "levelled_log_loss": -1}


# ---- peers --------------------------------------------------------------------------------------


def peers(seed: int, fit_count: int) -> dict[str, list[Any]]:
    """Give the unfitted classifiers that Coterie is compared with.

    Those that draw rows and columns come several times: one draw moves their ROC-AUC by as much as
    what is to be told apart.
    """
    steady = {"deterministic": True, "force_row_wise": True, "n_jobs": 1, "verbose": -1}

    def sampling(leaf_count: int, tree_count: int) -> list[lightgbm.LGBMClassifier]:
        return [
            lightgbm.LGBMClassifier(
                num_leaves=leaf_count,
                n_estimators=tree_count,
                learning_rate=0.05,
                subsample=0.8,
                subsample_freq=1,
                colsample_bytree=0.5,
                min_child_samples=40,
                random_state=seed + number,
                **steady,
            )
            for number in range(fit_count)
        ]

    return {
        SMALL: sampling(6, 150),
        # Trees of one split: what sums of single features can reach.
        "LightGBM without interactions": sampling(2, 400),
        "default LightGBM": [lightgbm.LGBMClassifier(random_state=seed, **steady)],
        # Leaves of one row would call many customers certain, and no log loss forgives that.
        "random forest": [
            RandomForestClassifier(n_estimators=500, min_samples_leaf=10, random_state=seed)
        ],
        "logistic regression": [
            make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True),
                StandardScaler(),
                LogisticRegression(max_iter=2000),
            )
        ],
    }


def cell_rates(cells: pd.Series, outcomes: np.ndarray) -> Callable[[pd.Series], np.ndarray]:
    """Learn the rate of each RFM cell, pulled to the base rate as in the package's back-tests."""
    base = outcomes.mean()
    found = pd.Series(outcomes, index=cells.index).groupby(cells).agg(["sum", "count"])
    rates = (found["sum"] + RFM_CELL_PRIOR_COUNT * base) / (found["count"] + RFM_CELL_PRIOR_COUNT)
    return lambda wanted: wanted.map(rates).fillna(base).to_numpy(dtype=float)


def nbd_purchase_probability(customers: pd.DataFrame, horizon_days: int) -> np.ndarray:
    """Give the probability of any purchase in the horizon, as the macro of the same name."""
    weeks = customers["rate_weeks"] / (customers["rate_weeks"] + horizon_days / 7)
    bought = 1 - weeks ** customers["rate_shape"]
    return (customers["nbd_probability_alive"] * bought).to_numpy(dtype=float)


def clipped(probabilities: np.ndarray) -> np.ndarray:
    """Give the probabilities of one or several fits, a row each, kept away from 0 and 1."""
    return np.clip(np.atleast_2d(np.asarray(probabilities, float)), *PROBABILITY_LIMITS)


# ---- measures -----------------------------------------------------------------------------------


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bin_count: int = 10) -> float:
    """Give the mean gap between predicted and observed over bins of equally many rows (ECE)."""
    order = np.argsort(probabilities, kind="stable")
    gaps = [
        abs(probabilities[rows].sum() - labels[rows].sum())
        for rows in np.array_split(order, bin_count)
    ]
    return float(sum(gaps) / len(labels))


def compare(
    rows: pd.DataFrame, scorers: Mapping[str, Mapping[str, np.ndarray]], *, rounds: int, seed: int
) -> dict[str, dict[str, float]]:
    """Measure scorers on the same rows, and how Coterie differs from each.

    ROC-AUC is the mean over the groups of the ROC-AUC within one, as customers are ranked on one
    day; log loss is the mean over the rows. Of a scorer with several fits the mean of each measure
    is taken. The intervals (95 %) come from a bootstrap that draws units (customers) with all their
    rows, the same ones for all scorers.

    Parameters
    ----------
    rows : DataFrame with the columns group, unit and label
    scorers : mapping of name to {"roc_auc", "log_loss", ...: probabilities, shape (fits, n)}
        `OWN` has to be among them; a metric is measured where a scorer holds it.
    """
    labels = rows["label"].to_numpy(dtype=float)
    groups = [np.flatnonzero(rows["group"] == group) for group in rows["group"].unique()]
    unit = pd.factorize(rows["unit"])[0]
    generator = np.random.default_rng(seed)
    unit_count = unit.max() + 1
    weights = [np.ones(len(labels))]
    while len(weights) <= rounds:
        drawn = generator.integers(0, unit_count, unit_count)
        weight = np.bincount(drawn, minlength=unit_count)[unit].astype(float)
        if all(0 < weight[group] @ labels[group] < weight[group].sum() for group in groups):
            weights.append(weight)

    def sampled(metric: str, p: np.ndarray) -> np.ndarray:
        if metric != "roc_auc":
            loss = -np.where(labels == 1, np.log(p), np.log1p(-p))
            return np.array([np.average(loss, weights=w) for w in weights])
        found = np.zeros(len(weights))
        for group in groups:
            order = np.argsort(p[group], kind="stable")
            ties = np.cumsum(np.r_[0, np.diff(p[group][order]) > 0])
            y = labels[group]
            found += [weighted_auc(order, ties, y, w[group]) for w in weights]
        return found / len(groups)

    samples = {
        name: {
            metric: np.mean([sampled(metric, fit) for fit in fits], axis=0)
            for metric, fits in metrics.items()
        }
        for name, metrics in scorers.items()
    }
    found: dict[str, dict[str, float]] = {}
    for name, metrics in samples.items():
        fits = scorers[name]["log_loss"]
        found[name] = {
            "predicted_over_observed": float(fits.sum(axis=1).mean() / labels.sum()),
            "calibration_error": float(np.mean([calibration_error(labels, p) for p in fits])),
        }
        for metric, values in metrics.items():
            difference = samples[OWN][metric] - values
            lower, upper = np.quantile(difference[1:], [0.025, 0.975])
            found[name] |= {
                metric: float(values[0]),
                f"{metric}_difference": float(difference[0]),
                f"{metric}_lower": float(lower),
                f"{metric}_upper": float(upper),
            }
    return found


def best_peer(compared: Mapping[str, Mapping[str, float]], metric: str) -> str:
    """Name the peer with the best value of a metric."""
    names = [name for name in compared if name != OWN and metric in compared[name]]
    return max(names, key=lambda name: SIGN[metric] * compared[name][metric])


def is_worse(line: Mapping[str, float], metric: str) -> bool:
    """Tell whether Coterie is worse than a peer by more than the interval."""
    return line[f"{metric}_upper"] < 0 if SIGN[metric] > 0 else line[f"{metric}_lower"] > 0


def is_better(line: Mapping[str, float], metric: str) -> bool:
    """Tell whether Coterie is better than a peer by more than the interval."""
    return line[f"{metric}_lower"] > 0 if SIGN[metric] > 0 else line[f"{metric}_upper"] < 0


def verdicts(
    pooled: Mapping[str, Mapping[str, float]], parts: Mapping[str, Mapping[str, Mapping]]
) -> dict[str, tuple[bool, str]]:
    """Answer what the comparison is made for, each with its figures; parts are the cut-offs."""
    found = {}
    for metric, words in [("roc_auc", "ROC-AUC"), ("log_loss", "log loss")]:
        peer = best_peer(pooled, metric)
        line = pooled[peer]
        found[f"{words} not worse than that of the best peer"] = (
            not is_worse(line, metric),
            f"{peer}: {interval(line, metric)}",
        )
    gaps = {"all": pooled[SMALL], **{name: part[SMALL] for name, part in parts.items()}}
    worst = min(gaps, key=lambda name: gaps[name]["roc_auc_difference"])
    found[f"never more than {MAX_AUC_GAP:.3f} ROC-AUC below the {SMALL}"] = (
        gaps[worst]["roc_auc_difference"] >= -MAX_AUC_GAP,
        f"least difference, of {worst}: {interval(gaps[worst], 'roc_auc')}",
    )
    for peer in (CELL, NBD):
        if peer in pooled:
            line = pooled[peer]
            found[f"better than the {peer}"] = (
                is_better(line, "roc_auc") and is_better(line, "log_loss"),
                f"ROC-AUC {interval(line, 'roc_auc')}, log loss {interval(line, 'log_loss')}",
            )
    return found


# ---- Online Retail ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cutoff:
    """What a build as of a date has learned from and scored, and what happened then."""

    as_of: str
    horizon_days: int
    version: dict[str, Any]
    training: pd.DataFrame
    scored: pd.DataFrame
    features: list[str]
    labels: np.ndarray


def build(as_of: str, folder: Path, data: Path) -> Path:
    """Build the host as of a date in a database of its own, up to the scores."""
    database = folder / f"{as_of}.duckdb"
    database.unlink(missing_ok=True)
    build_host(
        HOST,
        database,
        NODES,
        {"coterie__as_of_date": as_of},
        environment={"COTERIE_REAL_DATA": str(data)},
    )
    return database


def read_cutoff(database: Path, as_of: str, model_name: str) -> Cutoff:
    """Read the raw scores of the newest version, whatever the gate says, and their labels."""
    with duckdb.connect(str(database), read_only=True) as connection:

        def table(name: str) -> pd.DataFrame:
            return built_relation(connection, name).df()

        of_model = f"model_name = '{model_name}' and is_newest"
        versions = built_relation(connection, "coterie__model_versions").filter(of_model).df()
        if versions.empty:
            raise SystemExit(f"Nothing was fitted for {model_name} as of {as_of}.")
        version = versions.iloc[0]
        training = table("int_coterie__propensity_training_rows")
        scores = built_relation(connection, "int_coterie__propensity_scores").filter(of_model).df()
        features = table("int_coterie__customer_features").query("is_scoring_date")
        nbd = table("int_coterie__customer_nbd").query("is_scoring_date")
        rfm = built_relation(connection, "int_coterie__customer_rfm")
        rfm = rfm.filter(f"as_of_date = date '{as_of}'").df()
        orders = table("shop_orders")
    horizon_days = int(version["horizon_days"])
    training = training[training["model_name"] == model_name]
    closed = pd.to_datetime(training["as_of_date"]) + pd.Timedelta(days=horizon_days)
    training = training[closed <= pd.Timestamp(as_of)]
    scored = scores[["customer_id", "probability"]]
    for other in (
        features.drop(columns=["as_of_date", "is_scoring_date"]),
        nbd[["customer_id", *nbd.columns.difference([*features.columns, *scored.columns])]],
        rfm[["customer_id", "rfm_cell"]],
    ):
        scored = scored.merge(other, on="customer_id", how="left", validate="one_to_one")
    used = [name for name in training.columns if name not in KEY_COLUMNS]
    used = [name for name in used if training[name].nunique(dropna=False) > 1]
    return Cutoff(
        as_of=as_of,
        horizon_days=horizon_days,
        version={
            name: str(version[name])
            for name in ("model_version", "learner", "max_iter", "calibration", "gate_status")
        },
        training=training.sort_values(["as_of_date", "customer_id"], ignore_index=True),
        scored=scored.sort_values("customer_id", ignore_index=True),
        features=used,
        labels=np.isin(
            scored["customer_id"].sort_values(), buyers(orders, as_of, horizon_days)
        ).astype(int),
    )


def buyers(orders: pd.DataFrame, as_of: str, horizon_days: int) -> list[str]:
    """List who has an order in the window that was not refunded whole."""
    start = pd.Timestamp(as_of)
    end = start + pd.Timedelta(days=horizon_days)
    if orders["ordered_at"].max().normalize() < end - pd.Timedelta(days=1):
        raise SystemExit(
            f"The orders end on {orders['ordered_at'].max():%Y-%m-%d}, but {horizon_days} days "
            f"from {as_of} end before {end:%Y-%m-%d}: choose an earlier cut-off."
        )
    is_in = (orders["ordered_at"] >= start) & (orders["ordered_at"] < end)
    is_kept = orders["order_amount"] > orders["refund_amount"].fillna(0)
    known = orders[is_in & is_kept]["customer_id"].dropna()
    return sorted(known.astype(str).unique())


def score_cutoff(cutoff: Cutoff, seed: int, fit_count: int) -> dict[str, dict[str, np.ndarray]]:
    """Predict the customers of a cut-off with Coterie and its peers."""
    outcomes = cutoff.training["outcome"].to_numpy(dtype=int)
    origins = pd.to_datetime(cutoff.training["as_of_date"]).to_numpy().astype("datetime64[D]")
    X = cutoff.training[cutoff.features].astype(float)
    X_scored = cutoff.scored[cutoff.features].astype(float)
    predicted = {}
    for name, fits in peers(seed, fit_count).items():
        fitted = [peer.fit(X, outcomes) for peer in fits]
        predicted[name] = [
            [peer.predict_proba(rows)[:, 1] for peer in fitted] for rows in (X, X_scored)
        ]
    base = outcomes.mean()
    nbd = nbd_purchase_probability(cutoff.scored, cutoff.horizon_days)
    known = cutoff.training["nbd_purchase_probability"].to_numpy(dtype=float)
    predicted[NBD] = [np.where(np.isnan(p), base, p) for p in (known, nbd)]
    rates = cell_rates(cutoff.training["rfm_cell"], outcomes)
    predicted[CELL] = [rates(rows["rfm_cell"]) for rows in (cutoff.training, cutoff.scored)]

    calibration, level_rows = calibration_rows(origins, outcomes, cutoff.as_of, cutoff.horizon_days)
    own = clipped(cutoff.scored["probability"])
    found = {OWN: {"roc_auc": own, "log_loss": own, "levelled_log_loss": own}}
    for name, (before, now) in predicted.items():
        before, now = clipped(before), clipped(now)
        levelled = now
        if calibration != "none":
            shifts = [intercept_shift(logit(p)[level_rows], outcomes[level_rows]) for p in before]
            levelled = clipped(expit(logit(now) + np.array(shifts)[:, np.newaxis]))
        found[name] = {"roc_auc": now, "log_loss": now, "levelled_log_loss": levelled}
    return found


def measure_shop(given: argparse.Namespace) -> dict:
    """Compare on each horizon of Online Retail, each cut-off alone and all together."""
    given.builds.mkdir(parents=True, exist_ok=True)
    databases = {}
    for as_of in sorted({as_of for dates in given.cutoffs.values() for as_of in dates}):
        databases[as_of] = given.builds / f"{as_of}.duckdb"
        if not (given.reuse and databases[as_of].exists()):
            print(f"Online Retail: build as of {as_of}", flush=True)
            build(as_of, given.builds, given.data)
    found = {}
    for model_name, dates in given.cutoffs.items():
        parts, lines, tables = [], [], {}
        for as_of in dates:
            print(f"Online Retail: {model_name} as of {as_of}", flush=True)
            cutoff = read_cutoff(databases[as_of], as_of, model_name)
            scorers = score_cutoff(cutoff, given.seed, given.fits)
            rows = pd.DataFrame(
                {"group": as_of, "unit": cutoff.scored["customer_id"], "label": cutoff.labels}
            )
            tables[as_of] = compare(rows, scorers, rounds=given.rounds, seed=given.seed)
            lines.append(
                {
                    "as_of_date": as_of,
                    "training_row_count": len(cutoff.training),
                    "origin_count": int(cutoff.training["as_of_date"].nunique()),
                    "customer_count": len(rows),
                    "buyer_count": int(cutoff.labels.sum()),
                    **cutoff.version,
                }
            )
            parts.append((rows, scorers))
        names = parts[0][1]
        scorers = {
            name: {
                metric: np.concatenate([scorers[name][metric] for _, scorers in parts], axis=1)
                for metric in names[name]
            }
            for name in names
        }
        rows = pd.concat([rows for rows, _ in parts], ignore_index=True)
        pooled = compare(rows, scorers, rounds=given.rounds, seed=given.seed)
        found[model_name] = {
            "horizon_days": cutoff.horizon_days,
            "cutoffs": lines,
            "pooled": pooled,
            "by_cutoff": tables,
            "verdicts": verdicts(pooled, tables),
        }
    return found


# ---- two files ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """The rows of a file as its reader knows them: what they hold, what happened, and when."""

    columns: pd.DataFrame
    named: list[str]
    labels: np.ndarray
    time: np.ndarray

    def one_hot(self, without: Sequence[str] = ()) -> pd.DataFrame:
        """Give each value of a column of names its own column, 0 or 1."""
        kept = self.columns.drop(columns=list(without))
        named = [name for name in self.named if name in kept.columns]
        return pd.get_dummies(kept, columns=named, dtype=float).astype(float)

    def codes(self) -> pd.DataFrame:
        """Give the values of a column of names numbers, so that a column stays one column."""
        coded = self.columns.copy()
        for name in self.named:
            coded[name] = pd.factorize(coded[name], sort=True)[0]
        return coded.astype(float)


def read_online_shoppers(data: Path) -> Rows:
    """Read sessions; Month numbers the months of the year in their order."""
    rows = pd.read_csv(data / "online_shoppers" / "online_shoppers_intention.csv")
    # PageValues is worked out from what was bought. Month is the time, not a feature.
    return Rows(
        columns=rows.drop(columns=["PageValues", "Month", "Revenue"]),
        named=["OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType"],
        labels=rows["Revenue"].to_numpy(dtype=int),
        time=rows["Month"].to_numpy(),
    )


def read_bank_marketing(data: Path) -> Rows:
    """Read calls; the rows stand in the order of the calls."""
    rows = pd.read_parquet(data / "bank_marketing" / "bank_additional_full.parquet")
    # How long a call lasted is known when its answer is.
    columns = rows.drop(columns=["duration", "y"])
    return Rows(
        columns=columns,
        named=[name for name in columns if not pd.api.types.is_numeric_dtype(columns[name])],
        labels=rows["y"].to_numpy(dtype=int),
        time=np.arange(len(rows)),
    )


FILES = {"online_shoppers": read_online_shoppers, "bank_marketing": read_bank_marketing}


def is_late(time: np.ndarray, late_share: float) -> np.ndarray:
    """Mark the newest whole times that make at least this share of the rows."""
    times, counts = np.unique(time, return_counts=True)
    from_here = counts[::-1].cumsum()[::-1] / len(time)
    return time >= times[from_here >= late_share][-1]


def compare_splits(
    X: pd.DataFrame,
    rows: Rows,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    given: argparse.Namespace,
) -> dict[str, dict[str, float]]:
    """Compare the library's classifier with the peers on splits of the same rows."""
    classifiers = {OWN: [AdditiveClassifier()], **peers(given.seed, given.fits)}
    frames, predicted = [], {name: [] for name in classifiers}
    for number, (train, test) in enumerate(splits):
        frames.append(pd.DataFrame({"group": number, "unit": test, "label": rows.labels[test]}))
        for name, fits in classifiers.items():
            fitted = [classifier.fit(X.iloc[train], rows.labels[train]) for classifier in fits]
            found = [classifier.predict_proba(X.iloc[test])[:, 1] for classifier in fitted]
            predicted[name].append(clipped(found))
    scorers = {
        name: dict.fromkeys(("roc_auc", "log_loss"), np.concatenate(parts, axis=1))
        for name, parts in predicted.items()
    }
    return compare(
        pd.concat(frames, ignore_index=True), scorers, rounds=given.rounds, seed=given.seed
    )


def measure_file(name: str, given: argparse.Namespace) -> dict:
    """Compare on later rows and on random ones, and once more without what moves."""
    rows = FILES[name](given.data)
    late = is_late(rows.time, given.late_share)
    in_time = [(np.flatnonzero(~late), np.flatnonzero(late))]
    drawn = StratifiedShuffleSplit(
        3, train_size=int((~late).sum()), test_size=int(late.sum()), random_state=given.seed
    )
    print(f"{name}: what moves", flush=True)
    coded = rows.codes()
    drift = check_drift(
        coded.to_numpy(),
        rows.labels,
        rows.time,
        features=list(coded.columns),
        late_share=given.late_share,
    )
    found = {
        "training_row_count": int((~late).sum()),
        "test_row_count": int(late.sum()),
        "training_rate": float(rows.labels[~late].mean()),
        "test_rate": float(rows.labels[late].mean()),
        "drifting_features": drift.drifting_features,
        "psi": drift.psi,
        "splits": {},
    }
    X = rows.one_hot()
    splits = {
        "later rows": (X, in_time),
        "random rows": (X, list(drawn.split(X, rows.labels))),
    }
    if drift.drifting_features:
        splits["later rows, without what moves"] = (rows.one_hot(drift.drifting_features), in_time)
    for label, (matrix, wanted) in splits.items():
        print(f"{name}: {label}", flush=True)
        found["splits"][label] = compare_splits(matrix, rows, wanted, given)
    return found


# ---- report -------------------------------------------------------------------------------------


def interval(line: Mapping[str, float], metric: str) -> str:
    """Write a difference with its interval."""
    return (
        f"{line[f'{metric}_difference']:+.4f} "
        f"({line[f'{metric}_lower']:+.4f} to {line[f'{metric}_upper']:+.4f})"
    )


def peer_table(compared: Mapping[str, Mapping[str, float]]) -> str:
    """Write the scorers of one comparison, the best ROC-AUC first."""
    has_level = any("levelled_log_loss" in line for line in compared.values())
    rows = []
    for name in sorted(compared, key=lambda name: -compared[name]["roc_auc"]):
        line = compared[name]
        cells = [f"**{name}**" if name == OWN else name]
        for metric in ("roc_auc", "log_loss", *(["levelled_log_loss"] if has_level else [])):
            cells.append(f"{line[metric]:.4f}")
            cells.append("" if name == OWN else interval(line, metric))
        rows.append(
            [*cells, f"{line['predicted_over_observed']:.2f}", f"{line['calibration_error']:.3f}"]
        )
    heads = ["scorer", "ROC-AUC", f"{OWN} more by", "log loss", f"{OWN} more by"]
    heads += ["log loss at our level", f"{OWN} more by"] if has_level else []
    return as_table(rows, [*heads, "predicted / observed", "ECE"])


def as_table(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    aligned = ["left"] + ["right"] * (len(heads) - 1)
    return tabulate(rows, heads, tablefmt="github", colalign=aligned, disable_numparse=True)


def verdict_list(found: Mapping[str, Sequence]) -> str:
    return "\n".join(
        f"- {'yes' if is_met else '**no**'}: {claim} ({figures})"
        for claim, (is_met, figures) in found.items()
    )


def report_shop(shop: Mapping[str, Mapping]) -> str:
    parts = []
    for model_name, found in shop.items():
        parts.append(f"### `{model_name}`, all cut-offs")
        parts.append(peer_table(found["pooled"]))
        parts.append(verdict_list(found["verdicts"]))
        parts.append(f"### `{model_name}`, each cut-off")
        rows = []
        for line in found["cutoffs"]:
            compared = found["by_cutoff"][line["as_of_date"]]
            own, small = compared[OWN], compared[SMALL]
            peer = best_peer(compared, "roc_auc")
            rows.append(
                [
                    line["as_of_date"],
                    f"{line['training_row_count']:,} ({line['origin_count']})",
                    f"{line['customer_count']:,}",
                    f"{line['buyer_count']:,}",
                    f"{own['roc_auc']:.4f}",
                    interval(small, "roc_auc"),
                    f"{peer}, {compared[peer]['roc_auc']:.4f}",
                    f"{own['predicted_over_observed']:.2f}",
                    f"{own['calibration_error']:.3f}",
                    f"{line['learner']}, {line['max_iter']}",
                    line["calibration"],
                    line["gate_status"],
                ]
            )
        heads = ["cut-off", "rows learned from (dates)", "scored", "buyers", "ROC-AUC"]
        heads += [f"more than {SMALL}", "best peer", "predicted / observed", "ECE"]
        parts.append(as_table(rows, [*heads, "learner, trees", "calibration", "gate"]))
    return "\n\n".join(parts)


def report_file(found: Mapping[str, Any]) -> str:
    parts = [
        f"Learned from {found['training_row_count']:,} rows, of which "
        f"{found['training_rate']:.1%} are positive; tested on the {found['test_row_count']:,} "
        f"later ones, of which {found['test_rate']:.1%} are, and on as many drawn at random "
        "(three draws)."
    ]
    for label, compared in found["splits"].items():
        parts.append(f"#### {label.capitalize()}")
        parts.append(peer_table(compared))
        parts.append(verdict_list(verdicts(compared, {})))
    moved = [f"`{name}` ({found['psi'][name]:.2f})" for name in found["drifting_features"]]
    parts.append(f"`drifting_features` names: {', '.join(moved) or 'nothing'}.")
    most = [f"`{name}` ({value:.2f})" for name, value in list(found["psi"].items())[:5]]
    parts.append(f"What moves most, with its population stability index: {', '.join(most)}.")
    return "\n\n".join(parts)


def report(measured: Mapping[str, Any], date: str | None) -> dict[str, str]:
    """Write the text of each data set that was measured."""
    start = f"Measured on {date}.\n\n" if date else ""
    return {
        name: start + (report_shop(found) if name == "online_retail" else report_file(found))
        for name, found in measured.items()
    }


# ---- command line -------------------------------------------------------------------------------


def parse_cutoffs(text: str) -> tuple[str, list[str]]:
    """Read `purchase_30d=2011-08-11,2011-09-10`."""
    model_name, has_dates, dates = text.partition("=")
    if not has_dates:
        raise argparse.ArgumentTypeError(f"'{text}' is not like purchase_30d=2011-08-11")
    return model_name, [str(pd.Timestamp(date).date()) for date in dates.split(",")]


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("COTERIE_REAL_DATA"),
        help="folder of the public data sets (default: the environment's COTERIE_REAL_DATA)",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=["online_retail", *FILES],
        help="measure this data set; may be given several times (default: all)",
    )
    parser.add_argument(
        "--cutoffs",
        type=parse_cutoffs,
        action="append",
        metavar="MODEL=DATE,DATE",
        help="as-of dates of a model of Online Retail; may be given several times "
        "(default: four of purchase_30d, two of purchase_90d)",
    )
    parser.add_argument(
        "--builds",
        type=Path,
        default=HOST / "target" / "accuracy",
        help="folder of the databases, one for each date (default: %(default)s)",
    )
    parser.add_argument("--reuse", action="store_true", help="take the databases that are there")
    parser.add_argument(
        "--late-share", type=float, default=0.25, help="of the files' rows; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=1000, help="of the bootstrap")
    parser.add_argument(
        "--fits", type=int, default=5, help="of the small LightGBM; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent / "results" / "accuracy.json",
        help="default: bench/results/accuracy.json",
    )
    parser.add_argument(
        "--report", type=Path, help="measure nothing; report what this JSON file holds"
    )
    parser.add_argument("--date", help="the day of the measurement; writes docs/accuracy.md")
    given = parser.parse_args(arguments)
    if given.data is None and given.report is None:
        parser.error("name the folder of the public data sets by --data or COTERIE_REAL_DATA")
    given.builds = given.builds.resolve()
    given.cutoffs = dict(given.cutoffs) if given.cutoffs else CUTOFFS
    given.only = given.only or ["online_retail", *FILES]
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse_arguments(arguments)
    if given.report:
        measured = json.loads(given.report.read_text(encoding="utf-8"))["measured"]
        measured = {name: found for name, found in measured.items() if name in given.only}
    else:
        measured = {
            name: measure_shop(given) if name == "online_retail" else measure_file(name, given)
            for name in given.only
        }
        given.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"date": given.date, "measured": measured}, indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")
    for name, words in report(measured, given.date).items():
        print(f"\n## {name}\n\n{words}")
        if given.date:
            write_between_marks(PAGE, name.replace("_", "-"), words)


if __name__ == "__main__":
    main()
