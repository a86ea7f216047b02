"""Compare the published purchase scores with a small LightGBM on the days that follow.

Both have seen the same training rows and score the same customers. The labels come from the host's
own orders after the as-of date, which neither has seen.

    python bench/propensity_peers.py target/host.duckdb --as-of 2011-11-09 --orders main.shop_orders
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import duckdb
import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

KEY_COLUMNS = [
    "model_name",
    "as_of_date",
    "customer_id",
    "outcome",
    "rfm_cell",
    "nbd_purchase_probability",
]


def find_relation(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """Find the relation of this name, whatever schema the host has put it in."""
    if "." in name:
        return name
    schemas = connection.execute(
        "select table_schema from information_schema.tables where table_name = ?", [name]
    ).fetchall()
    if len(schemas) != 1:
        raise SystemExit(
            f"Found {len(schemas)} relations called {name}: build the host first, or say which "
            "one is meant with its schema in front."
        )
    return f'"{schemas[0][0]}"."{name}"'


def read_training_rows(connection: duckdb.DuckDBPyConnection, model_name: str) -> pd.DataFrame:
    rows = find_relation(connection, "int_coterie__propensity_training_rows")
    return connection.execute(
        f"select * from {rows} where model_name = ? order by as_of_date, customer_id", [model_name]
    ).df()


def read_scores(connection: duckdb.DuckDBPyConnection, model_name: str) -> pd.DataFrame:
    """Read the raw scores of the newest version."""
    scores = find_relation(connection, "int_coterie__propensity_scores")
    versions = find_relation(connection, "coterie__model_versions")
    return connection.execute(
        f"""
        select scores.customer_id, scores.model_version, scores.probability
        from {scores} as scores
        where scores.model_name = $model_name and scores.model_version = (
            select versions.model_version
            from {versions} as versions
            where versions.model_name = $model_name and versions.model_version != 'none'
            order by versions.fitted_as_of desc, versions.model_version
            limit 1
        )
        order by scores.customer_id
        """,
        {"model_name": model_name},
    ).df()


def read_features(connection: duckdb.DuckDBPyConnection, as_of: str) -> pd.DataFrame:
    features = find_relation(connection, "int_coterie__customer_features")
    return connection.execute(
        f"select * from {features} where as_of_date = cast(? as date)", [as_of]
    ).df()


def read_buyers(
    connection: duckdb.DuckDBPyConnection, orders: str, as_of: str, horizon_days: int
) -> set[str]:
    """Read who has an order in the window that was not refunded whole."""
    relation = find_relation(connection, orders)
    last_day = connection.execute(f"select max(ordered_at) from {relation}").fetchone()[0]
    window_end = pd.Timestamp(as_of) + pd.Timedelta(days=horizon_days)
    if pd.Timestamp(last_day).normalize() < window_end - pd.Timedelta(days=1):
        raise SystemExit(
            f"The orders end on {last_day:%Y-%m-%d}, but the window ends before "
            f"{window_end:%Y-%m-%d}: choose an earlier --as-of."
        )
    rows = connection.execute(
        f"""
        select distinct cast(customer_id as varchar)
        from {relation}
        where
            customer_id is not null
            and ordered_at >= cast($as_of as date)
            and ordered_at < cast($as_of as date) + cast($days as integer)
            and order_amount > coalesce(refund_amount, 0)
        """,
        {"as_of": as_of, "days": horizon_days},
    ).fetchall()
    return {customer_id for (customer_id,) in rows}


def fit_peer(
    training_rows: pd.DataFrame, features: Sequence[str], arguments: argparse.Namespace
) -> lightgbm.LGBMClassifier:
    peer = lightgbm.LGBMClassifier(
        num_leaves=arguments.leaves,
        n_estimators=arguments.trees,
        learning_rate=0.05,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        min_child_samples=40,
        random_state=arguments.seed,
        deterministic=True,
        force_row_wise=True,
        n_jobs=2,
        verbose=-1,
    )
    return peer.fit(training_rows[features].astype(float), training_rows["outcome"].astype(int))


def bootstrap_difference(
    labels: np.ndarray, left: np.ndarray, right: np.ndarray, *, rounds: int, seed: int
) -> tuple[float, float]:
    """Give a paired interval (95 %) of the difference of two ROC-AUCs, over customers."""
    generator = np.random.default_rng(seed)
    draws = []
    while len(draws) < rounds:
        rows = generator.integers(0, len(labels), len(labels))
        if 0 < labels[rows].sum() < len(rows):
            draws.append(
                roc_auc_score(labels[rows], left[rows]) - roc_auc_score(labels[rows], right[rows])
            )
    lower, upper = np.quantile(draws, [0.025, 0.975])
    return float(lower), float(upper)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("database", help="DuckDB file of a host that was built at the as-of date")
    parser.add_argument("--as-of", required=True, help="the as-of date of the build, exclusive")
    parser.add_argument("--model", default="purchase_30d", help="default: %(default)s")
    parser.add_argument("--horizon-days", type=int, default=30, help="default: %(default)s")
    parser.add_argument(
        "--orders",
        default="shop_orders",
        help="relation with customer_id, ordered_at, order_amount, refund_amount; its orders go on "
        "after the as-of date (default: %(default)s)",
    )
    parser.add_argument("--leaves", type=int, default=6, help="of a tree; default: %(default)s")
    parser.add_argument("--trees", type=int, default=250, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=1000, help="of the bootstrap")
    parser.add_argument(
        "--max-auc-gap",
        type=float,
        default=None,
        help="end with 1 if the peer's ROC-AUC is higher by more than this",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse_arguments(arguments)
    with duckdb.connect(given.database, read_only=True) as connection:
        training_rows = read_training_rows(connection, given.model)
        scores = read_scores(connection, given.model)
        features_now = read_features(connection, given.as_of)
        buyers = read_buyers(connection, given.orders, given.as_of, given.horizon_days)
    if training_rows.empty or scores.empty:
        raise SystemExit(f"Nothing was fitted for {given.model}: there is nothing to compare.")

    features = [c for c in training_rows.columns if c not in KEY_COLUMNS]
    scored = scores.merge(features_now, on="customer_id", how="left", validate="one_to_one")
    if scored["as_of_date"].isna().any():
        raise SystemExit(f"The scores are not of {given.as_of}: build the host at that date.")
    labels = scored["customer_id"].isin(buyers).to_numpy(dtype=int)

    peer = fit_peer(training_rows, features, given)
    peer_probabilities = peer.predict_proba(scored[features].astype(float))[:, 1]
    own_probabilities = scored["probability"].to_numpy(dtype=float)
    base_rate = np.full(len(labels), training_rows["outcome"].mean())

    print(f"{given.model} as of {given.as_of}, labels from the {given.horizon_days} days after it")
    print(
        f"trained on {len(training_rows):,} rows of {training_rows['as_of_date'].nunique()} dates "
        f"with {len(features)} features; {len(labels):,} customers scored, {labels.sum():,} buyers"
    )
    print()
    print(f"{'':26}{'ROC-AUC':>9}{'log loss':>10}{'mean':>8}")
    for name, probabilities in [
        (f"coterie {scores['model_version'].iloc[0][:12]}", own_probabilities),
        (f"LightGBM, {given.leaves} leaves", peer_probabilities),
        ("base rate", base_rate),
    ]:
        print(
            f"{name:26}{roc_auc_score(labels, probabilities):9.4f}"
            f"{log_loss(labels, probabilities):10.4f}{probabilities.mean():8.4f}"
        )
    print(f"{'observed':26}{'':19}{labels.mean():8.4f}")
    difference = roc_auc_score(labels, own_probabilities) - roc_auc_score(
        labels, peer_probabilities
    )
    lower, upper = bootstrap_difference(
        labels, own_probabilities, peer_probabilities, rounds=given.rounds, seed=given.seed
    )
    print()
    print(f"ROC-AUC, coterie - LightGBM: {difference:+.4f} (95 % {lower:+.4f} to {upper:+.4f})")
    return int(given.max_auc_gap is not None and difference < -given.max_auc_gap)


if __name__ == "__main__":
    sys.exit(main())
