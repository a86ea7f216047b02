"""A real shop, mapped by its own staging: https://archive.ics.uci.edu/dataset/352."""

import os
from decimal import Decimal

import pandas as pd
import pytest
from scenarios import ONLINE_RETAIL_AS_OF as AS_OF

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not os.environ.get("COTERIE_REAL_DATA"),
        reason="COTERIE_REAL_DATA does not name the folder of the public data sets",
    ),
]


@pytest.fixture(scope="module")
def customers(online_retail):
    return online_retail.table("coterie__customers")


def net_orders_sql(condition):
    """The shop's own count: what was known before the date, and only what was paid for."""
    return f"""
        with orders as (
            select
                customer_id,
                ordered_at,
                order_amount - case when refunded_at < '{AS_OF}' then refund_amount else 0 end
                    as net_amount
            from {{shop_orders}}
            where ordered_at < '{AS_OF}'
        )
        select
            customer_id,
            count(*) as order_count,
            sum(net_amount) as net_amount,
            max(ordered_at) as last_ordered_at
        from orders
        where net_amount > 0 and customer_id is not null and {condition}
        group by customer_id
    """


def test_every_order_is_accepted(online_retail):
    given = online_retail.query(
        "select count(*) as n, sum(order_amount) as amount from {shop_orders}"
    )
    taken = online_retail.query(
        "select count(*) as n, sum(order_amount) as amount from {int_coterie__orders}"
    )
    assert taken["n"].iloc[0] == given["n"].iloc[0]
    assert money(taken["amount"].iloc[0]) == money(given["amount"].iloc[0])
    assert online_retail.value("select count(*) from {int_coterie__rejected_rows}") == 0


def money(value):
    return Decimal(str(value)).quantize(Decimal("0.01"))


def test_orders_and_revenue_reconcile_to_the_cent(online_retail, customers):
    own = online_retail.query(net_orders_sql("true")).set_index("customer_id")
    bought = customers[customers["order_count"] > 0].set_index("customer_id")
    assert set(bought.index) == set(own.index)
    bought = bought.loc[own.index]
    assert bought["order_count"].astype(int).tolist() == own["order_count"].astype(int).tolist()
    assert [money(v) for v in bought["net_amount"]] == [money(v) for v in own["net_amount"]]
    last = pd.to_datetime(bought["last_ordered_at"])
    assert (last == pd.to_datetime(own["last_ordered_at"])).all()
    total = sum(money(v) for v in customers["net_amount"].dropna())
    assert total == sum(money(v) for v in own["net_amount"])


def test_a_cancelled_giant_order_is_no_order(customers):
    # The only order of this customer, 74,215 jars, was cancelled 16 minutes later.
    customer = customers.set_index("customer_id").loc["12346"]
    assert customer["rfm_segment_code"] == "prospect"
    assert customer["segment_code"] == "prospect"


def test_every_customer_has_one_code_of_each_kind(online_retail, customers):
    assert customers["customer_id"].is_unique
    assert customers["rfm_segment_code"].notna().all()
    assert customers["segment_code"].notna().all()
    seen = online_retail.query(
        f"select distinct customer_id from {{shop_orders}} where ordered_at < '{AS_OF}'"
    )
    assert set(customers["customer_id"]) == set(seen["customer_id"].dropna())


def test_customers_are_seen_as_of_the_date(customers):
    assert set(pd.to_datetime(customers["as_of_date"])) == {pd.Timestamp(AS_OF)}
    last = pd.to_datetime(customers["last_ordered_at"]).dropna()
    assert last.max() < pd.Timestamp(AS_OF)


def test_scores_are_probabilities(online_retail):
    scores = online_retail.table("int_coterie__propensity_scores")
    scores = scores[scores["model_name"] == "purchase_30d"]
    assert len(scores) > 0
    assert scores["probability"].between(0, 1).all()
    assert scores["probability"].nunique() > 100


def test_published_probabilities_have_a_status(online_retail):
    predictions = online_retail.table("coterie__customer_predictions")
    shown = predictions["score_status"].isin(["scored", "baseline_rate", "cohort_rate"])
    assert predictions["probability"].notna().equals(shown)
    assert predictions.loc[shown, "probability"].between(0, 1).all()


def test_the_past_predicts_the_month_that_follows(online_retail):
    """A floor under the ranking: bench/accuracy.py compares the scores with their peers."""
    rows = online_retail.query(
        f"""
        with scores as (
            select s.customer_id, s.probability
            from {{int_coterie__propensity_scores}} as s
            where s.model_name = 'purchase_30d'
            qualify dense_rank() over (order by s.model_version) = 1
        ),
        buyers as (
            select distinct customer_id
            from {{shop_orders}}
            where
                ordered_at >= '{AS_OF}'
                and ordered_at < date '{AS_OF}' + 30
                and order_amount > refund_amount
        )
        select scores.probability, buyers.customer_id is not null as has_bought
        from scores
        left join buyers on scores.customer_id = buyers.customer_id
        """
    )
    ranks = rows["probability"].rank()
    positives = rows["has_bought"]
    n = int(positives.sum())
    auc = (ranks[positives].sum() - n * (n + 1) / 2) / (n * (len(rows) - n))
    print(f"ROC-AUC of purchase_30d on the 30 days from {AS_OF}: {auc:.4f} ({n} buyers)")
    assert auc > 0.70
