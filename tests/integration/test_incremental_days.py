"""A shop read morning by morning holds what a full build of the last export would hold."""

from __future__ import annotations

import re
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from harness import Host, copy_host, differences
from histories import known_before
from scenarios import UP_TO_FEATURES, grow_by_days, write_shop

DAYS = "int_coterie__customer_days"

#: Topics of which no table may depend on the way there.
COMPARED_TOPICS = {"inputs", "features"}

QUALITY_MART = "coterie__data_quality"
UNREAD_RULE = "unread"


def compared(host: Host, snapshot: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    names = {n["name"] for n in host.package_nodes("model") if COMPARED_TOPICS & set(n["fqn"])}
    return {name: rows for name, rows in snapshot.items() if name in names}


def copied(host: Host, name: str) -> Host:
    """Return a copy of a host with its database."""
    copy = copy_host(host, host.project.parent / name)
    shutil.copy(host.database, copy.database)
    return copy


# ---- ten days ------------------------------------------------------------------------------------


def test_days_are_kept_from_build_to_build(ten_days):
    assert ten_days.host.node(DAYS)["config"]["materialized"] == "incremental"
    for snapshot in ten_days.grown.values():
        assert len(snapshot[DAYS]) > 1000
        assert {"int_coterie__customer_features", DAYS} <= set(compared(ten_days.host, snapshot))


def test_a_shop_read_day_by_day_is_the_shop_read_at_once(ten_days):
    for number, snapshot in ten_days.grown.items():
        fresh, grown = (compared(ten_days.host, s) for s in (ten_days.fresh[number], snapshot))
        assert len(fresh) > 15
        assert differences(fresh, grown) == [], f"after day {number}"


def test_the_ten_days_hold_what_was_planted(ten_days):
    """Corrections, late links and repeated ids are read, so that the comparison is of something."""
    orders = ten_days.grown[10]["int_coterie__orders"].set_index("order_id")
    assert orders["order_amount"].ne(9999).all()
    assert orders.loc[ten_days.cancelled, "has_invalid_status"].all()
    assert orders.loc[ten_days.exported_again, "has_invalid_status"].all()
    assert (orders.loc[ten_days.refunded, "refund_amount"] > 0).all()
    rejected = ten_days.grown[10]["int_coterie__rejected_rows"]
    duplicates = rejected[rejected["rule_name"] == "duplicate"]
    assert set(ten_days.copied) <= set(duplicates["record_id"])


def test_a_visitors_past_is_read_once_the_visitor_is_known(ten_days):
    days = ten_days.grown[10][DAYS]
    identities = ten_days.grown[10]["int_coterie__identities"].set_index("anonymous_id")
    for visitor in ten_days.linked:
        link = identities.loc[visitor]
        rows = days[
            (days["customer_id"] == link["customer_id"])
            & (pd.to_datetime(days["known_on"]) == link["linked_at"].normalize())
            & (days["happened_on"] < days["known_on"])
        ]
        assert rows["session_count"].sum() > 0


def test_an_order_that_changes_twice_counts_its_last_change_once(ten_days):
    """What was given back is not the sum of a first refund and of the one in its place."""
    days, orders = (ten_days.grown[10][name] for name in (DAYS, "int_coterie__orders"))
    customers = orders.loc[orders["order_id"].isin(ten_days.changed_twice), "customer_id"]
    fresh = ten_days.fresh[10][DAYS]
    amounts = [
        rows[rows["customer_id"].isin(set(customers))]
        .groupby("customer_id")[["order_count", "net_amount", "refund_amount"]]
        .sum()
        .astype(float)
        for rows in (days, fresh)
    ]
    pd.testing.assert_frame_equal(*amounts)


def test_a_cancellation_is_a_later_row_of_the_orders_own_day(ten_days):
    days = ten_days.grown[10][DAYS]
    orders = ten_days.grown[10]["int_coterie__orders"].set_index("order_id")
    for order_id in ten_days.cancelled:
        order = orders.loc[order_id]
        rows = days[
            (days["customer_id"] == order["customer_id"])
            & (days["happened_on"] == pd.Timestamp(order["ordered_on"]))
        ]
        known = set(pd.to_datetime(rows["known_on"]))
        assert pd.Timestamp(order["ordered_on"]) in known
        assert order["status_changed_at"].normalize() in known


def test_a_second_build_of_the_same_export_changes_nothing(ten_days):
    assert differences(ten_days.grown[10], ten_days.again) == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("built", "seed"),
    [
        pytest.param(tuple(range(1, 11)), 4, id="every day"),
        pytest.param((1, 2, 3, 4, 5, 6, 8, 9, 10), 5, id="all but day 7"),
        pytest.param((1, 10), 6, id="the first and the last"),
    ],
)
def test_any_mornings_lead_to_the_same_shop(new_host, built, seed):
    story = grow_by_days(new_host("bare_shop"), built=built, compared=built[1:], seed=seed)
    for number, snapshot in story.grown.items():
        fresh, grown = (compared(story.host, s) for s in (story.fresh[number], snapshot))
        assert differences(fresh, grown) == [], f"after day {number}"
    assert differences(story.grown[10], story.again) == []


# ---- what comes too late -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_late_rows(ten_days):
    """Return the last export with rows of weeks ago that were in none before."""
    tables = dict(ten_days.last_tables)
    long_ago = ten_days.mornings[0] - pd.Timedelta(days=30)
    for name, key, time in (
        ("orders", "order_id", "ordered_at"),
        ("events", "event_id", "occurred_at"),
        ("messages", "message_id", "sent_at"),
    ):
        rows = tables[name]
        is_named = (rows["customer_id"] != "") & (rows[time] < long_ago)
        late = rows[is_named].iloc[[10]].assign(**{key: f"too late: {name}", time: long_ago})
        tables[name] = pd.concat([rows, late], ignore_index=True)
    return tables


def refresh_of(words: str) -> tuple[str, ...]:
    """Return the command that a message names, as far as the features."""
    selection = re.search(r"--full-refresh -s (\S+)", words)
    assert selection, words
    wanted = ("int_coterie__customer_features", "int_coterie__rejected_rows")
    chosen = [f"{selection[1]},+{name}" for name in (*wanted, "int_coterie__input_row_counts")]
    return ("run", "--full-refresh", "-s", *chosen)


#: How rows that came too late are read after all.
REFRESH = refresh_of("--full-refresh -s int_coterie__order_days+")


@pytest.fixture(scope="module")
def late(ten_days, with_late_rows) -> SimpleNamespace:
    """Build the late rows on top of the ten days, refresh, and build them at once elsewhere."""
    host = write_shop(copied(ten_days.host, "late"), with_late_rows)
    story = SimpleNamespace(host=host, quality=None)
    if any(node["name"] == QUALITY_MART for node in host.package_nodes("model")):
        host.dbt("build", "--exclude-resource-type", "test", "-s", f"+{QUALITY_MART}")
        story.quality = host.table(QUALITY_MART)
    else:
        host.dbt(*UP_TO_FEATURES)
    story.before = compared(host, host.snapshot())
    host.dbt(*REFRESH)
    story.refreshed = compared(host, host.snapshot())
    fresh = write_shop(copy_host(ten_days.host, host.project.parent / "anew"), with_late_rows)
    fresh.dbt(*UP_TO_FEATURES)
    story.fresh = compared(host, fresh.snapshot())
    return story


def test_rows_that_come_too_late_are_not_read(ten_days, late):
    before = {DAYS: ten_days.again[DAYS]}
    assert differences(before, {DAYS: late.before[DAYS]}) == []


def test_rows_that_come_too_late_are_counted(late):
    if late.quality is None:
        pytest.skip(f"there is no {QUALITY_MART} yet")
    unread = late.quality[late.quality["rule_name"] == UNREAD_RULE].set_index("input_name")
    for name in ("orders", "events", "messages"):
        assert unread.loc[name, "row_count"] == 1


def test_a_refresh_reads_what_came_too_late(ten_days, late):
    days = "int_coterie__customer_days"
    assert len(late.fresh[days]) > len(ten_days.again[days])
    assert differences(late.fresh, late.refreshed) == []


# ---- settings that would mix ---------------------------------------------------------------------

#: Only refused in every run; the others are healed in the matrix as well.
ALWAYS_REFUSED = {"coterie__invalid_order_statuses"}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({name: ["cancelled"] for name in ALWAYS_REFUSED}, id="statuses"),
        pytest.param(
            {"coterie__timezone": "Pacific/Auckland"}, id="zone", marks=pytest.mark.matrix
        ),
        pytest.param(
            {"coterie__event_types": {"view": ["peek"]}}, id="event types", marks=pytest.mark.matrix
        ),
    ],
)
def test_a_setting_that_would_mix_two_meanings_is_refused(ten_days, changed):
    host = copied(ten_days.host, f"changed-{next(iter(changed))}")
    before = host.snapshot([DAYS])
    run = host.dbt(*UP_TO_FEATURES, variables=changed, must_succeed=False)
    assert run.return_code == 1
    messages = [str(r["message"]) for r in run.results if r["status"] == "error"]
    assert messages
    for message in messages:
        assert next(iter(changed)) in message
    assert differences(before, host.snapshot([DAYS])) == []

    if set(changed) != ALWAYS_REFUSED:
        # The one selection that the message names makes the build pass again.
        host.dbt(*refresh_of(re.sub(r"\s+", " ", messages[0])), variables=changed)


def test_exports_differ_from_morning_to_morning(ten_days):
    """The mornings cut from the history show each row from its arrival on, and each change too."""
    story = ten_days
    first, last = (known_before(story.tables, story.mornings[i]) for i in (0, -1))
    for name in ("orders", "order_lines", "events", "messages", "identities"):
        assert len(last[name]) > len(first[name]), name
    statuses = [
        cut["orders"].set_index("order_id").loc[story.cancelled, "status"] for cut in (first, last)
    ]
    assert "cancelled" not in set(statuses[0])
    assert set(statuses[1]) == {"cancelled"}
    refunds = [
        cut["orders"].set_index("order_id").loc[story.refunded, "refund_amount"]
        for cut in (first, last)
    ]
    assert refunds[0].isna().all()
    assert (refunds[1] > 0).all()
