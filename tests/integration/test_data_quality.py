"""What coterie__data_quality says of shops with planted faults, and as rows come late and go."""

import re

import pandas as pd
import pytest
from harness import REPOSITORY


@pytest.fixture(scope="module")
def found(faulty_shop):
    return faulty_shop.first.set_index(["input_name", "rule_name"]).sort_index()


@pytest.mark.parametrize(
    ("input_name", "rule_name", "count", "status"),
    [
        ("orders", "duplicate", 3, "ok"),
        ("orders", "guest_order", 39, "ok"),
        ("orders", "missing_order_id", 0, "ok"),
        ("orders", "known_late", 50, "unknown"),
        ("orders", "future_dated", 0, "ok"),
        ("customers", "known_late", 0, "ok"),
        ("products", "known_late", 0, "ok"),
        ("events", "after_as_of_date", 40, "ok"),
        ("identities", "identity_conflict", 1, "ok"),
        ("identities", "merged_visitor", 2, "ok"),
        ("orders", "unread", 0, "ok"),
        ("events", "unread", 0, "ok"),
    ],
)
def test_planted_rows_are_counted(found, input_name, rule_name, count, status):
    row = found.loc[(input_name, rule_name)]
    assert (row["rejected_count"], row["status"]) == (count, status)
    assert row["share"] == pytest.approx(count / row["row_count"])
    assert str(count or "") in row["words"]


def test_rows_of_unknown_customers_and_products_are_counted(found, faulty_shop):
    for name in ["orders", "events", "messages", "identities"]:
        # The copies of three orders are rejected, so they are not counted twice.
        rows = faulty_shop.shop[name].drop_duplicates()
        known = rows["customer_id"].isin(faulty_shop.shop["customers"]["customer_id"])
        row = found.loc[(name, "unknown_customer")]
        assert row["rejected_count"] == (~known & rows["customer_id"].notna()).sum() > 0
        assert row["status"] == "watch"
    lines = faulty_shop.shop["order_lines"]
    row = found.loc[("order_lines", "unknown_product")]
    known = lines["product_id"].isin(faulty_shop.shop["products"]["product_id"])
    assert (row["rejected_count"], row["status"]) == ((~known).sum(), "act")


def test_anonymous_events_without_a_link_are_counted(found, faulty_shop):
    events = faulty_shop.shop["events"]
    anonymous = events[events["customer_id"].isna()]
    unlinked = ~anonymous["anonymous_id"].isin(faulty_shop.shop["identities"]["anonymous_id"])
    row = found.loc[("events", "unlinked_event")]
    assert row["rejected_count"] == unlinked.sum() > 0
    assert row["measured_value"] == pytest.approx(unlinked.mean())
    # The default is .99; the host has asked for .2.
    assert (row["watch_at"], row["status"]) == (0.2, "watch")


def test_days_without_rows_are_found(found):
    assert found.loc[("orders", "day_gap"), ["measured_value", "status"]].tolist() == [10, "act"]
    # Weekly mails have regular gaps; they stopped 127 days before the date.
    mails = found.loc["messages"]
    assert mails.loc["day_gap", ["measured_value", "status"]].tolist() == [6, "ok"]
    assert mails.loc["freshness", ["measured_value", "status"]].tolist() == [127, "act"]
    for name in ["orders", "order_lines", "events"]:
        row = found.loc[(name, "freshness")]
        assert row[["measured_value", "status"]].tolist() == [1, "ok"], name


def test_a_week_with_a_third_of_the_events_is_a_drop(found):
    row = found.loc[("events", "sudden_drop")]
    assert row["measured_value"] == pytest.approx(1 / 3)
    assert row["status"] == "act"
    assert found.loc[("orders", "sudden_drop"), "status"] == "ok"
    assert found.loc[("order_lines", "sudden_rise"), "status"] == "ok"


def test_rows_that_come_late_are_read_and_those_that_go_are_dropped(faulty_shop, found):
    rows = faulty_shop.second.set_index(["input_name", "rule_name"])
    for input_name, change in (("orders", 5), ("events", -4)):
        row = rows.loc[(input_name, "unread")]
        assert row["row_count"] - found.loc[(input_name, "unread"), "row_count"] == change
        assert (row["rejected_count"], row["status"]) == (0, "ok")


def test_only_what_fail_on_names_fails_the_build(faulty_shop):
    tested = faulty_shop.tested
    assert [r.split(".")[2] for r in tested.results_with("fail", "error")] == [
        "assert_data_quality_is_bearable"
    ]
    # Of the two rules one is watch and one is act; that others must be acted on fails nothing.
    rows = faulty_shop.second.set_index("rule_name")["status"]
    assert (rows["unlinked_event"], rows["unknown_product"]) == ("watch", "act")
    assert "act" in set(rows.drop(["unlinked_event", "unknown_product"]))
    assert tested.result("assert_data_quality_is_bearable")["failures"] == 2
    # Late rows, and those that have gone, are accounted for.
    assert tested.result("assert_every_input_row_is_accepted_or_rejected")["status"] == "pass"


@pytest.mark.matrix
def test_a_misspelt_name_under_fail_on_is_refused(faulty_shop):
    given = {"fail_on": ["act", "duplicates"]}
    run = faulty_shop.host.dbt(
        *("test", "-s", "assert_data_quality_is_bearable"),
        variables={"coterie__data_quality": given},
        must_succeed=False,
    )
    message = re.sub(r"\s+", " ", run.result("assert_data_quality_is_bearable")["message"])
    assert "The var coterie__data_quality has 'duplicates' under fail_on" in message
    assert "It takes: ok, watch, act, unknown, not_mapped, missing_order_id" in message


def test_inputs_that_are_not_mapped_have_one_row(dirty_shop):
    rows = dirty_shop.host.table("coterie__data_quality")
    absent = rows[rows["status"] == "not_mapped"]
    assert sorted(absent["input_name"]) == [
        "consents",
        "custom_outcomes",
        "erasure_requests",
        "events",
        "feedback",
        "identities",
        "messages",
        "products",
        "seed_audiences",
    ]
    assert set(absent["rule_name"]) == {"not_mapped"}
    assert not set(absent["input_name"]) & set(rows.drop(absent.index)["input_name"])
    # No product is unknown where nobody says which there are.
    assert "unknown_product" not in set(rows["rule_name"])


@pytest.mark.parametrize("input_name", ["orders", "order_lines", "customers"])
def test_every_rejected_row_is_under_its_rule(dirty_shop, input_name):
    rows = dirty_shop.host.table("coterie__data_quality")
    rows = rows[rows["input_name"] == input_name].set_index("rule_name")["rejected_count"]
    planted = pd.Series([rule for _, rule in dirty_shop.rejected[input_name]]).value_counts()
    assert rows.loc[planted.index].astype(int).to_dict() == planted.to_dict()
    assert rows["all_rejected"] == planted.sum()


def test_a_shop_without_orders_has_rows_too(empty_shop):
    rows = empty_shop.table("coterie__data_quality").set_index(["input_name", "rule_name"])
    assert rows.loc[("orders", "empty_input"), "status"] == "act"
    # Nothing can be built without orders: only of other inputs is it an answer to map none.
    words = "The input is mapped and holds no row. Load it."
    assert rows.loc[("orders", "empty_input"), "words"] == words
    assert rows.loc[("orders", "freshness"), "status"] == "unknown"
    assert rows["as_of_date"].isna().all()


def test_what_is_planted_in_the_demo_shop_is_found(every_input):
    rows = every_input.table("coterie__data_quality").set_index(["input_name", "rule_name"])
    planted = pd.read_csv(REPOSITORY / "seeds/demo/truth_dirty.tsv", sep="\t")
    planted = planted.set_index(["input", "rule"])["row_count"]
    for input_name, theirs, ours in [
        ("orders", "guest", "guest_order"),
        ("orders", "unknown_customer", "unknown_customer"),
        ("orders", "null_order_id", "missing_order_id"),
        ("orders", "null_amount", "missing_order_amount"),
        ("orders", "future_date", "future_dated"),
        ("customers", "duplicate_exact", "duplicate"),
        ("order_lines", "unknown_order", "unknown_order"),
        ("order_lines", "unknown_product", "unknown_product"),
        ("order_lines", "null_quantity", "invalid_quantity"),
        ("events", "duplicate_exact", "duplicate"),
        ("events", "null_event_id", "missing_event_id"),
        ("events", "without_visitor", "missing_visitor"),
        ("events", "future_date", "after_as_of_date"),
        ("identities", "conflict", "identity_conflict"),
        ("messages", "unknown_customer", "unknown_customer"),
        ("messages", "duplicate_exact", "duplicate"),
        ("feedback", "unknown_customer", "unknown_customer"),
        ("feedback", "duplicate_exact", "duplicate"),
        ("feedback", "null_feedback_id", "missing_feedback_id"),
    ]:
        found = rows.loc[(input_name, ours), "rejected_count"]
        assert found == planted[(input_name, theirs)], (input_name, ours)
    assert "act" not in set(rows["status"])
    # Nobody gives outcomes of their own here.
    assert set(rows.index[rows["status"] == "not_mapped"]) == {("custom_outcomes", "not_mapped")}
