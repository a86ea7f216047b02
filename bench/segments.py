"""How stable segments are, whether they stay from month to month, and what they tell.

    COTERIE_REAL_DATA=data python bench/segments.py

Online Retail (UCI 352) as of six dates, 30 days apart, with recency, frequency and monetary value
of the last 365 days; and the planted groups of the demo shop, from orders and order lines alone.
Prints tables in Markdown; nothing is written. About two minutes.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from common import REPOSITORY
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from coterie.segmentation import (
    CustomerSegmenter,
    SegmentDefinitions,
    bootstrap_agreement,
    choose_segmenter,
    explained_share,
    fit_segments,
    segment_lineage,
    segmentation_quality,
)

RFM = ["days_since_last_order", "order_count_365d", "net_amount_365d"]
DEFAULT = {"features": RFM, "scaling": "standard", "family_weights": {RFM[0]: 1.5}}
OTHERS = {
    "default": DEFAULT,
    "recency weighs 1": {"features": RFM, "scaling": "standard"},
    "recency weighs 2": {**DEFAULT, "family_weights": {RFM[0]: 2.0}},
    "robust scaling": {**DEFAULT, "scaling": "robust"},
    "robust, recency weighs 1": {"features": RFM, "scaling": "robust"},
}
BEHAVIOUR = {
    "features": [
        "order_count",
        "avg_net_amount",
        "coupon_order_share",
        "category_count",
        "top_category",
    ],
    "scaling": "standard",
    "families": {
        "order_count": "purchases",
        "avg_net_amount": "purchases",
        "coupon_order_share": "discounts",
        "category_count": "interests",
        "top_category": "interests",
    },
    "family_weights": {"purchases": 4.0, "discounts": 0.5, "interests": 0.3},
}
LAST = datetime.date(2011, 12, 10)
MONTH = datetime.timedelta(days=30)
ORIGINS = [LAST - k * MONTH for k in range(5, -1, -1)]
OUTCOME_ORIGINS = [LAST - k * MONTH for k in range(6, 2, -1)]

FEATURES = """
with

lines as (

    select distinct *
    from read_parquet($path)
    where
        customer_id is not null
        and not starts_with(invoice_no, 'A')
        and unit_price > 0
        and abs(quantity) < 70000

)

select
    cast(customer_id as varchar) as customer_id,
    date_diff(
        'day', max(invoice_ts) filter (quantity > 0), cast($day as timestamp)
    )::double as days_since_last_order,
    count(distinct invoice_no) filter (quantity > 0)::double as order_count_365d,
    sum(quantity * unit_price)::double as net_amount_365d,
    coalesce(any_value(next_amount), 0)::double as next_amount_90d

from lines

left join (
    select
        customer_id as next_customer_id,
        sum(quantity * unit_price) as next_amount

    from lines

    where invoice_ts >= $day and invoice_ts < $day::date + 90

    group by customer_id
) as following
    on lines.customer_id = following.next_customer_id

where
    invoice_ts < $day
    and invoice_ts >= $day::date - 365

group by customer_id

having count(*) filter (quantity > 0) > 0

order by customer_id
"""

GROUPS = """
with

valid_orders as (

    select *
    from read_csv($folder || '/coterie__demo_orders.csv', all_varchar = true)
    where status = 'completed' and coalesce(is_test, 'false') = 'false'

),

by_order as (

    select
        customer_id,
        count(*)::double as order_count,
        avg(order_amount::double - coalesce(refund_amount::double, 0)) as avg_net_amount,
        avg((coupon_code is not null)::int) as coupon_order_share

    from valid_orders

    group by customer_id

    having max(ordered_at::timestamp) >= timestamp '2025-10-01' - interval 365 day

),

by_category as (

    select
        valid_orders.customer_id,
        products.category,
        sum(lines.line_amount) as amount

    from read_csv($folder || '/coterie__demo_order_lines.csv') as lines

    inner join valid_orders using (order_id)

    inner join read_csv($folder || '/coterie__demo_products.csv') as products using (product_id)

    group by valid_orders.customer_id, products.category

),

interests as (

    select
        customer_id,
        count(*)::double as category_count,
        max_by(category, (amount, category)) as top_category

    from by_category

    group by customer_id

)

select
    by_order.*,
    coalesce(interests.category_count, 0) as category_count,
    interests.top_category,
    truth."group" as planted_group

from by_order

inner join read_csv($folder || '/truth.tsv', delim = '\t') as truth using (customer_id)

left join interests using (customer_id)

order by customer_id
"""


def shop_as_of(path: Path, day: datetime.date) -> pa.Table:
    """Compute features of the year before a day, and the revenue of the 90 days from it on."""
    found = duckdb.execute(FEATURES, {"path": str(path), "day": day.isoformat()}).df()
    return pa.Table.from_pandas(found, preserve_index=False)


def demo_groups(folder: Path) -> pd.DataFrame:
    """Compute features of the demo's customers of the last year, with their planted groups."""
    return duckdb.execute(GROUPS, {"folder": str(folder)}).df()


def estimator(settings: Mapping[str, Any], **changed: Any) -> CustomerSegmenter:
    """Make the estimator of some settings."""
    return CustomerSegmenter(**{k: v for k, v in settings.items() if k != "features"} | changed)


def fit_run(own: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a run with one segmentation."""
    return {
        "segmentations": {"default": dict(own)},
        "settings_hashes": {"default": "bench"},
        "refit_interval_days": 30,
        "is_empty": False,
    }


def stability(sample: pa.Table, outcomes: Sequence[pa.Table]) -> pd.DataFrame:
    """Measure settings and numbers of segments: agreement of refits, and what five explain."""
    X = sample.select(RFM).to_pandas()
    rows = []
    for name, settings in OTHERS.items():
        row: dict[str, Any] = {"settings": name}
        for count in (4, 5, 6):
            segmenter = estimator(settings, n_clusters=count).fit(X)
            agreement = bootstrap_agreement(segmenter, segmenter.code(X))
            row[f"ARI, {count}"] = f"{agreement.mean():.3f} ({agreement.min():.2f})"
        chosen = choose_segmenter(estimator(settings), X)
        row["chosen"] = chosen.segmenter.n_clusters_
        for known in outcomes:
            past = known.select(RFM).to_pandas()
            labels = estimator(settings, n_clusters=5).fit(past).labels_
            values = np.log1p(np.maximum(known["next_amount_90d"].to_numpy(), 0))
            row.setdefault("explained", []).append(explained_share(labels, values))
        shares = row.pop("explained")
        row["explained by 5"] = " ".join(f"{share:.3f}" for share in shares)
        row["mean"] = f"{np.mean(shares):.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def months(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Refit month by month: who keeps the code, and how far centers move."""
    run, stored, before, kept, moved = fit_run(DEFAULT), None, None, [], []
    told = None
    for day in ORIGINS:
        sample = shop_as_of(path, day)
        fitted = fit_segments(sample, stored, as_of_date=day, settings=run)
        stored = fitted if stored is None else pa.concat_tables([stored, fitted])
        lineage = segment_lineage(stored, sample, told, as_of_date=day, settings=run)
        told = lineage if told is None else pa.concat_tables([told, lineage])
        definitions = SegmentDefinitions(fitted)
        now = pd.Series(
            np.array(definitions.codes)[definitions.assign(sample)],
            index=sample["customer_id"].to_pandas(),
        )
        if before is not None:
            old, old_codes = before
            frozen = pd.Series(np.array(old.codes)[old.assign(sample)], index=now.index)
            both = old_codes.index.intersection(now.index)
            is_unmoved = old_codes[both] == frozen[both]
            is_kept = now[both] == frozen[both]
            kept.append(
                {
                    "as of": day,
                    "customers": len(now),
                    "in both": len(both),
                    "unmoved": f"{is_unmoved.mean():.3f}",
                    "unmoved who keep the code": f"{is_kept[is_unmoved].mean():.4f}",
                    "all who keep it": f"{(now[both] == old_codes[both]).mean():.3f}",
                    "goes on": fitted["is_continuation"][0].as_py(),
                    "changes": ", ".join(sorted(set(lineage["change"].to_pylist()))),
                }
            )
            moved.append(
                {"as of": day}
                | {
                    row["to_segment_code"]: f"{row['center_distance']:.3f}"
                    for row in lineage.to_pylist()
                    if row["change"] == "kept"
                }
            )
        before = definitions, now
    return pd.DataFrame(kept), pd.DataFrame(moved)


def same_assignment(sample: pa.Table) -> pd.DataFrame:
    """Compare the default with other row orders, seeds, threads and doubled customers."""
    X = sample.select(RFM).to_pandas()
    first = choose_segmenter(estimator(DEFAULT), X).segmenter
    order = np.random.default_rng(0).permutation(len(X))
    twice = pd.concat([X, X], ignore_index=True)

    def agreed(labels: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
        return {
            "same": f"{(labels == expected).mean():.4f}",
            "ARI": f"{adjusted_rand_score(expected, labels):.4f}",
        }

    rows = []
    shuffled = choose_segmenter(estimator(DEFAULT), X.iloc[order]).segmenter
    rows.append({"what": "permuted rows"} | agreed(shuffled.labels_, first.labels_[order]))
    for seed in (1, 2, 3):
        other = choose_segmenter(estimator(DEFAULT, random_state=seed), X).segmenter
        rows.append({"what": f"seed {seed}"} | agreed(other.labels_, first.labels_))
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            other = choose_segmenter(estimator(DEFAULT), X).segmenter
        rows.append({"what": f"{threads} threads"} | agreed(other.labels_, first.labels_))
    doubled = choose_segmenter(estimator(DEFAULT), twice).segmenter
    rows.append({"what": "every customer twice"} | agreed(doubled.predict(X), first.labels_))
    return pd.DataFrame(rows)


def planted(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare segments of the demo with its planted groups."""
    customers = demo_groups(folder)
    rows, confusion = [], None
    for name, settings in (
        ("order_count and avg_net_amount", {"features": BEHAVIOUR["features"][:2]}),
        ("behaviour and interests", BEHAVIOUR),
    ):
        X = customers[settings["features"]]
        categories = [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]
        X = X.astype(dict.fromkeys(categories, object))
        X[categories] = X[categories].where(X[categories].notna(), None)
        for algorithm in ("kmeans", "bisecting_kmeans", "ward", "gaussian_mixture", "hdbscan"):
            asked = {"scaling": "standard", **settings, "algorithm": algorithm}
            choice = choose_segmenter(estimator(asked, categories=categories or None), X)
            labels = choice.segmenter.labels_
            agreement = adjusted_rand_score(customers.planted_group, labels)
            rows.append(
                {
                    "features": name,
                    "algorithm": algorithm,
                    "segments": choice.segmenter.n_clusters_,
                    "ARI, planted groups": f"{agreement:.3f}",
                    "ARI, refits": f"{choice.stability:.3f}",
                    "unassigned": f"{(labels < 0).mean():.3f}",
                }
            )
            if algorithm == "kmeans":
                confusion = pd.crosstab(customers.planted_group, labels + 1)
    return pd.DataFrame(rows), confusion


def costs(sample: pa.Table) -> pd.DataFrame:
    """Measure the CPU seconds of a first fit, its quality and a refit, by customers."""
    rows = []
    frame = sample.to_pandas()
    for count in (1_000, len(frame), 20_000):
        rng = np.random.default_rng(0)
        drawn = frame.iloc[np.arange(count) % len(frame)].reset_index(drop=True)
        drawn["customer_id"] = [f"c{k:06d}" for k in range(count)]
        drawn["net_amount_365d"] *= rng.lognormal(0, 0.1, count)
        customers, run = pa.Table.from_pandas(drawn, preserve_index=False), fit_run(DEFAULT)
        clock = [time.process_time()]
        fitted = fit_segments(customers, None, as_of_date=LAST, settings=run)
        clock.append(time.process_time())
        segmentation_quality(
            fitted, customers, None, as_of_date=LAST, settings=run, outcomes=customers
        )
        clock.append(time.process_time())
        fit_segments(customers, fitted, as_of_date=LAST + MONTH, settings=run)
        clock.append(time.process_time())
        rows.append(
            dict(zip(("fit", "quality", "refit"), np.diff(clock).round(2), strict=True))
            | {"customers": count}
        )
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("COTERIE_REAL_DATA"), help="data folder"
    )
    parser.add_argument("--demo", type=Path, default=REPOSITORY / "seeds" / "demo")
    given = parser.parse_args(arguments)
    if given.data is None:
        parser.error("name the data folder by --data or COTERIE_REAL_DATA")
    path = given.data / "online_retail" / "online_retail_2010_2011.parquet"
    sample = shop_as_of(path, LAST)
    outcomes = [shop_as_of(path, day) for day in OUTCOME_ORIGINS]

    def show(title: str, table: pd.DataFrame, index: bool = False) -> None:
        print(
            f"\n## {title}\n\n{table.to_markdown(index=index, disable_numparse=True)}", flush=True
        )

    days = ", ".join(map(str, OUTCOME_ORIGINS))
    show(f"Agreement of 20 refits (worst), and what five segments explain as of {days}",
         stability(sample, outcomes))  # fmt: skip
    kept, moved = months(path)
    show("Month by month", kept)
    show("How far centers move, in scaled units", moved)
    show("Nothing but the customers decides", same_assignment(sample))
    found, confusion = planted(given.demo)
    show("Planted groups of the demo", found)
    show("Planted groups and segments, behaviour and interests", confusion, index=True)
    show("CPU seconds", costs(sample))


if __name__ == "__main__":
    main()
