"""Input that does not fit: its structure is refused, its bad rows are counted, little is enough."""

import re

import numpy as np
import pandas as pd
import pytest
from scenarios import ODD_IDS, ODD_ORDER_ID, source_of
from shops import FIRST_DAY, simulate_orders

SCORE_STATUSES = {
    "scored",
    "baseline_rate",
    "cohort_rate",
    "not_eligible",
    "withheld",
    "disabled",
}


@pytest.fixture(scope="module")
def clean_orders():
    return simulate_orders(250, seed=11)


# ---- structure ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def refused(new_host):
    """Return a function that stages orders and gives the words of the refusal."""
    host = new_host("bare_shop")

    def stage(orders):
        host.write({"shop.unrelated": "select 1 as one"})
        with host.connect(read_only=False) as connection:
            connection.execute("drop table if exists shop.orders")
        if orders is not None:
            host.write({"shop.orders": orders})
        run = host.dbt("run", "-s", "stg_coterie__orders", must_succeed=False)
        assert run.return_code != 0
        assert run.result("stg_coterie__orders")["status"] == "error"
        return re.sub(r"\s+", " ", run.result("stg_coterie__orders")["message"])

    return stage


def assert_words(message, *words):
    missing = [w for w in words if w not in message]
    assert not missing, f"{missing} not in: {message}"


def test_a_missing_relation_is_refused_by_name(refused):
    message = refused(None)
    assert_words(message, "coterie__orders_relation", '"shop"."orders"', "does not exist")
    assert_words(message, "Load it first", "attached")


def test_a_missing_column_is_refused_by_name(refused, clean_orders):
    message = refused(clean_orders.rename(columns={"ordered_at": "bought_at"}))
    assert_words(message, "coterie__orders_relation", "coterie__orders_columns")
    assert_words(message, '"shop"."orders"', "'ordered_at'")
    # What there is instead, and how to map it.
    assert_words(message, "bought_at", "Map it")


def test_an_ephemeral_model_is_refused_by_name(new_host, clean_orders):
    host = new_host("bare_shop")
    host.write({"shop.orders": clean_orders})
    model = "{{ config(materialized='ephemeral') }} select * from {{ source('shop', 'orders') }}"
    (host.project / "models" / "passing_orders.sql").write_text(model)
    run = host.dbt(
        *("run", "-s", "+stg_coterie__orders"),
        variables={"coterie__orders_relation": "{{ ref('passing_orders') }}"},
        must_succeed=False,
    )
    message = next(r["message"] for r in run.results if r["status"] == "error")
    assert_words(
        message, "coterie__orders_relation", "passing_orders", "ephemeral", "view or a table"
    )


def test_a_text_amount_is_refused_by_name(refused, clean_orders):
    message = refused(clean_orders.assign(order_amount=clean_orders["order_amount"].astype(str)))
    assert_words(message, "coterie__orders_relation", "coterie__orders_columns")
    assert_words(message, '"shop"."orders"', "'order_amount'", "VARCHAR", "a number", "Cast it")


def test_a_text_date_is_refused_by_name(refused, clean_orders):
    message = refused(clean_orders.assign(ordered_at=clean_orders["ordered_at"].astype(str)))
    assert_words(message, "coterie__orders_relation", "coterie__orders_columns")
    assert_words(message, '"shop"."orders"', "'ordered_at'", "VARCHAR", "timestamp", "Cast it")


def test_inputs_without_and_with_a_relation_are_refused_by_name(new_host):
    host = new_host("bare_shop")
    host.write(
        {
            "shop.customers": "select 'a' as id, 'x@example.com' as email",
            "shop.order_lines": "select 'o' as order_id, 'p' as product_id, "
            "'two' as quantity, 2.5 as line_amount",
        }
    )
    variables = {
        "coterie__orders_relation": "",
        "coterie__customers_relation": source_of("customers"),
        "coterie__customers_columns": {"customer_id": "client_id"},
        "coterie__order_lines_relation": source_of("order_lines"),
        "coterie__products_relation": source_of("products"),
        "coterie__identities_columns": {"visitor": "cookie"},
    }
    inputs = ["orders", "customers", "order_lines", "products", "identities"]
    run = host.dbt(
        "run",
        "-s",
        *[f"stg_coterie__{name}" for name in inputs],
        variables=variables,
        must_succeed=False,
    )
    messages = {name: run.result(f"stg_coterie__{name}")["message"] for name in inputs}
    assert_words(
        messages["orders"], "coterie__orders_relation", "not set", "dbt_project.yml", "ref("
    )
    assert_words(messages["customers"], "coterie__customers_columns", "'client_id'", "email")
    assert_words(messages["order_lines"], "coterie__order_lines_relation", "'quantity'", "VARCHAR")
    assert_words(messages["products"], "coterie__products_relation", "does not exist")
    assert_words(messages["identities"], "coterie__identities_columns", "'visitor'", "takes: anon")


# ---- settings ----------------------------------------------------------------------------------


#: Some vars a run, each of another model: every run with other vars is a parse of its own.
SENSELESS_VARS = [
    {
        "int_coterie__checked_orders": (
            {"coterie__as_of_date": "yesterday"},
            "ISO date such as 2025-10-01",
        ),
        "int_coterie__fit_settings": (
            {"coterie__gates": {"min_training_positives": 100}},
            "It takes: max_excess_calibration_error",
        ),
        "stg_coterie__customers": (
            {"coterie__customers_columns": {"signed_up_at": False}},
            "in quotes",
        ),
    },
    {
        "stg_coterie__orders": ({"coterie__timezone": "Europe/Londn"}, "such as Europe/London"),
        "int_coterie__fit_settings": (
            {"coterie__refit_interval_days": 0},
            "whole number above 0",
        ),
    },
    {
        "int_coterie__backtest_rows": (
            {"coterie__fairness_attributes": ["gender", "email"]},
            "unknown attribute 'email'. It takes: gender, country_code",
        ),
    },
    {
        "coterie__model_features": (
            {"coterie__evidence": {"psi_limit": 0.2}},
            "It takes: max_published_sample_count",
        ),
    },
]


@pytest.mark.parametrize(
    "models",
    [
        pytest.param(models, marks=[pytest.mark.matrix] if number else [], id=", ".join(models))
        for number, models in enumerate(SENSELESS_VARS)
    ],
)
def test_vars_that_make_no_sense_are_refused_by_name_when_a_model_needs_them(new_host, models):
    host = new_host("bare_shop")
    host.write({"shop.orders": simulate_orders(5, seed=12)})
    bad = {name: value for given, _ in models.values() for name, value in given.items()}
    run = host.dbt("run", "-s", *models, variables=bad, must_succeed=False)
    for model, (given, remedy) in models.items():
        message = re.sub(r"\s+", " ", run.result(model)["message"])
        assert_words(message, *given, remedy)


@pytest.mark.matrix
def test_a_mapped_column_is_not_read_twice_and_an_empty_text_is_missing(new_host):
    host = new_host("bare_shop")
    host.write(
        {
            "shop.orders": "select 'o1' as order_id, '' as customer_id, 5.0 as discount_amount, "
            "timestamp '2024-01-01 10:00:00' as ordered_at, '' as coupon_code, 'done' as status"
        }
    )
    columns = {"order_amount": "discount_amount"}
    host.dbt("run", "-s", "stg_coterie__orders", variables={"coterie__orders_columns": columns})
    row = host.query("select * from {stg_coterie__orders}").iloc[0]
    assert row["order_amount"] == 5.0
    assert row["status"] == "done"
    assert row[["discount_amount", "customer_id", "coupon_code"]].isna().all()


# ---- rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("input_name", ["orders", "order_lines", "customers"])
def test_bad_rows_are_rejected_and_counted_by_rule(dirty_shop, input_name):
    rejected = dirty_shop.host.query(
        "select record_id, rule_name from {int_coterie__rejected_rows} "
        f"where input_name = '{input_name}'"
    )
    found = sorted(
        (record_id if isinstance(record_id, str) else "", rule)
        for record_id, rule in rejected.itertuples(index=False)
    )
    assert found == dirty_shop.rejected[input_name]


def test_good_rows_are_accepted_whole(dirty_shop):
    host = dirty_shop.host
    accepted = host.query("select order_id, order_amount, ordered_at from {int_coterie__orders}")
    expected = pd.concat([dirty_shop.orders, dirty_shop.guests])
    assert sorted(accepted["order_id"]) == sorted(expected["order_id"])
    both = accepted.merge(expected, on="order_id", suffixes=("", "_given"))
    assert (both["ordered_at"] == both["ordered_at_given"]).all()
    np.testing.assert_allclose(both["order_amount"].astype(float), both["order_amount_given"])
    line_count = host.value("select count(*) from {int_coterie__order_lines}")
    assert line_count == len(dirty_shop.lines)


def test_one_bad_date_does_not_move_the_world(dirty_shop):
    as_of = dirty_shop.host.value("select max(as_of_date) from {coterie__customers}")
    newest = dirty_shop.orders["ordered_at"].max().normalize()
    assert pd.Timestamp(as_of) == newest + pd.Timedelta(days=1)


def test_an_order_without_a_customer_is_a_guest_order(dirty_shop):
    host = dirty_shop.host
    guests = host.value("select count(*) from {int_coterie__orders} where customer_id is null")
    assert guests == len(dirty_shop.guests)
    assert host.value("select count(*) from {coterie__customers} where customer_id is null") == 0


def test_customers_keep_ids_of_any_spelling(dirty_shop):
    customers = dirty_shop.host.table("coterie__customers")
    expected = {*dirty_shop.orders["customer_id"], "never bought"}
    assert set(customers["customer_id"]) == expected
    assert customers["customer_id"].is_unique
    assert set(ODD_IDS) <= set(customers["customer_id"])
    assert ODD_ORDER_ID in set(dirty_shop.host.table("int_coterie__orders")["order_id"])
    odd = customers[customers["customer_id"].isin(ODD_IDS)]
    assert odd["rfm_segment_code"].notna().all()
    never = customers.set_index("customer_id").loc["never bought"]
    assert (never["rfm_segment_code"], never["segment_code"]) == ("prospect", "prospect")
    assert never["purchase_score_status_30d"] == "not_eligible"


def test_too_many_bad_rows_fail_the_build(new_host, clean_orders):
    host = new_host("bare_shop")
    repeated = pd.concat([clean_orders, clean_orders.iloc[:200]], ignore_index=True)
    assert 0.05 * len(repeated) < 200
    host.write({"shop.orders": repeated})
    run = host.dbt(
        "build",
        "-s",
        "+int_coterie__rejected_rows",
        "+int_coterie__input_row_counts",
        "--indirect-selection",
        "cautious",
        must_succeed=False,
    )
    assert run.return_code != 0
    failed = run.results_with("fail", "error")
    assert len(failed) == 1, failed
    assert failed[0].startswith("test.coterie.")


# ---- little ------------------------------------------------------------------------------------


def assert_nothing_is_learned(host):
    versions = host.table("coterie__model_versions")
    purchase = versions[versions["model_name"] == "purchase_30d"]
    assert purchase["model_version"].tolist() == ["none"]
    assert purchase["gate_status"].tolist() == ["insufficient_data"]
    assert not purchase["is_champion"].any()
    predictions = host.table("coterie__customer_predictions")
    assert predictions["probability"].isna().all()
    assert set(predictions["score_status"]) <= {"withheld", "not_eligible"}
    customers = host.table("coterie__customers")
    assert customers["purchase_probability_30d"].isna().all()
    assert set(customers["purchase_score_status_30d"]) <= SCORE_STATUSES - {"scored"}


def test_a_shop_without_orders_builds(empty_shop):
    assert empty_shop.value("select count(*) from {coterie__customers}") == 0
    assert empty_shop.value("select count(*) from {coterie__customer_segments}") == 0
    assert_nothing_is_learned(empty_shop)


def test_a_shop_with_one_customer_builds(one_customer_shop):
    assert_nothing_is_learned(one_customer_shop)
    customers = one_customer_shop.table("coterie__customers")
    assert customers["customer_id"].tolist() == ["only one"]
    customer = customers.iloc[0]
    assert pd.Timestamp(customer["as_of_date"]) == FIRST_DAY + pd.Timedelta(days=1)
    scores = ["recency_score", "frequency_score", "monetary_score"]
    assert customer[scores].tolist() == [3, 1, 3]
    assert customer["rfm_segment_code"] == "about_to_sleep"
    assert customer["segment_code"]
    assert customer["purchase_score_status_30d"] == "withheld"


def test_orders_after_the_date_are_not_seen(shop_before_its_time):
    assert_nothing_is_learned(shop_before_its_time)
    customers = shop_before_its_time.table("coterie__customers")
    assert set(customers["rfm_segment_code"]) <= {"prospect"}
    assert set(customers["segment_code"]) <= {"prospect"}
    assert customers["order_count"].fillna(0).eq(0).all()
    assert set(customers["purchase_score_status_30d"]) <= {"not_eligible"}
