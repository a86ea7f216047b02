"""How well predicted values rank and how far they are off, beside what else one could have used.

    python bench/value_accuracy.py --data FOLDER --out bench/results/value_accuracy.json

Online Retail is built as of two dates, and CDNOW as of the one that its papers use, each in a
database of its own up to the values; what customers then spent is read off the orders after the
date, which nothing that was fitted has seen. The peers learn from the same rows and predict the
same customers. With `--date` the tables go into docs/lifetime_value.md, too. The package lifetimes
is old: give it an environment of its own; without one our own MBG/NBD and Gamma-Gamma take its
place.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import lightgbm
import numpy as np
import pandas as pd
from accuracy import HOST as ONLINE_RETAIL
from accuracy import OWN, as_table, interval
from common import REPOSITORY, build_host, write_between_marks
from compare_features import built_relation

from coterie.lifetime_value import GammaGamma, ModifiedBetaGeometricNBD
from coterie.lifetime_value.metrics import weighted_value_metrics
from coterie.quality import draw_weights

PAGE = REPOSITORY / "docs" / "lifetime_value.md"
BARE_SHOP = REPOSITORY / "integration_tests" / "bare_shop"
NODES = ["+int_coterie__customer_values"]

NBD, LIFETIMES = "MBG/NBD and Gamma-Gamma", "lifetimes"
LIGHTGBM = "small LightGBM in two stages"
LAST_PERIOD, COHORT = "the period before", "mean of the cohort"

#: Which metrics are compared, and how their difference has to be signed to be good.
SIGN = {"mae": -1, "normalised_gini": 1, "spearman": 1, "top_decile_share": 1}
WORDS = {
    "mae": "mean absolute error",
    "normalised_gini": "normalised Gini",
    "spearman": "Spearman",
    "top_decile_share": "top tenth brings",
}
#: By how much the normalised Gini of CDNOW has to exceed that of the purchase model.
GINI_TARGET = 0.03


@dataclass(frozen=True)
class DataSet:
    """What is built and predicted."""

    name: str
    cutoffs: tuple[str, ...]
    horizon_days: int


SETS = {
    "online_retail": DataSet("Online Retail", ("2011-08-11", "2011-09-10"), 90),
    "cdnow": DataSet("CDNOW", ("1997-10-01",), 273),
}


@dataclass(frozen=True)
class Cutoff:
    """What a build as of a date has learned from and predicted, and what happened then."""

    as_of: str
    horizon_days: int
    version: dict[str, Any]
    features: list[str]
    training: pd.DataFrame
    scored: pd.DataFrame
    actual: np.ndarray


# ---- builds -------------------------------------------------------------------------------------


def build(key: str, as_of: str, database: Path, data: Path) -> None:
    """Build the host of a data set as of a date, up to the values."""
    database.unlink(missing_ok=True)
    variables = {"coterie__as_of_date": as_of}
    host = ONLINE_RETAIL
    if key == "cdnow":
        host = BARE_SHOP
        horizons = [90, SETS[key].horizon_days, 365]
        variables["coterie__lifetime_value"] = {"horizon_days": horizons}
        with duckdb.connect(str(database)) as connection:
            connection.execute("create schema shop")
            connection.execute(
                """
                create table shop.orders as
                select
                    row_number() over (order by customer_id, order_date, cds, amount) as order_id,
                    customer_id,
                    cast(order_date as timestamp) as ordered_at,
                    cast(amount as decimal(18, 2)) as order_amount
                from read_parquet(?)
                """,
                [str(data / "cdnow" / "cdnow_sample.parquet")],
            )
    build_host(host, database, NODES, variables, environment={"COTERIE_REAL_DATA": str(data)})


def read_cutoff(key: str, database: Path, as_of: str) -> Cutoff:
    """Read the values of the newest version, whatever the gate says, and what came true."""
    horizon_days = SETS[key].horizon_days
    model_name = f"value_{horizon_days}d"
    with duckdb.connect(str(database), read_only=True) as connection:

        def table(name: str) -> duckdb.DuckDBPyRelation:
            return built_relation(connection, name)

        values = table("int_coterie__customer_values")
        values = values.filter(f"model_name = '{model_name}' and is_newest").df()
        versions = table("int_coterie__value_weights").filter(f"model_name = '{model_name}'").df()
        training = table("int_coterie__value_training_rows").df()
        features = table("int_coterie__customer_features").filter("is_scoring_date").df()
        nbd = table("int_coterie__customer_nbd").filter("is_scoring_date").df()
        histories = table("int_coterie__purchase_histories").filter("is_scoring_date").df()
        past = table("int_coterie__value_outcomes").filter("is_scoring_date").df()
        orders = table("shop_orders" if key == "online_retail" else "orders").df()
    if values.empty:
        raise SystemExit(f"Nothing was predicted for {model_name} as of {as_of}.")
    features["days_until_due"] = features["avg_gap_days"] - features["days_since_last_order"]
    names = ["customer_id", "predicted_amount", "lower_amount", "upper_amount", "cohort_amount"]
    scored = values[names]
    for other in (
        histories[["customer_id", *histories.columns.difference(features.columns)]],
        features.drop(columns=["as_of_date", "is_scoring_date"]),
        nbd[["customer_id", "nbd_probability_alive", "nbd_purchase_probability_90d"]],
        past[["customer_id", f"past_amount_{horizon_days}d"]],
    ):
        scored = scored.merge(other, on="customer_id", how="inner", validate="one_to_one")
    scored = scored.sort_values("customer_id", ignore_index=True)
    version = versions.iloc[0]
    learned = int(version["learned_horizon_days"])
    settings = json.loads(version["settings"])
    used = [name for name in settings["features"] if training[name].nunique(dropna=False) > 1]
    closed = pd.to_datetime(training["as_of_date"]) + pd.Timedelta(days=learned)
    training = training[(closed <= pd.Timestamp(as_of)) & training[f"amount_{learned}d"].notna()]
    facts = ["learned_horizon_days", "training_row_count", "origin_count", "history_days"]
    facts += ["additive_share", "spend_slope", "nbd_level", "learner"]
    return Cutoff(
        as_of=as_of,
        horizon_days=horizon_days,
        version={
            name: getattr(version[name], "item", lambda v=version[name]: v)() for name in facts
        },
        features=used,
        training=training.sort_values(["as_of_date", "customer_id"], ignore_index=True),
        scored=scored,
        actual=amounts_after(orders, scored["customer_id"], as_of, horizon_days),
    )


def amounts_after(
    orders: pd.DataFrame, customers: pd.Series, as_of: str, horizon_days: int
) -> np.ndarray:
    """Add up what customers spent in the window, refunds taken off."""
    start = pd.Timestamp(as_of)
    end = start + pd.Timedelta(days=horizon_days)
    if orders["ordered_at"].max().normalize() < end - pd.Timedelta(days=1):
        raise SystemExit(
            f"The orders end on {orders['ordered_at'].max():%Y-%m-%d}, but {horizon_days} days "
            f"from {as_of} end before {end:%Y-%m-%d}: choose an earlier cut-off."
        )
    refunds = orders["refund_amount"].fillna(0) if "refund_amount" in orders else 0
    net = (orders["order_amount"].astype(float) - np.asarray(refunds, dtype=float)).clip(lower=0)
    is_in = (orders["ordered_at"] >= start) & (orders["ordered_at"] < end)
    spent = net[is_in].groupby(orders["customer_id"].astype(str)[is_in]).sum()
    return spent.reindex(customers).fillna(0.0).to_numpy()


# ---- peers --------------------------------------------------------------------------------------


def two_stage_amounts(
    X: pd.DataFrame, amounts: np.ndarray, X_scored: pd.DataFrame, seed: int, fit_count: int
) -> np.ndarray:
    """Predict whether and how much customers spend by boosted trees, shape (fits, n).

    The settings are those of the small LightGBM of docs/accuracy.md; log amounts are brought back
    by Duan's smearing, as ours.
    """
    bought = amounts > 0
    found = []
    for number in range(fit_count):
        parameters = {
            "num_leaves": 6,
            "n_estimators": 150,
            "learning_rate": 0.05,
            "subsample": 0.8,
            "subsample_freq": 1,
            "colsample_bytree": 0.5,
            "min_child_samples": 40,
            "random_state": seed + number,
            "deterministic": True,
            "force_row_wise": True,
            "n_jobs": 1,
            "verbose": -1,
        }
        buys = lightgbm.LGBMClassifier(**parameters).fit(X, bought)
        spends = lightgbm.LGBMRegressor(**parameters).fit(X[bought], np.log(amounts[bought]))
        smearing = np.exp(np.log(amounts[bought]) - spends.predict(X[bought])).mean()
        found.append(
            buys.predict_proba(X_scored)[:, 1] * np.exp(spends.predict(X_scored)) * smearing
        )
    return np.array(found)


def purchase_model_amounts(customers: pd.DataFrame, horizon_days: int) -> np.ndarray:
    """Give what customers are expected to spend by our MBG/NBD and Gamma-Gamma, fitted on them."""
    states, x, spend = purchase_states(customers)
    purchases = ModifiedBetaGeometricNBD().fit(states)
    is_repeat = (x > 0) & (spend > 0)
    amounts = GammaGamma().fit(np.column_stack([x, spend])[is_repeat])
    return purchases.expected_purchases(states, horizon_days / 7) * amounts.expected_spend(x, spend)


def purchase_states(customers: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give x, t_x and T in weeks, and x and the mean spend of repeats by themselves."""
    x = customers["repeat_count"].to_numpy(dtype=float)
    weeks = customers[["recency_days", "age_days"]].to_numpy(dtype=float) / 7
    spend = customers["avg_repeat_net_amount"].astype(float).fillna(0.0).to_numpy()
    return np.column_stack([x, weeks]), x, spend


def lifetimes_amounts(customers: pd.DataFrame, horizon_days: int, python: str) -> np.ndarray | None:
    """Have the package lifetimes do the same in another Python; None where it has no result."""
    states, _, spend = purchase_states(customers)
    script = (
        "import json, sys, numpy\n"
        "from lifetimes import GammaGammaFitter, ModifiedBetaGeoFitter\n"
        "x, t_x, T, m = numpy.array(json.load(sys.stdin)).T\n"
        "orders = ModifiedBetaGeoFitter().fit(x, t_x, T)\n"
        "bought = orders.conditional_expected_number_of_purchases_up_to_time("
        f"{horizon_days / 7}, x, t_x, T)\n"
        "known = (x > 0) & (m > 0)\n"
        "spend = GammaGammaFitter().fit(x[known], m[known])\n"
        "each = spend.conditional_expected_average_profit(x, m)\n"
        "print(json.dumps(numpy.asarray(bought * each).tolist()))\n"
    )
    done = subprocess.run(
        [python, "-c", script],
        input=json.dumps(np.column_stack([states, spend]).tolist()),
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if line.startswith("[")]
    if done.returncode or not found:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        print(f"{python} has no result of lifetimes: left out; see --lifetimes-python ({last})")
        return None
    amounts = np.array(json.loads(found[-1]), dtype=float)
    return amounts if np.isfinite(amounts).all() else None


def predict_cutoff(cutoff: Cutoff, given: argparse.Namespace) -> dict[str, np.ndarray]:
    """Predict the customers of a cut-off with Coterie and its peers, each of shape (fits, n)."""
    scored, horizon_days = cutoff.scored, cutoff.horizon_days
    learned = cutoff.version["learned_horizon_days"]
    found = {OWN: scored["predicted_amount"].to_numpy()}
    found[NBD] = purchase_model_amounts(scored, horizon_days)
    by_lifetimes = lifetimes_amounts(scored, horizon_days, given.lifetimes_python)
    if by_lifetimes is not None:
        found[LIFETIMES] = by_lifetimes
    boosted = two_stage_amounts(
        cutoff.training[cutoff.features].astype(float),
        cutoff.training[f"amount_{learned}d"].to_numpy(dtype=float),
        scored[cutoff.features].astype(float),
        given.seed,
        given.fits,
    )
    if learned < horizon_days:
        # As with ours, the purchase model says how much all of them spend in the longer time.
        boosted *= found[NBD].sum() / boosted.sum(axis=1, keepdims=True)
    found[LIGHTGBM] = boosted
    found[LAST_PERIOD] = scored[f"past_amount_{horizon_days}d"].astype(float).fillna(0).to_numpy()
    found[COHORT] = scored["cohort_amount"].astype(float).fillna(0).to_numpy()
    return {name: np.atleast_2d(amounts) for name, amounts in found.items()}


# ---- measures -----------------------------------------------------------------------------------


def compare(
    rows: pd.DataFrame, scorers: Mapping[str, np.ndarray], *, rounds: int, seed: int
) -> dict[str, dict[str, float]]:
    """Measure predicted amounts on the same rows, and how Coterie differs from each scorer.

    Of several cut-offs the mean of each metric is taken, as customers are ranked on one day, and
    of a scorer with several fits the mean of their figures. The intervals (95 %) come from a
    bootstrap that draws customers with all their rows, the same ones for all scorers.

    Parameters
    ----------
    rows : DataFrame with the columns group, unit and actual
    scorers : mapping of name to ndarray of float64, shape (fits, n)
        `OWN` has to be among them.
    """
    actual = rows["actual"].to_numpy(dtype=float)
    unit = pd.factorize(rows["unit"])[0]
    groups = [np.flatnonzero(rows["group"] == group) for group in rows["group"].unique()]
    drawn = draw_weights(unit.max() + 1, rounds, np.random.default_rng(seed))
    weights = np.column_stack([np.ones(len(drawn)), drawn])

    def sampled(predicted: np.ndarray) -> dict[str, np.ndarray]:
        parts = [
            weighted_value_metrics(unit[group], actual[group], predicted[group], weights)
            for group in groups
        ]
        return {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}

    samples = {}
    for name, fits in scorers.items():
        measured = [sampled(fit) for fit in fits]
        samples[name] = {
            metric: np.mean([found[metric] for found in measured], axis=0) for metric in measured[0]
        }
    found: dict[str, dict[str, float]] = {}
    for name, metrics in samples.items():
        found[name] = {metric: float(values[0]) for metric, values in metrics.items()}
        for metric in SIGN:
            difference = samples[OWN][metric] - metrics[metric]
            lower, upper = np.nanquantile(difference[1:], [0.025, 0.975])
            found[name] |= {
                f"{metric}_difference": float(difference[0]),
                f"{metric}_lower": float(lower),
                f"{metric}_upper": float(upper),
            }
    return found


def is_worse(line: Mapping[str, float], metric: str) -> bool:
    """Tell whether Coterie is worse than a peer by more than the interval."""
    return line[f"{metric}_upper"] < 0 if SIGN[metric] > 0 else line[f"{metric}_lower"] > 0


def verdicts(key: str, compared: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[bool, str]]:
    """Answer what the comparison is made for, each with its figures."""
    learned = [name for name in (LIFETIMES, NBD, LIGHTGBM) if name in compared]
    best = max(learned, key=lambda name: compared[name]["normalised_gini"])
    found = {
        f"normalised Gini not below that of the best peer ({best})": (
            not is_worse(compared[best], "normalised_gini"),
            interval(compared[best], "normalised_gini"),
        )
    }
    nbd = LIFETIMES if LIFETIMES in compared else NBD
    line = compared[nbd]
    found[f"mean absolute error not above that of {nbd}"] = (
        line["mae_difference"] <= 0,
        amount_interval(line),
    )
    if key == "cdnow":
        found[f"normalised Gini at least {GINI_TARGET:.2f} above that of {nbd}"] = (
            line["normalised_gini_difference"] >= GINI_TARGET,
            interval(line, "normalised_gini"),
        )
    return found


def measure(key: str, given: argparse.Namespace) -> dict:
    """Compare on the cut-offs of a data set, each alone and all together."""
    given.builds.mkdir(parents=True, exist_ok=True)
    name = SETS[key].name
    parts, lines, tables = [], [], {}
    for as_of in SETS[key].cutoffs:
        database = given.builds / f"{key}_{as_of}.duckdb"
        if not (given.reuse and database.exists()):
            print(f"{name}: build as of {as_of}", flush=True)
            build(key, as_of, database, given.data)
        print(f"{name}: values as of {as_of}", flush=True)
        cutoff = read_cutoff(key, database, as_of)
        scorers = predict_cutoff(cutoff, given)
        rows = pd.DataFrame(
            {"group": as_of, "unit": cutoff.scored["customer_id"], "actual": cutoff.actual}
        )
        tables[as_of] = compare(rows, scorers, rounds=given.rounds, seed=given.seed)
        inside = (cutoff.scored["lower_amount"] <= cutoff.actual) & (
            cutoff.actual <= cutoff.scored["upper_amount"]
        )
        lines.append(
            {
                "as_of_date": as_of,
                "customer_count": len(rows),
                "buyer_count": int((cutoff.actual > 0).sum()),
                "interval_coverage": float(inside.mean()),
                **cutoff.version,
            }
        )
        parts.append((rows, scorers))
    names = [name for name in parts[0][1] if all(name in scorers for _, scorers in parts)]
    rows = pd.concat([rows for rows, _ in parts], ignore_index=True)
    scorers = {
        name: np.concatenate([scorers[name] for _, scorers in parts], axis=1) for name in names
    }
    pooled = compare(rows, scorers, rounds=given.rounds, seed=given.seed)
    return {
        "horizon_days": SETS[key].horizon_days,
        "cutoffs": lines,
        "pooled": pooled,
        "by_cutoff": tables,
        "verdicts": verdicts(key, pooled),
    }


# ---- report -------------------------------------------------------------------------------------


def amount_interval(line: Mapping[str, float]) -> str:
    """Write a difference of mean absolute errors with its interval."""
    return f"{line['mae_difference']:+.2f} ({line['mae_lower']:+.2f} to {line['mae_upper']:+.2f})"


def peer_table(compared: Mapping[str, Mapping[str, float]]) -> str:
    """Write the scorers of one comparison, the best normalised Gini first."""
    rows = []
    for name in sorted(compared, key=lambda name: -compared[name]["normalised_gini"]):
        line = compared[name]
        is_own = name == OWN
        rows.append(
            [
                f"**{name}**" if is_own else name,
                f"{line['normalised_gini']:.4f}",
                "" if is_own else interval(line, "normalised_gini"),
                f"{line['mae']:.2f}",
                "" if is_own else amount_interval(line),
                f"{line['spearman']:.3f}",
                f"{line['top_decile_share']:.1%}",
                f"{line['bias']:+.0%}",
            ]
        )
    heads = ["predicted by", "normalised Gini", f"{OWN} more by", "mean absolute error"]
    heads += [f"{OWN} more by", "Spearman", "top tenth brings", "in sum off by"]
    return as_table(rows, heads)


def report(found: Mapping[str, Any], date: str | None) -> str:
    """Write the text of one data set."""
    parts = [f"Measured on {date}."] if date else []
    parts.append(peer_table(found["pooled"]))
    parts.append(
        "\n".join(
            f"- {'yes' if is_met else '**no**'}: {claim} ({figures})"
            for claim, (is_met, figures) in found["verdicts"].items()
        )
    )
    rows = [
        [
            line["as_of_date"],
            f"{line['history_days']}",
            f"{line['training_row_count']:,} ({line['origin_count']})",
            f"{line['learned_horizon_days']}",
            f"{line['additive_share']:g}",
            f"{line['customer_count']:,}",
            f"{line['buyer_count']:,}",
            f"{found['by_cutoff'][line['as_of_date']][OWN]['bias']:+.0%}",
            f"{line['interval_coverage']:.1%}",
        ]
        for line in found["cutoffs"]
    ]
    heads = ["cut-off", "days of history", "rows learned from (dates)", "days learned"]
    heads += ["learned part counts", "customers", "of whom bought", "in sum off by"]
    parts.append(as_table(rows, [*heads, "inside the interval of 80 %"]))
    return "\n\n".join(parts)


# ---- command line -------------------------------------------------------------------------------


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
        choices=list(SETS),
        help="measure this data set; may be given several times (default: all)",
    )
    parser.add_argument(
        "--builds",
        type=Path,
        default=ONLINE_RETAIL / "target" / "values",
        help="folder of the databases, one for each date (default: %(default)s)",
    )
    parser.add_argument("--reuse", action="store_true", help="take the databases that are there")
    parser.add_argument(
        "--lifetimes-python",
        default=sys.executable,
        help="a Python that has the package lifetimes (default: this one)",
    )
    parser.add_argument("--rounds", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--fits", type=int, default=5, help="of LightGBM; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent / "results" / "value_accuracy.json",
        help="default: bench/results/value_accuracy.json",
    )
    parser.add_argument(
        "--report", type=Path, help="measure nothing; report what this JSON file holds"
    )
    parser.add_argument("--date", help=f"the day of the measurement; writes docs/{PAGE.name}")
    given = parser.parse_args(arguments)
    if given.data is None and given.report is None:
        parser.error("name the folder of the public data sets by --data or COTERIE_REAL_DATA")
    given.builds = given.builds.resolve()
    given.only = given.only or list(SETS)
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse_arguments(arguments)
    if given.report:
        measured = json.loads(given.report.read_text(encoding="utf-8"))["measured"]
        measured = {name: found for name, found in measured.items() if name in given.only}
    else:
        measured = {key: measure(key, given) for key in given.only}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"date": given.date, "measured": measured}, indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")
    for key, found in measured.items():
        words = report(found, given.date)
        print(f"\n## {SETS[key].name}\n\n{words}")
        if given.date:
            write_between_marks(PAGE, f"values-{key.replace('_', '-')}", words)


if __name__ == "__main__":
    main()
