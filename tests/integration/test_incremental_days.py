"""A shop read morning by morning holds what a full build of the last export would hold."""

from __future__ import annotations

import re
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from harness import Host, copy_host, differences
from histories import OWN_TIMES, known_before
from scenarios import UP_TO_FEATURES, grow_by_days, source_of, write_shop

#: What happened on a day, and the tables that keep it, one of each input that tells of it.
DAYS = "int_coterie__customer_days"
KEPT_DAYS = [f"int_coterie__customer_{word}_days" for word in ("order", "event", "message")]

#: Topics of which no table may depend on the way there.
COMPARED_TOPICS = {"inputs", "features"}


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
    for name in KEPT_DAYS:
        assert ten_days.host.node(name)["config"]["materialized"] == "incremental"
    for snapshot in ten_days.grown.values():
        assert all(len(snapshot[name]) > 300 for name in KEPT_DAYS)
        names = set(compared(ten_days.host, snapshot))
        assert {"int_coterie__customer_features", DAYS, *KEPT_DAYS} <= names


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


# ---- exports out of step -------------------------------------------------------------------------

#: Days from a late row to its export, at least, and from the first build to an order dated ahead.
DAYS_LATE, DAYS_AHEAD = 20, 12


@pytest.fixture(scope="module")
def out_of_step(ten_days) -> SimpleNamespace:
    """Build days 1, 4 and 7 of a shop of which no two exports are of one day.

    From the first day on an order is dated ahead. Events are empty at first, then six days behind;
    no visitor has a name before the last day, on which rows of weeks ago come as well.
    """
    mornings, tables = ten_days.mornings, dict(ten_days.tables)
    arrival = mornings[5]
    # Mails go out once a month.
    month = pd.date_range(end=arrival - pd.Timedelta(days=DAYS_LATE), periods=28)
    late = {}
    for name, key in (("orders", "order_id"), ("events", "event_id"), ("messages", "message_id")):
        rows = tables[name]
        is_of_month = rows[OWN_TIMES[name]].dt.normalize().isin(month)
        is_named = is_of_month & rows["customer_id"].ne("") & rows[key].ne("")
        late[name] = list(rows.loc[is_named & ~rows[key].duplicated(keep=False), key].iloc[:3])
        is_late = rows[key].isin(late[name])
        tables[name] = rows.assign(arrives_on=rows["arrives_on"].mask(is_late, arrival))
    lines = tables["order_lines"]
    assert set(late["orders"]) & set(lines["order_id"])
    orders = tables["orders"]
    preorder = orders[orders["order_id"].isin(late["orders"])].iloc[[0]]
    preorder = preorder.assign(
        order_id="preorder",
        ordered_at=mornings[0] + pd.Timedelta(days=DAYS_AHEAD),
        arrives_on=mornings[0] - pd.Timedelta(days=1),
    )
    tables["orders"] = pd.concat([orders, preorder], ignore_index=True)

    host = copy_host(ten_days.host, ten_days.host.project.parent / "out of step")
    story = SimpleNamespace(host=host, late=late, month=month, grown={}, fresh={})
    for number, days_behind, empty in (
        (1, 0, ("events", "identities")),
        (4, 6, ("identities",)),
        (7, 0, ()),
    ):
        morning = mornings[number - 1]
        export = known_before(tables, morning)
        export["events"] = known_before(tables, morning - pd.Timedelta(days=days_behind))["events"]

        def build(at: Host, export: dict = export, empty: tuple = empty) -> dict:
            write_shop(at, export)
            at.write({f"shop.{n}": f"select * from shop.{n} limit 0" for n in empty})
            at.dbt(*UP_TO_FEATURES)
            return compared(host, at.snapshot())

        story.grown[number] = build(host)
        if number > 1:
            story.fresh[number] = build(copy_host(host, host.project.parent / f"anew-{number}"))
    return story


@pytest.mark.matrix
@pytest.mark.parametrize("number", [4, 7])
def test_exports_out_of_step_lead_to_the_same_shop(out_of_step, number):
    assert len(out_of_step.fresh[number]) > 15
    assert differences(out_of_step.fresh[number], out_of_step.grown[number]) == []


@pytest.mark.matrix
def test_an_order_that_is_dated_ahead_hides_none_that_comes_after_it(out_of_step):
    counts = [len(out_of_step.grown[n]["int_coterie__orders"]) for n in (1, 4, 7)]
    assert counts == sorted(set(counts))
    for number in (1, 4, 7):
        orders = out_of_step.grown[number]["int_coterie__orders"].set_index("order_id")
        assert not orders.loc["preorder", "is_test"]


@pytest.mark.matrix
def test_an_input_that_is_filled_later_is_read_from_its_first_day_on(out_of_step):
    events, linked = ([] for _ in range(2))
    for number in (1, 4, 7):
        days = out_of_step.grown[number][DAYS]
        events.append(days["event_count"].sum())
        is_linked = (days["known_on"] > days["happened_on"]) & (days["event_count"] > 0)
        linked.append(is_linked.sum())
    assert events[0] == 0 < events[1] < events[2]
    assert linked[0] == linked[1] == 0 < linked[2]


@pytest.mark.matrix
def test_rows_that_come_weeks_late_are_read(out_of_step):
    before, after = out_of_step.grown[4], out_of_step.grown[7]
    for name in ("orders", "messages"):
        key = f"{name.removesuffix('s')}_id"
        ids = set(out_of_step.late[name])
        assert ids
        assert not ids & set(before[f"int_coterie__{name}"][key])
        assert ids <= set(after[f"int_coterie__{name}"][key])
    assert out_of_step.late["events"]
    totals = []
    for days in (before[DAYS], after[DAYS]):
        rows = days[pd.to_datetime(days["happened_on"]).isin(out_of_step.month)]
        totals.append(rows[["placed_order_count", "line_count", "event_count", "message_count"]])
    assert (totals[0].sum() < totals[1].sum()).all()


@pytest.mark.matrix
def test_no_row_is_left_unread(out_of_step):
    for snapshot in out_of_step.grown.values():
        counts = snapshot["int_coterie__input_row_counts"]
        assert counts["unread_row_count"].eq(0).all()


# ---- days of long ago ----------------------------------------------------------------------------

#: The input layer, as far as it can be told apart.
UP_TO_INPUTS = ("run", "-s", "+int_coterie__rejected_rows", "+int_coterie__input_row_counts")


def plain_rows(rows: pd.DataFrame, key: str, time: str, until: pd.Timestamp) -> pd.DataFrame:
    """Return the sound rows before a time whose keys stand once, on days with more than one."""
    is_plain = (
        (rows["customer_id"] != "")
        & (rows[key] != "")
        & ~rows[key].duplicated(keep=False)
        & rows[time].between(until - pd.Timedelta(days=300), until)
    )
    plain = rows[is_plain]
    per_day = plain.groupby(plain[time].dt.normalize())[key].transform("size")
    return plain[per_day > 1]


def first_of_days(rows: pd.DataFrame, time: str, count: int) -> list[pd.Series]:
    """Return one row of each of some days, the days apart from each other."""
    days = rows.drop_duplicates(time).groupby(rows[time].dt.normalize()).head(1)
    assert len(days) >= 3 * count
    return [days.iloc[3 * number] for number in range(count)]


@pytest.fixture(scope="module")
def old_days(ten_days) -> SimpleNamespace:
    """Build a shop again whose last export has changed on days of weeks and months ago.

    Each story is of a day of its own. Where a row comes another one goes, so that the number of all
    rows would not tell.
    """
    tables = {name: rows.copy() for name, rows in ten_days.last_tables.items()}
    newest = ten_days.mornings[-1]
    until = newest - pd.Timedelta(days=25)
    story = SimpleNamespace(tables=tables)

    def add(name: str, row: pd.Series, **columns: object) -> None:
        rows = pd.DataFrame([row]).astype(tables[name].dtypes.to_dict()).assign(**columns)
        tables[name] = pd.concat([tables[name], rows], ignore_index=True)

    def remove(name: str, column: str, *values: str) -> None:
        tables[name] = tables[name][~tables[name][column].isin(values)]

    # Orders: one comes late and one goes, of two days and of the same; a day loses all of them; a
    # refund of long ago is told only now; the order of lines that had none comes.
    orders, lines = tables["orders"], tables["order_lines"]
    plain = plain_rows(orders, "order_id", "ordered_at", until)
    plain = plain[
        plain["order_id"].isin(lines["order_id"])
        & plain["refunded_at"].isna()
        & plain["status_changed_at"].isna()
        & ~plain["is_test"]
    ]
    late, gone, swapped, emptied, refunded, awaited, longer, shorter = first_of_days(
        plain, "ordered_at", 8
    )
    an_hour = pd.Timedelta(hours=1)
    add("orders", late, order_id="late", ordered_at=late["ordered_at"] + an_hour)
    remove("orders", "order_id", gone["order_id"])
    remove("order_lines", "order_id", gone["order_id"])
    add("orders", swapped, order_id="in its place", ordered_at=swapped["ordered_at"].floor("D"))
    remove("orders", "order_id", swapped["order_id"])
    is_swapped = tables["order_lines"]["order_id"] == swapped["order_id"]
    tables["order_lines"].loc[is_swapped, "order_id"] = "in its place"
    story.emptied = emptied["ordered_at"].normalize()
    is_emptied = tables["orders"]["ordered_at"].dt.normalize() == story.emptied
    remove("order_lines", "order_id", *tables["orders"].loc[is_emptied, "order_id"])
    tables["orders"] = tables["orders"][~is_emptied]
    is_refunded = tables["orders"]["order_id"] == refunded["order_id"]
    tables["orders"].loc[is_refunded, "refund_amount"] = refunded["order_amount"]
    tables["orders"].loc[is_refunded, "refunded_at"] = until
    ghosts = lines.loc[~lines["order_id"].isin([*orders["order_id"], ""]), "order_id"]
    add("orders", awaited, order_id=ghosts.iloc[0], ordered_at=awaited["ordered_at"] + an_hour)
    # Lines: one more of an old order, and one less of another.
    one_line = tables["order_lines"][tables["order_lines"]["order_id"] == longer["order_id"]]
    add("order_lines", one_line.iloc[0], product_id="one more")
    of_shorter = tables["order_lines"]["order_id"] == shorter["order_id"]
    tables["order_lines"] = tables["order_lines"].drop(index=of_shorter.index[of_shorter][0])
    story.orders = SimpleNamespace(
        came={"late", "in its place", ghosts.iloc[0]},
        went={gone["order_id"], swapped["order_id"]},
        refunded=refunded["order_id"],
        awaited=ghosts.iloc[0],
        longer=longer["order_id"],
    )

    # Events: the same, and copies of old ones, on a new day and on an old one.
    events = plain_rows(tables["events"], "event_id", "occurred_at", until)
    late, gone, emptied, old, older, copied_late = first_of_days(events, "occurred_at", 6)
    add("events", late, event_id="late")
    remove("events", "event_id", gone["event_id"])
    is_emptied = (
        tables["events"]["occurred_at"].dt.normalize() == emptied["occurred_at"].normalize()
    )
    tables["events"] = tables["events"][~is_emptied]
    add("events", old, occurred_at=newest - an_hour)
    first, second = sorted([older, copied_late], key=lambda row: row["occurred_at"])
    add("events", first, occurred_at=second["occurred_at"] + an_hour)
    story.copies = {old["event_id"], first["event_id"]}

    # Messages: the same, and an old one is opened.
    messages = plain_rows(tables["messages"], "message_id", "sent_at", until)
    days = messages["sent_at"].dt.normalize().drop_duplicates().iloc[:2]
    of_first_day = messages[messages["sent_at"].dt.normalize() == days.iloc[0]]
    one, other, opened = (of_first_day.iloc[number] for number in range(3))
    add("messages", one, message_id="late", sent_at=one["sent_at"] + pd.Timedelta(seconds=1))
    remove("messages", "message_id", other["message_id"])
    is_opened = tables["messages"]["message_id"] == opened["message_id"]
    tables["messages"].loc[is_opened, "opened_at"] = until
    is_emptied = tables["messages"]["sent_at"].dt.normalize() == days.iloc[1]
    tables["messages"] = tables["messages"][~is_emptied]
    story.messages = SimpleNamespace(went=other["message_id"], opened=opened["message_id"])

    host = write_shop(copied(ten_days.host, "old days"), tables)
    host.dbt(*UP_TO_INPUTS)
    story.grown = compared(host, host.snapshot())
    fresh = write_shop(copy_host(host, host.project.parent / "anew"), tables)
    fresh.dbt(*UP_TO_INPUTS)
    story.fresh = compared(host, fresh.snapshot())
    return story


def test_days_of_long_ago_are_read_again_where_they_have_changed(old_days):
    assert len(old_days.fresh) > 10
    grown = {name: old_days.grown[name] for name in old_days.fresh}
    found = differences(old_days.fresh, grown)
    assert found == [], "\n".join(found)
    assert grown["int_coterie__input_row_counts"]["unread_row_count"].eq(0).all()


def test_what_has_changed_long_ago_is_what_was_planted(old_days):
    """Otherwise the comparison would be of nothing."""
    checked = {
        name: old_days.grown[f"int_coterie__checked_{name}"]
        for name in ("orders", "order_lines", "messages")
    }
    orders = checked["orders"].set_index("order_id")
    assert old_days.orders.came <= set(orders.index)
    assert not old_days.orders.went & set(orders.index)
    assert orders.loc[old_days.orders.refunded, "refund_amount"] > 0
    assert not (orders["ordered_at"].dt.normalize() == old_days.emptied).any()
    lines = checked["order_lines"]
    assert not lines["ordered_at"].dt.normalize().eq(old_days.emptied).any()
    assert not old_days.orders.went & set(lines["order_id"])
    assert lines.loc[lines["order_id"] == old_days.orders.awaited, "rejection_rule"].isna().all()
    assert "one more" in set(lines.loc[lines["order_id"] == old_days.orders.longer, "product_id"])
    messages = checked["messages"].set_index("message_id")
    assert "late" in messages.index
    assert old_days.messages.went not in messages.index
    assert pd.notna(messages.loc[old_days.messages.opened, "opened_at"])
    rejected = old_days.grown["int_coterie__rejected_rows"]
    duplicates = rejected[rejected["rule_name"] == "duplicate"]
    assert old_days.copies <= set(duplicates["record_id"])


def refresh_of(words: str) -> tuple[str, ...]:
    """Return the command that a message names, as far as the features."""
    selection = re.search(r"--full-refresh -s (\S+)", words)
    assert selection, words
    wanted = ("int_coterie__customer_features", "int_coterie__rejected_rows")
    chosen = [f"{selection[1]},+{name}" for name in (*wanted, "int_coterie__input_row_counts")]
    return ("run", "--full-refresh", "-s", *chosen)


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
    before = host.snapshot([DAYS, *KEPT_DAYS])
    run = host.dbt(*UP_TO_FEATURES, variables=changed, must_succeed=False)
    assert run.return_code == 1
    messages = [str(r["message"]) for r in run.results if r["status"] == "error"]
    assert messages
    for message in messages:
        assert next(iter(changed)) in message
    assert differences(before, host.snapshot([DAYS, *KEPT_DAYS])) == []

    if set(changed) != ALWAYS_REFUSED:
        # The one selection that the message names makes the build pass again.
        host.dbt(*refresh_of(re.sub(r"\s+", " ", messages[0])), variables=changed)


def test_a_column_that_comes_to_an_input_is_refused_until_all_is_read_anew(ten_days):
    host = copied(ten_days.host, "a column more")
    tables = dict(ten_days.last_tables)
    with_coupons = tables["orders"]

    def words_of_refusal() -> str:
        before = host.snapshot([DAYS, *KEPT_DAYS])
        run = host.dbt(*UP_TO_FEATURES, must_succeed=False)
        errors = [r for r in run.results if r["status"] == "error"]
        # What does not read the orders goes on.
        assert [r["unique_id"].split(".")[-1] for r in errors] == ["int_coterie__checked_orders"]
        assert differences(before, host.snapshot([DAYS, *KEPT_DAYS])) == []
        return re.sub(r"\s+", " ", str(errors[0]["message"]))

    def coupons_held() -> int:
        return int(host.snapshot(["int_coterie__checked_orders"]).popitem()[1].coupon_code.count())

    held = coupons_held()
    assert held > 0
    # A column that has left the input.
    tables["orders"] = with_coupons.drop(columns="coupon_code")
    write_shop(host, tables)
    words = words_of_refusal()
    assert "a column of the input orders has come, gone" in words
    host.dbt(*refresh_of(words))
    assert coupons_held() == 0

    # It comes back: left out by the var, nothing has changed. What is read whole is never asked.
    tables["orders"] = with_coupons
    tables["customers"] = tables["customers"].drop(columns="city")
    write_shop(host, tables)
    words = words_of_refusal()
    host.dbt(*UP_TO_FEATURES, variables={"coterie__orders_columns": {"coupon_code": ""}})
    assert coupons_held() == 0
    host.dbt(*refresh_of(words))
    assert coupons_held() == held


def test_a_model_that_is_built_alone_refuses_what_has_changed_for_it(ten_days):
    host = copied(ten_days.host, "alone")
    before = host.snapshot(["int_coterie__checked_events"])
    alone = ("run", "-s", "int_coterie__checked_events")
    run = host.dbt(
        *alone, variables={"coterie__event_types": {"view": ["peek"]}}, must_succeed=False
    )
    assert run.return_code == 1
    assert "coterie__event_types" in run.result("int_coterie__checked_events")["message"]
    host.dbt(*alone, variables={"coterie__invalid_order_statuses": ["cancelled"]})
    assert differences(before, host.snapshot(["int_coterie__checked_events"])) == []


def test_a_time_that_becomes_another_kind_is_refused(ten_days):
    """A time with a zone is turned into the shop's, one without is taken as it stands."""
    host = copied(ten_days.host, "another kind")
    tables = dict(ten_days.last_tables)
    tables["messages"] = tables["messages"].assign(
        sent_at=tables["messages"]["sent_at"].dt.tz_localize("UTC")
    )
    run = write_shop(host, tables).dbt(*UP_TO_FEATURES, must_succeed=False)
    refused = [r for r in run.results if r["status"] == "error"]
    assert [r["unique_id"].split(".")[-1] for r in refused] == ["int_coterie__checked_messages"]
    assert "become another kind of time" in re.sub(r"\s+", " ", str(refused[0]["message"]))


def test_whom_a_shop_erases_is_no_other_meaning_of_its_rows(ten_days):
    host = copied(ten_days.host, "erasure")
    orders = host.snapshot(["int_coterie__checked_orders"]).popitem()[1]
    erased = orders["customer_id"].dropna().iloc[:1]
    requests = pd.DataFrame({"customer_id": erased, "requested_at": pd.Timestamp("2024-01-01")})
    host.write({"shop.erasure_requests": requests})
    host.dbt(
        *UP_TO_FEATURES,
        variables={"coterie__erasure_requests_relation": source_of("erasure_requests")},
    )
    kept = host.snapshot(["int_coterie__checked_orders"]).popitem()[1]
    assert set(orders["customer_id"].dropna()) - set(kept["customer_id"].dropna()) == set(erased)


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
