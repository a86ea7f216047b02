"""The demo shop is the committed one, and its truth is what the process does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from coterie import demo
from coterie.demo.__main__ import main
from coterie.demo.catalogue import (
    CATEGORIES,
    CATEGORY_WORDS,
    CHUNK_SIZE,
    DAY_COUNT,
    EVENT_TYPES,
    HORIZON_DAYS,
    VALID_SHARE,
)
from coterie.demo.process import stream
from coterie.demo.tables import make_chunk, make_products

SEEDS = Path(__file__).parents[2] / "seeds" / "demo"
FAR = pd.Timestamp("2099-01-01")
END = pd.Timestamp(demo.AS_OF_DATE)
# Planted rows that the package has to reject, by input.
REJECTED = {
    "orders": [
        "duplicate_exact",
        "duplicate_older_state",
        "null_order_id",
        "null_amount",
        "future_date",
    ],
    "customers": ["duplicate_exact"],
    "order_lines": ["unknown_order", "unknown_product", "null_quantity"],
    "events": ["duplicate_exact", "null_event_id", "without_visitor", "future_date"],
    "identities": ["conflict"],
    "messages": ["unknown_customer", "duplicate_exact"],
    "feedback": ["duplicate_exact", "null_feedback_id"],
}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return demo.generate_demo()


@pytest.fixture(scope="module")
def committed() -> dict[str, pd.DataFrame]:
    """Return the committed files as text, empty where null."""
    frames = {}
    for path in sorted(SEEDS.glob("*.*sv")):
        name = path.stem.removeprefix("coterie__demo_")
        separator = "\t" if path.suffix == ".tsv" else ","
        frames[name] = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    return frames


@pytest.fixture(scope="module", params=[("QUIET", "2025-10-01"), ("BUSY", "2024-03-01")])
def end_state(request) -> tuple[demo.Process, demo.State, int]:
    """Return processes with their states before a day, at which some may not have started."""
    shop, until = getattr(demo, request.param[0]), np.datetime64(request.param[1])
    chunk = make_chunk(11, 0, make_products(11), shop, until)
    return chunk.process, chunk.state_then, int((until - demo.STARTED_ON).astype(int))


def clean_orders(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    orders = tables["orders"]
    is_row = (orders["order_id"] != "") & orders["order_amount"].notna()
    orders = orders[is_row & (orders["ordered_at"] < FAR)]
    newest = orders.sort_values(["order_id", "status_changed_at"], na_position="first")
    return newest.drop_duplicates("order_id", keep="last")


def valid_orders(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    orders = clean_orders(tables)
    net = (orders["order_amount"] - orders["refund_amount"].fillna(0)).round(2)
    is_valid = orders["status"].isin(["completed", ""]) & ~orders["is_test"] & (net > 0)
    orders = orders.assign(net_amount=net)[is_valid]
    return orders[orders["customer_id"].isin(tables["truth"]["customer_id"])]


def look_back(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    orders = valid_orders(tables)
    orders = orders[orders["ordered_at"] >= END - pd.Timedelta(days=365)]
    last_days = orders["ordered_at"].dt.normalize()
    return (
        orders.assign(days=(END - last_days).dt.days)
        .groupby("customer_id")
        .agg(
            days_since_last_order=("days", "min"),
            order_count=("net_amount", "size"),
            net_amount=("net_amount", "sum"),
        )
    )


def assert_same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))


def test_the_committed_files_are_regenerated_byte_for_byte(tables, tmp_path):
    paths = demo.write_csv(tables, tmp_path)
    assert {path.name for path in paths} == {path.name for path in SEEDS.glob("*.*sv")}
    for path in paths:
        assert path.read_bytes() == (SEEDS / path.name).read_bytes(), path.name


def test_the_committed_files_are_small():
    paths = list(SEEDS.glob("*.*sv"))
    assert sum(path.stat().st_size for path in paths) <= 5_000_000
    assert sum(path.read_bytes().count(b"\n") for path in paths) <= 70_000


def test_the_files_hold_no_text_for_null_and_no_carriage_return(committed):
    for path in SEEDS.glob("*.*sv"):
        assert b"\r" not in path.read_bytes()
    for name, frame in committed.items():
        for column in frame:
            odd = frame[column].str.lower().isin(["nan", "nat", "none", "null", "<na>", "inf"])
            assert not odd.any(), f"{name}.{column}"


def test_the_command_line_writes_the_same_shop(tmp_path):
    main(["--customers", "30", "--seed", "3", "--format", "csv", "--out", str(tmp_path / "a")])
    demo.write_csv(demo.generate_demo(30, 3), tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == len(demo.INPUTS) + len(demo.LISTS) + 2
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("left_out", ["messages", "events", "orders", "identities"])
def test_a_table_that_is_left_out_changes_no_other(left_out):
    full = demo.generate_demo(200, 5)
    inputs = [name for name in demo.INPUTS if name != left_out]
    fewer = demo.generate_demo(200, 5, inputs)
    assert left_out not in fewer
    for name in (*inputs, "truth"):
        assert_same(fewer[name], full[name])


def test_a_new_stream_changes_no_other():
    before = stream(7, "orders", 1).random(5)
    stream(7, "campaigns", 1).random(1_000)
    np.testing.assert_array_equal(stream(7, "orders", 1).random(5), before)
    for other in (stream(7, "orders", 2), stream(8, "orders", 1)):
        assert not np.array_equal(other.random(5), before)


def test_the_first_customers_do_not_depend_on_how_many_follow(tables):
    few = demo.generate_demo(300)
    ids = set(few["truth"]["customer_id"])
    assert_same(few["truth"], tables["truth"].head(300))
    for name in ("orders", "events", "messages"):
        known = tables[name]["customer_id"].isin(ids)
        assert_same(few[name][few[name]["customer_id"].isin(ids)], tables[name][known])


def test_another_seed_gives_another_shop(tables):
    other = demo.generate_demo(300, 8)["truth"]
    assert not other["group"].equals(tables["truth"]["group"].head(300))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"customer_count": 0}, "at least 1 customer"),
        ({"inputs": ["orders", "returns"]}, "choose among"),
        ({"until": np.datetime64("2023-10-01")}, "a day after 2023-10-01"),
        ({"until": np.datetime64("2025-10-02")}, "2025-10-01 at the latest"),
    ],
)
def test_what_cannot_be_generated_is_refused(request_, message):
    with pytest.raises(ValueError, match=message):
        demo.generate_demo(**request_)


@pytest.mark.parametrize(
    "settings",
    [
        {"started_on": np.datetime64("2020-01-01")},
        {"events_since": np.datetime64("2023-09-30")},
        {"pace": 100},
        {"dirt": 0},
    ],
)
def test_a_shop_that_makes_no_sense_is_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} is .*: choose"):
        demo.Shop(**settings)


def test_a_tiny_shop_is_complete():
    tables = demo.generate_demo(1)
    assert len(tables["truth"]) == len(tables["customers"].drop_duplicates("customer_id")) == 1
    assert clean_orders(tables)["ordered_at"].max() >= END - pd.Timedelta(days=1)


def test_lines_sum_to_their_order(tables):
    lines = tables["order_lines"]
    orders = clean_orders(tables).set_index("order_id")
    for line_column, order_column in (
        ("line_amount", "order_amount"),
        ("discount_amount", "discount_amount"),
    ):
        sums = (lines[line_column] * 100).round().groupby(lines["order_id"]).sum()
        cents = (orders[order_column] * 100).round()
        assert (sums.reindex(orders.index) == cents).all()
    assert not lines.duplicated(["order_id", "product_id"]).any()


def test_nothing_is_sold_or_shown_before_its_launch(tables):
    products = tables["products"]
    launched_at = products.set_index("product_id")["launched_at"]
    lines = tables["order_lines"].merge(clean_orders(tables)[["order_id", "ordered_at"]])
    lines = lines[lines["product_id"].isin(products["product_id"])]
    assert (lines["ordered_at"] >= lines["product_id"].map(launched_at)).all()
    events = tables["events"][tables["events"]["product_id"] != ""]
    assert (events["occurred_at"] >= events["product_id"].map(launched_at)).all()
    assert (products["launched_at"] > pd.Timestamp(demo.STARTED_ON)).sum() >= 3


def test_known_customers_do_nothing_before_they_sign_up(tables):
    sign_up = tables["customers"].drop_duplicates("customer_id")
    sign_up = sign_up.set_index("customer_id")["signed_up_at"]
    for name, column in (
        ("orders", "ordered_at"),
        ("events", "occurred_at"),
        ("messages", "sent_at"),
        ("feedback", "occurred_at"),
        ("identities", "linked_at"),
    ):
        since = tables[name]["customer_id"].map(sign_up)
        # A conflicting link gives a device to a customer who may have joined later.
        rows = tables[name][since.notna() & (tables[name][column] < since)]
        assert len(rows) <= (8 if name == "identities" else 0), name


def test_reviews_use_the_words_of_the_product_and_its_category(tables):
    feedback = tables["feedback"]
    written = feedback[(feedback["comment"] != "") & (feedback["product_id"] != "")]
    products = tables["products"].set_index("product_id")
    of_product = products.loc[written["product_id"]]
    other_words = {
        name: {
            w for other in CATEGORY_WORDS if other != name for w in CATEGORY_WORDS[other].split()
        }
        for name in CATEGORY_WORDS
    }
    for comment, name, category in zip(
        written["comment"], of_product["product_name"], of_product["category"], strict=True
    ):
        said = set(re.findall("[a-z]+", comment))
        assert name.lower() in comment
        assert len(said & set(CATEGORY_WORDS[category].split())) >= 2
        assert not said & other_words[category]


def test_customers_grant_withdraw_and_grant_again_in_turn(tables):
    consents, customers = tables["consents"], tables["customers"]
    assert set(consents["purpose"]) == {"email", "sms", "push", "ads"}
    assert not consents.duplicated(["customer_id", "purpose", "changed_at"]).any()
    since = consents["customer_id"].map(
        customers.drop_duplicates("customer_id").set_index("customer_id")["signed_up_at"]
    )
    assert (consents["changed_at"] >= since).all()
    ordered = consents.sort_values("changed_at", kind="stable")
    turns = ordered.groupby(["customer_id", "purpose"])["is_granted"]
    assert turns.first().all()
    assert (turns.shift() != ordered["is_granted"]).all()
    newest = turns.last()
    email = newest.xs("email", level="purpose").sum() / customers["customer_id"].nunique()
    assert 0.6 < email < 0.85
    assert 0.02 < (~newest).mean() < 0.12


def test_who_is_erased_stands_in_no_other_table(tables):
    erased = set(tables["erasure_requests"]["customer_id"])
    assert erased
    for name, rows in tables.items():
        if name != "erasure_requests" and "customer_id" in rows:
            assert not erased & set(rows["customer_id"]), name


def test_no_word_of_a_category_is_one_of_another_or_of_a_product(tables):
    words = [word for text in CATEGORY_WORDS.values() for word in text.split()]
    assert len(words) == len(set(words))
    names = " ".join(tables["products"]["product_name"]).lower()
    assert not set(words) & set(re.findall("[a-z]+", names))


def test_buyers_review_what_they_bought_and_did_so_later(tables):
    feedback, orders = tables["feedback"], clean_orders(tables)
    lines = tables["order_lines"].merge(orders[["order_id", "customer_id", "ordered_at"]])
    reviews = feedback[feedback["product_id"] != ""]
    bought = reviews.merge(lines, on=["customer_id", "product_id"])
    later = bought[bought["occurred_at"] > bought["ordered_at"]]
    known = reviews["customer_id"].isin(tables["customers"]["customer_id"])
    # Reviews of orders that were cancelled or are tests find no order here.
    assert later["feedback_id"].nunique() > 0.95 * reviews.loc[known, "feedback_id"].nunique()
    buyers = orders["customer_id"].nunique()
    assert 0.3 < reviews["customer_id"].nunique() / buyers < 0.8
    assert set(feedback["rating"].dropna()) == {1, 2, 3, 4, 5}


def test_all_is_known_before_the_as_of_date(tables):
    orders = clean_orders(tables)
    assert orders["ordered_at"].min() >= pd.Timestamp(demo.STARTED_ON)
    for name, frame in tables.items():
        for column in frame.select_dtypes("datetime"):
            late = frame[column] >= END
            assert (frame.loc[late, column] >= FAR).all(), f"{name}.{column}"
    assert valid_orders(tables)["ordered_at"].max().normalize() == END - pd.Timedelta(days=1)
    for column in ("status_changed_at", "refunded_at"):
        changed = orders[orders[column].notna()]
        assert (changed[column] >= changed["ordered_at"]).all()


def test_dirty_rows_are_as_many_as_the_metadata_says(committed):
    said = committed["truth_dirty"].set_index(["input", "rule"])["row_count"].astype(int)
    orders, lines, events = committed["orders"], committed["order_lines"], committed["events"]
    customers, messages = committed["customers"], committed["messages"]
    feedback = committed["feedback"]
    known = set(customers["customer_id"])
    with_id = orders[orders["order_id"] != ""]
    exact = with_id.duplicated().sum()
    placed = orders["ordered_at"].astype("datetime64[s]")
    delays = {
        name: pd.to_datetime(orders[name]) - placed for name in ("refunded_at", "status_changed_at")
    }
    amounts = orders[["refund_amount", "order_amount"]].apply(pd.to_numeric)
    emails = customers.drop_duplicates("customer_id")["email"].str.lower()
    counted = {
        ("orders", "guest"): (orders["customer_id"] == "").sum(),
        ("orders", "unknown_customer"): (~orders["customer_id"].isin({*known, ""})).sum(),
        ("orders", "duplicate_exact"): exact,
        ("orders", "duplicate_older_state"): with_id.duplicated("order_id").sum() - exact,
        ("orders", "null_order_id"): (orders["order_id"] == "").sum(),
        ("orders", "null_amount"): (orders["order_amount"] == "").sum(),
        ("orders", "future_date"): (placed >= FAR).sum(),
        ("orders", "cancelled"): (orders["status"] == "cancelled").sum(),
        ("orders", "pending"): (orders["status"] == "pending").sum(),
        ("orders", "missing_status"): (orders["status"] == "").sum(),
        ("orders", "test"): (orders["is_test"] == "true").sum(),
        ("orders", "partly_refunded"): (amounts.eval("refund_amount < order_amount")).sum(),
        ("orders", "fully_refunded"): (amounts.eval("refund_amount >= order_amount")).sum(),
        ("orders", "late_refund"): (delays["refunded_at"] > pd.Timedelta(days=30)).sum(),
        ("orders", "late_status_change"): (
            delays["status_changed_at"] > pd.Timedelta(days=30)
        ).sum(),
        ("customers", "duplicate_exact"): customers.duplicated().sum(),
        ("customers", "shared_email"): emails.duplicated().sum(),
        ("customers", "implausible_birth_date"): (customers["birth_date"] == "1900-01-01").sum(),
        ("order_lines", "unknown_order"): (~lines["order_id"].isin(orders["order_id"])).sum(),
        ("order_lines", "unknown_product"): (lines["product_id"] == "p999").sum(),
        ("order_lines", "null_quantity"): (lines["quantity"] == "").sum(),
        ("events", "duplicate_exact"): events.duplicated().sum(),
        ("events", "null_event_id"): (events["event_id"] == "").sum(),
        ("events", "without_visitor"): (
            (events["customer_id"] == "") & (events["anonymous_id"] == "")
        ).sum(),
        ("events", "future_date"): (events["occurred_at"] >= "2099").sum(),
        ("identities", "conflict"): committed["identities"]["anonymous_id"].duplicated().sum(),
        ("messages", "unknown_customer"): (~messages["customer_id"].isin(known)).sum(),
        ("messages", "duplicate_exact"): messages.duplicated().sum(),
        ("feedback", "unknown_customer"): (~feedback["customer_id"].isin(known)).sum(),
        ("feedback", "duplicate_exact"): feedback.duplicated().sum(),
        ("feedback", "null_feedback_id"): (feedback["feedback_id"] == "").sum(),
    }
    assert {key: int(value) for key, value in counted.items()} == said.to_dict()
    assert (said > 0).all()


def test_few_rows_are_to_be_rejected(committed):
    said = committed["truth_dirty"].set_index(["input", "rule"])["row_count"].astype(int)
    for name, rules in REJECTED.items():
        rejected = sum(said[name, rule] for rule in rules)
        assert rejected < 0.02 * len(committed[name]), name


def test_no_personal_data_is_real(committed):
    customers = committed["customers"]
    assert customers["email"].str.lower().str.fullmatch(r"shopper\d+@example\.com").all()
    reserved = "|".join(
        [
            r"\+44 20 7946 0\d{3}",
            r"\+44 1(?:61|13|17|31) 496 0\d{3}",
            r"\+49 30 23125 \d{3}",
            r"\+49 89 99998 \d{3}",
            r"\+49 40 66969 \d{3}",
            r"\+33 1 99 00 \d{4}",
            r"\+33 4 65 71 \d{4}",
        ]
    )
    phones = customers["phone"][customers["phone"] != ""]
    assert phones.str.fullmatch(reserved).all()


def test_events_belong_to_somebody_and_link_to_customers(tables):
    events, identities = tables["events"], tables["identities"]
    anonymous = events[(events["customer_id"] == "") & (events["anonymous_id"] != "")]
    assert 0.1 < len(anonymous) / len(events) < 0.4
    linked = anonymous["anonymous_id"].isin(identities["anonymous_id"])
    assert 0.5 < linked.mean() < 0.98
    assert set(events["event_type"]) == set(EVENT_TYPES)
    assert identities["anonymous_id"].isin(events["anonymous_id"]).all()


@pytest.mark.parametrize("cluster_count", [4, 5, 6])
def test_the_planted_groups_are_found_again(tables, cluster_count):
    features = look_back(tables)
    values = np.log1p(features.to_numpy(dtype=float))
    low, middle, high = np.percentile(values, [25, 50, 75], axis=0)
    scaled = np.clip((values - middle) / (high - low), -3, 3)
    groups = tables["truth"].set_index("customer_id")["group"]
    labels = pd.Series("prospect", index=groups.index)
    labels[labels.index.isin(valid_orders(tables)["customer_id"])] = "lapsed"
    clusters = KMeans(cluster_count, n_init=10, random_state=0).fit_predict(scaled)
    labels[features.index] = clusters.astype(str)
    index = adjusted_rand_score(groups, labels)
    assert 0.68 <= index <= 0.95


def test_the_shop_is_believable(tables):
    orders = valid_orders(tables)
    totals = orders.groupby("customer_id")["net_amount"].agg(["size", "sum"])
    assert 0.4 <= (totals["size"] == 1).mean() <= 0.6
    ranked = totals["sum"].sort_values(ascending=False)
    assert 0.5 <= ranked.head(len(ranked) // 5).sum() / ranked.sum() <= 0.7
    month = orders["ordered_at"].dt.month
    revenue = orders.groupby(month)["net_amount"].sum()
    assert revenue[[11, 12]].min() > 1.2 * revenue.median()
    assert revenue[[2, 7]].max() < revenue.median()
    truth = tables["truth"].set_index("customer_id")["true_purchase_probability_30d"]
    assert 0.15 <= truth[look_back(tables).index].mean() <= 0.35


def test_taste_shows_in_the_baskets_and_depends_on_age(tables):
    taste_of = {category: taste for category, taste, _ in CATEGORIES}
    lines = (
        tables["order_lines"]
        .merge(tables["products"])
        .merge(clean_orders(tables)[["order_id", "customer_id"]])
        .merge(tables["truth"])
    )
    share = lines["category"].map(taste_of).eq(lines["taste"]).groupby(lines["taste"]).mean()
    assert (share > 0.45).all()
    ages = tables["customers"].merge(tables["truth"], on="customer_id")
    birth = ages[ages["birth_date"] > pd.Timestamp("1910-01-01")].groupby("taste")["birth_date"]
    assert birth.median()["home"] < birth.median()["active"] - pd.Timedelta(days=5 * 365)


def test_the_truth_is_ordered_by_group(tables):
    truth = tables["truth"]
    probability = truth["true_purchase_probability_30d"]
    assert probability.between(0, 1).all()
    assert (probability[~truth["is_alive"]] == 0).all()
    assert (probability[truth["is_alive"]] > 0).all()
    means = probability.groupby(truth["group"]).mean()
    order = ["bargain_hunters", "regulars", "big_spenders", "one_timers"]
    assert means[order].is_monotonic_decreasing
    assert means["drifted"] == 0
    assert means["prospects"] < 0.02
    assert (truth["customer_id"] == sorted(truth["customer_id"])).all()


def test_the_truth_is_what_the_process_does_next(end_state):
    process, state, first_day = end_state
    probability = demo.purchase_probability(process, state, first_day)
    copies = 150
    positions = np.tile(np.arange(len(probability)), copies)
    days = range(first_day, first_day + HORIZON_DAYS)
    rng = np.random.default_rng(0)
    _, sessions = demo.simulate(process.take(positions), state.take(positions), days, rng)
    orders = sessions[sessions["is_order"]]
    is_valid = rng.random(len(orders)) < VALID_SHARE
    bought = np.zeros(len(positions))
    bought[orders["position"].to_numpy()[is_valid]] = 1
    share = bought.reshape(copies, -1).mean(axis=0)
    variance = probability * (1 - probability) / copies
    assert abs(share.mean() - probability.mean()) < 4 * np.sqrt(variance.sum()) / len(share)
    is_open = variance > 0
    assert (share[~is_open] == probability[~is_open]).all()
    squares = (share - probability)[is_open] ** 2 / variance[is_open]
    assert abs(squares.mean() - 1) < 0.35


def test_an_average_of_the_truth_is_the_rate_of_the_data():
    """Of customers chosen by their past, as many buy as the truth says, over many shops."""
    expected, seen = 0.0, 0.0
    day = DAY_COUNT - HORIZON_DAYS
    for seed in range(3):
        chunk = make_chunk(seed, 0, make_products(seed))
        missions = chunk.stream("missions")
        start = demo.State.initial(CHUNK_SIZE)
        state, _ = demo.simulate(chunk.process, start, range(day), missions)
        started = chunk.process.start_day < day
        probability = demo.purchase_probability(chunk.process, state, day)
        tables = demo.generate_demo(CHUNK_SIZE, seed, ["orders"])
        orders = valid_orders(tables)
        since = pd.Timestamp(demo.STARTED_ON) + pd.Timedelta(days=day)
        buyers = orders.loc[orders["ordered_at"] >= since, "customer_id"].unique()
        expected += probability[started].sum()
        seen += np.isin(chunk.ids[started], buyers).sum()
    assert abs(seen - expected) < 0.08 * expected
