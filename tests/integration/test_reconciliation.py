"""Orders and money of the marts are those of the raw input, less what is counted elsewhere.

Everything is reckoned from the files themselves; nothing of the package takes part in it.
"""

from __future__ import annotations

import os
from decimal import Decimal

import duckdb
import pandas as pd
import pytest
from harness import DEMO_SEEDS
from scenarios import ONLINE_RETAIL_AS_OF

CENT = Decimal("0.01")

#: What becomes of an order; those but the last are in no mart.
FATES = ["guest", "test", "invalid_status", "fully_refunded", "counted"]

#: What the demo shop calls an order that is none.
INVALID_STATUSES = ("cancelled", "pending", "test")


def cents(value: object) -> Decimal:
    return Decimal(str(value or 0)).quantize(CENT)


# ---- the demo shop -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw_orders() -> pd.DataFrame:
    """Each raw order with what must become of it, as of the day after the newest valid one."""
    query = f"""
        with raw as (
            select
                * replace (cast(order_amount as decimal(18, 2)) as order_amount),
                coalesce(cast(refund_amount as decimal(18, 2)), 0) as refund,
                ordered_at >= '2090-01-01' as is_far_ahead
            from read_csv('{DEMO_SEEDS}/coterie__demo_orders.csv', header = true, sample_size = -1)
        ),
        broken as (
            select *, case
                when order_id is null then 'missing_order_id'
                when order_amount is null then 'missing_order_amount'
                when is_far_ahead then 'future_dated'
            end as rule
            from raw
        ),
        ruled as (
            select * replace (coalesce(rule, case when row_number() over (
                partition by order_id, rule
                order by ordered_at, status_changed_at desc nulls last, refunded_at desc nulls last
            ) > 1 then 'duplicate' end) as rule)
            from broken
        )
        select
            rule,
            order_id,
            customer_id,
            ordered_at,
            coalesce(order_amount, 0) as order_amount,
            refund,
            case
                when rule is not null then null
                when customer_id is null then 'guest'
                when is_test then 'test'
                when status in {INVALID_STATUSES} then 'invalid_status'
                when order_amount <= refund then 'fully_refunded'
                else 'counted'
            end as fate
        from ruled
    """
    with duckdb.connect() as connection:
        rows = connection.sql(query).df()
    # All changes of the demo lie before its date, so that none has to be undone here.
    return rows


def test_the_raw_orders_have_every_fate(raw_orders):
    assert set(raw_orders["fate"].dropna()) == set(FATES)
    assert set(raw_orders["rule"].dropna()) == {
        "missing_order_id",
        "missing_order_amount",
        "future_dated",
        "duplicate",
    }


def test_rejected_rows_are_those_of_the_file(every_input, raw_orders):
    counted = every_input.query(
        "select rule_name, count(*) as n from {int_coterie__rejected_rows} "
        "where input_name = 'orders' group by rule_name"
    )
    expected = raw_orders["rule"].value_counts().to_dict()
    assert counted.set_index("rule_name")["n"].to_dict() == expected


def test_every_raw_order_is_accounted_for_to_the_cent(every_input, raw_orders):
    """Raw = counted in the marts + rejected by rule + guests + tests + invalid + given back."""
    accepted = every_input.query(
        "select count(*) as n, sum(order_amount) as amount from {int_coterie__orders}"
    ).iloc[0]
    rejected = every_input.value(
        "select count(*) from {int_coterie__rejected_rows} where input_name = 'orders'"
    )
    mart = every_input.query(
        "select sum(order_count) as n, sum(net_amount) as amount from {coterie__customers}"
    ).iloc[0]

    assert accepted["n"] + rejected == len(raw_orders)
    uncounted = raw_orders[raw_orders["fate"].notna() & raw_orders["fate"].ne("counted")]
    assert accepted["n"] - len(uncounted) == mart["n"]

    is_rejected = raw_orders["rule"].notna()
    raw_amount = cents(raw_orders["order_amount"].sum())
    rejected_amount = cents(raw_orders.loc[is_rejected, "order_amount"].sum())
    assert raw_amount - rejected_amount == cents(accepted["amount"])
    given_back = cents(raw_orders.loc[raw_orders["fate"].eq("counted"), "refund"].sum())
    uncounted_amount = cents(uncounted["order_amount"].sum())
    assert given_back > 0
    assert uncounted_amount > 0
    assert raw_amount - rejected_amount - uncounted_amount - given_back == cents(mart["amount"])


def test_every_customer_has_the_orders_and_the_money_of_the_file(every_input, raw_orders):
    counted = raw_orders[raw_orders["fate"] == "counted"]
    net = (counted["order_amount"] - counted["refund"]).map(cents)
    own = (
        pd.DataFrame({"customer_id": counted["customer_id"], "net_amount": net})
        .groupby("customer_id")["net_amount"]
        .agg(["size", "sum"])
    )
    customers = every_input.table("coterie__customers").set_index("customer_id")
    bought = customers[customers["order_count"] > 0]
    assert set(bought.index) == set(own.index)
    bought = bought.loc[own.index]
    assert bought["order_count"].astype(int).tolist() == own["size"].tolist()
    assert bought["net_amount"].map(cents).tolist() == own["sum"].tolist()


def test_the_date_is_the_day_after_the_newest_valid_order(every_input, raw_orders):
    valid = raw_orders[raw_orders["fate"].isin(["counted", "guest"])]
    dates = every_input.query("select distinct as_of_date from {coterie__customers}")
    newest = valid["ordered_at"].max().normalize()
    assert dates["as_of_date"].tolist() == [newest + pd.Timedelta(days=1)]


def test_segments_share_out_the_same_money(every_input):
    """Each kind of segment holds every customer once, and all that was earned in the look-back."""
    profiles = every_input.table("coterie__segment_profiles")
    customers = every_input.table("coterie__customers")
    features = every_input.query(
        "select sum(net_amount_lookback) as amount from {int_coterie__customer_features} "
        "where is_scoring_date"
    )
    sums = profiles.groupby("segmentation_name").agg(
        customer_count=("customer_count", "sum"), net_amount=("net_amount", "sum")
    )
    assert (sums["customer_count"] == len(customers)).all()
    assert {cents(v) for v in sums["net_amount"]} == {cents(features["amount"].iloc[0])}


# ---- Online Retail -------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.skipif(
    not os.environ.get("COTERIE_REAL_DATA"),
    reason="COTERIE_REAL_DATA does not name the folder of the public data sets",
)
def test_online_retail_reconciles_from_the_file(online_retail):
    """Lines sold to customers before the date, less what the shop gave back by then."""
    path = f"{os.environ['COTERIE_REAL_DATA']}/online_retail/online_retail_2010_2011.parquet"
    charges = (
        *("AMAZONFEE", "B", "BANK CHARGES", "C2", "CRUK"),
        *("D", "DOT", "M", "POST", "S"),
    )
    query = f"""
        with lines as (
            select distinct
                invoice_no, upper(trim(stock_code)) as code, nullif(trim(description), '') as words,
                quantity, unit_price, invoice_ts, customer_id, country
            from read_parquet('{path}')
        ),
        sales as (
            select
                invoice_no, customer_id, invoice_ts,
                cast(round(quantity * cast(unit_price as decimal(18, 3)), 2) as decimal(18, 2))
                    as amount
            from lines
            where
                invoice_no not like 'A%' and invoice_no not like 'C%'
                and code not in {charges} and not starts_with(code, 'GIFT_')
        )
        select invoice_no, sum(amount) as amount
        from sales
        where amount != 0 and customer_id is not null
        group by invoice_no
        having min(invoice_ts) < '{ONLINE_RETAIL_AS_OF}'
    """
    with duckdb.connect() as connection:
        sold = connection.sql(query).df()
    # All returns of an invoice are known with the last of them.
    refunds = online_retail.query(
        f"""
        select order_id, sum(refund_amount) as amount
        from {{int_online_retail__refunds}}
        group by order_id
        having max(refunded_at) < '{ONLINE_RETAIL_AS_OF}'
        """
    )
    given_back = sold["invoice_no"].map(refunds.set_index("order_id")["amount"].map(cents))
    net = sold["amount"].map(cents) - given_back.map(lambda v: cents(0) if pd.isna(v) else v)
    mart = online_retail.query(
        "select sum(order_count) as n, sum(net_amount) as amount from {coterie__customers}"
    ).iloc[0]
    assert (net >= 0).all()
    assert mart["n"] == (net > 0).sum()
    assert cents(mart["amount"]) == sum(net)


def test_further_attributes_group_customers(every_input):
    """A number in a column of the shop's own name is read as text; who has none is unknown."""
    groups = every_input.query(
        "select customer_groups.group_code, attributes.city "
        "from {int_coterie__customer_groups} as customer_groups "
        "left join {int_coterie__customer_attributes} as attributes "
        "on customer_groups.customer_id = attributes.customer_id "
        "where customer_groups.attribute_name = 'household_size'"
    )
    sizes = 1 + groups["city"].str.len() % 4
    expected = [str(int(size)) if size == size else "unknown" for size in sizes]
    assert groups["group_code"].tolist() == expected
    assert groups["group_code"].nunique() > 2
