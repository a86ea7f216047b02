"""A generated shop as it was known on a morning, as it grew day by day, and with a false future.

A row has a time of its own and, in a history, the day on which it first stood in the shop's
exports (`arrives_on`), which is later for rows that came late; another took its place on the day
`leaves_on`. Changes of a row have times of their own: before them the export held the row without
the change.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np
import pandas as pd

from coterie.demo import INPUTS, generate_demo

Tables = dict[str, pd.DataFrame]

#: The time of a row itself; order lines have that of their order.
OWN_TIMES = {
    "orders": "ordered_at",
    "customers": "valid_from",
    "products": "launched_at",
    "events": "occurred_at",
    "identities": "linked_at",
    "messages": "sent_at",
    "feedback": "occurred_at",
}

#: The time of a change, and what the columns that it changed held before.
CHANGES = {
    "orders": {
        "status_changed_at": {"status": "completed"},
        "refunded_at": {"refund_amount": np.nan},
    },
    "messages": {"opened_at": {}, "clicked_at": {}, "unsubscribed_at": {}, "bounced_at": {}},
}

#: From here on a time is a typing error.
FAR_AHEAD = pd.Timestamp("2090-01-01")

#: Statuses of which an order counts.
GOOD_STATUSES = ("completed", "")


def generate_history(customer_count: int, seed: int) -> Tables:
    """Two years of all seven inputs, dirty rows included, with a first version of each customer.

    A customer's first version holds from the sign-up on; where that is missing, from ever.
    """
    shop = generate_demo(customer_count, seed=seed)
    tables = {name: shop[name].copy() for name in INPUTS}
    customers = tables["customers"]
    tables["customers"] = customers.assign(valid_from=customers["signed_up_at"])
    tables["order_lines"]["quantity"] = pd.to_numeric(tables["order_lines"]["quantity"])
    for name, table in tables.items():
        for column in table.columns:
            if table[column].dtype.kind == "M":
                tables[name][column] = table[column].astype("datetime64[us]")
    return tables


# ---- as it was known ---------------------------------------------------------------------------


def known_before(tables: Tables, morning: str | pd.Timestamp) -> Tables:
    """What the shop's exports held on a morning: rows that were there, changes that had been made.

    Rows without a time have always been there.
    """
    morning = pd.Timestamp(morning)
    cut = {}
    for name, table in tables.items():
        if name == "order_lines":
            continue
        arrival = table.get("arrives_on", table[OWN_TIMES[name]])
        table = table[~(arrival >= morning)].copy()
        if "leaves_on" in table:
            table = table[~(table["leaves_on"] < morning)].drop(columns="leaves_on")
        for changed_at, former in CHANGES.get(name, {}).items():
            is_ahead = table[changed_at] >= morning
            table.loc[is_ahead, [changed_at]] = pd.NaT
            for column, value in former.items():
                table.loc[is_ahead, [column]] = value
        cut[name] = table
    lines = tables["order_lines"]
    if "arrives_on" in lines:
        lines = lines[~(lines["arrives_on"] >= morning)]
    absent = set(tables["orders"]["order_id"]) - set(cut["orders"]["order_id"])
    cut["order_lines"] = lines[~lines["order_id"].isin(absent)]
    return {name: cut[name].drop(columns="arrives_on", errors="ignore") for name in INPUTS}


# ---- ten days ----------------------------------------------------------------------------------


def daily_history(
    customer_count: int, seed: int, first_day: str | pd.Timestamp, day_count: int = 10
) -> SimpleNamespace:
    """A shop of which the exports of some days are told apart, with all that makes days differ.

    From `first_day` on rows come up to two days late, orders are cancelled, refunded (some of them
    twice) and exported again, visitors of months ago become known, ids of long ago come again, a
    session runs over midnight, and a few rows come from 2099.

    Returns
    -------
    types.SimpleNamespace
        `tables` with the column arrives_on, `mornings` after each day, and the ids of the rows
        that were planted.
    """
    first_day = pd.Timestamp(first_day)
    rng = np.random.default_rng(seed)
    tables = generate_history(customer_count, seed)
    last_day = first_day + pd.Timedelta(days=day_count - 1)
    # One order from 2099 is a typing error; a thousandth of all orders would be taken at its word.
    from_2099 = tables["orders"]["ordered_at"] >= FAR_AHEAD
    tables["orders"] = tables["orders"].drop(index=tables["orders"].index[from_2099][1:])

    def day(number: int, hours: float = 12) -> pd.Timestamp:
        return first_day + pd.Timedelta(days=number - 1, hours=hours)

    for name in ("orders", "events", "messages", "identities", "customers", "products"):
        table = tables[name].reset_index(drop=True)
        own = table[OWN_TIMES[name]]
        arrival = own.dt.floor("D")
        if name not in ("customers", "products"):
            is_recent = own.between(first_day, last_day + pd.Timedelta(days=1), inclusive="left")
            late = np.where(is_recent & (rng.random(len(table)) < 0.2), rng.integers(1, 3), 0)
            arrival = arrival + pd.to_timedelta(late, unit="D")
        # Typing errors are in the exports from the start.
        arrival = arrival.mask(own >= FAR_AHEAD, first_day)
        tables[name] = table.assign(arrives_on=arrival)

    def plant(name: str, rows: pd.DataFrame, arrives_on: object) -> pd.DataFrame:
        rows = rows.assign(arrives_on=arrives_on)
        tables[name] = pd.concat([tables[name], rows], ignore_index=True)
        return rows

    def sample(rows: pd.DataFrame, count: int) -> pd.DataFrame:
        return rows.loc[np.sort(rng.choice(rows.index.to_numpy(), count, replace=False))]

    # Old orders, each once in the table, of known customers, to which nothing has happened yet.
    orders = tables["orders"]
    is_plain = (
        orders["ordered_at"].between(
            first_day - pd.Timedelta(days=200), first_day - pd.Timedelta(days=20)
        )
        & orders["status"].isin(GOOD_STATUSES)
        & orders["status_changed_at"].isna()
        & orders["refunded_at"].isna()
        & ~orders["order_id"].duplicated(keep=False)
        & (orders["order_id"] != "")
        & (orders["customer_id"] != "")
        & orders["order_amount"].gt(0)
        & ~orders["is_test"]
    )
    plain = sample(orders[is_plain], 30)
    cancelled, refunded, again, copied, twice = (plain.iloc[i : i + 6] for i in range(0, 30, 6))
    days = [2, 3, 5, 6, 9, 10]
    orders.loc[cancelled.index, "status"] = "cancelled"
    orders.loc[cancelled.index, "status_changed_at"] = [day(k, 9) for k in days]
    orders.loc[refunded.index, "refunded_at"] = [day(k, 15) for k in days]
    shares = np.array([1.0, 0.5, 0.25, 1.0, 0.1, 0.5])
    orders.loc[refunded.index, "refund_amount"] = (refunded["order_amount"] * shares).round(2)
    # A second row of the same order and time, in its newer state, beside the first.
    plant(
        "orders",
        again.assign(status="cancelled", status_changed_at=[day(k, 11) for k in days]),
        [day(k, 0) for k in days],
    )
    orders = tables["orders"]
    # A first change, and a second one in its place: more is given back, or the order stands again.
    first_changes, second_changes = [day(k, 9) for k in (1, 2, 2, 3, 3, 4)], day(9, 9)
    both = twice.index.repeat(2)
    is_first = np.arange(len(both)) % 2 == 0
    changes = orders.loc[both].reset_index(drop=True)
    changed_at = pd.Series(np.repeat(first_changes, 2)).where(is_first, second_changes)
    is_refund = np.arange(len(both)) < 6
    changes["refund_amount"] = np.where(
        is_refund, (changes["order_amount"] * np.where(is_first, 0.25, 0.5)).round(2), np.nan
    )
    changes["refunded_at"] = changed_at.where(is_refund)
    changes["status"] = np.where(is_refund | ~is_first, changes["status"], "cancelled")
    changes["status_changed_at"] = changed_at.where(~is_refund)
    changes["arrives_on"] = changes["arrives_on"].where(is_first, second_changes.floor("D"))
    changes["leaves_on"] = (
        pd.Series(second_changes.floor("D"))
        .repeat(len(both))
        .reset_index(drop=True)
        .where(is_first)
    )
    tables["orders"] = pd.concat([orders.drop(index=twice.index), changes], ignore_index=True)
    # The id of an old order on a new one: the first stands.
    plant(
        "orders",
        copied.assign(ordered_at=[day(k, 10) for k in days], order_amount=9999.0),
        [day(k, 0) for k in days],
    )

    # Lines come with their order, or a day after it.
    lines = tables["order_lines"].reset_index(drop=True)
    by_order = tables["orders"].drop_duplicates("order_id").set_index("order_id")
    arrival = lines["order_id"].map(by_order["arrives_on"])
    is_recent = lines["order_id"].map(by_order["ordered_at"]) >= first_day
    late = np.where(is_recent & (rng.random(len(lines)) < 0.2), 1, 0)
    tables["order_lines"] = lines.assign(arrives_on=arrival + pd.to_timedelta(late, unit="D"))

    # Visitors whose events are known to be a customer's only now.
    identities, events = tables["identities"], tables["events"]
    nameless = events[(events["customer_id"] == "") & (events["occurred_at"] < first_day)]
    is_old = (
        identities["anonymous_id"].isin(nameless["anonymous_id"])
        & ~identities["anonymous_id"].duplicated(keep=False)
        & (identities["linked_at"] < first_day)
    )
    linked = sample(identities[is_old], 6)
    times = [day(k, 17) for k in (5, 5, 5, 5, 8, 10)]
    identities.loc[linked.index, "linked_at"] = times
    identities.loc[linked.index, "arrives_on"] = [t.floor("D") for t in times]

    # Ids of old events and messages on new ones; the first stand.
    named = events[(events["customer_id"] != "") & (events["occurred_at"] < day(-20))]
    named = named[(named["event_id"] != "") & ~named["event_id"].duplicated(keep=False)]
    copies = sample(named, 4)
    plant(
        "events",
        copies.assign(occurred_at=[day(k, 13) for k in (3, 5, 6, 9)]),
        [day(k, 0) for k in (3, 5, 6, 9)],
    )
    messages = tables["messages"]
    sent = messages[(messages["sent_at"] < day(-20)) & ~messages["message_id"].duplicated(False)]
    plant(
        "messages",
        sample(sent, 4).assign(sent_at=[day(k, 13) for k in (3, 5, 6, 9)]),
        [day(k, 0) for k in (3, 5, 6, 9)],
    )
    # Old messages that are opened, clicked and answered with an unsubscription now.
    quiet = sent[sent[[*CHANGES["messages"]]].isna().all(axis=1)]
    answered = sample(quiet, 6)
    for number, (row, k) in enumerate(zip(answered.index, days, strict=True)):
        messages = tables["messages"]
        messages.loc[row, "opened_at"] = day(k, 18)
        if number % 2:
            messages.loc[row, "clicked_at"] = day(k, 18.5)
        if number == 5:
            messages.loc[row, "unsubscribed_at"] = day(k, 19)

    # A session over midnight, with one event that comes two days late.
    night = copies.iloc[[0, 0, 0, 0]].assign(
        event_id=["night-1", "night-2", "night-3", "night-4"],
        session_id="night",
        occurred_at=[day(3, 23.9), day(3, 23.95), day(4, 0.1), day(4, 0.2)],
    )
    plant("events", night, [day(3, 0), day(5, 0), day(4, 0), day(4, 0)])
    # A tracker with a broken clock sets the date of nothing.
    plant(
        "events",
        copies.iloc[[1]].assign(event_id="2099", occurred_at=pd.Timestamp("2099-06-01 08:00")),
        day(4, 0),
    )
    # A move: a second version of a customer.
    customers = tables["customers"]
    moved = sample(customers[customers["valid_from"] < day(-20)], 3)
    plant(
        "customers",
        moved.assign(valid_from=day(4, 10), country_code="ZZ", city="Nowhere"),
        day(4, 0),
    )
    return SimpleNamespace(
        tables=tables,
        mornings=[first_day + pd.Timedelta(days=k + 1) for k in range(day_count)],
        cancelled=list(cancelled["order_id"]),
        refunded=list(refunded["order_id"]),
        exported_again=list(again["order_id"]),
        copied=list(copied["order_id"]),
        changed_twice=list(twice["order_id"]),
        linked=list(linked["anonymous_id"]),
    )


# ---- a false future ----------------------------------------------------------------------------


def with_false_future(tables: Tables, date: str | pd.Timestamp, seed: int) -> Tables:
    """The shop with rows and changes from a date on that are as wild as the inputs allow.

    Nothing of it was known before the date, so nothing before the date may look different.
    What has no time of its own (attributes of a product or of an order, lines of an order) cannot
    be kept out and stays as it is.
    """
    date = pd.Timestamp(date)
    rng = np.random.default_rng(seed)
    tables = {name: table.reset_index(drop=True) for name, table in tables.items()}
    orders, customers, events = tables["orders"], tables["customers"], tables["events"]
    messages, identities, products = (tables[n] for n in ("messages", "identities", "products"))
    ids = customers.loc[customers["customer_id"] != "", "customer_id"].unique()
    newcomers = np.array([f"newcomer-{i}" for i in range(20)])

    def times(count: int) -> pd.Series:
        """Times from the date on, the first of them at the very start of the day."""
        seconds = rng.integers(0, 200 * 86_400, count)
        seconds[: count // 4] = rng.integers(0, 86_400, count // 4)
        seconds[: min(count, 5)] = 0
        return pd.Series(date + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us]")

    def people(count: int) -> np.ndarray:
        return rng.choice(np.concatenate([ids, newcomers]), count)

    def some(rows: pd.DataFrame, count: int) -> pd.DataFrame:
        chosen = rng.choice(rows.index.to_numpy(), min(count, len(rows)), replace=False)
        return rows.loc[np.sort(chosen)]

    def set_times(table: pd.DataFrame, rows: pd.DataFrame, column: str) -> None:
        table.loc[rows.index, column] = times(len(rows)).to_numpy()

    def add(name: str, *parts: pd.DataFrame) -> None:
        tables[name] = pd.concat([tables[name], *parts], ignore_index=True)

    # Changes of what was there before: nothing had happened to these rows by the date.
    before = orders[orders["ordered_at"] < date]
    is_single = ~before["order_id"].duplicated(keep=False)
    is_quiet = before["status_changed_at"].isna() | (before["status_changed_at"] >= date)
    is_quiet &= before["status"].isin(GOOD_STATUSES) | before["status_changed_at"].notna()
    cancelled = some(before[is_quiet], 300)
    orders.loc[cancelled.index, "status"] = rng.choice(["cancelled", "pending"], len(cancelled))
    set_times(orders, cancelled, "status_changed_at")
    is_kept = before["refunded_at"].isna() | (before["refunded_at"] >= date)
    refunded = some(before[is_kept], 300)
    orders.loc[refunded.index, "refund_amount"] = rng.choice([0.01, 10.0, 1e6], len(refunded))
    set_times(orders, refunded, "refunded_at")
    for column in CHANGES["messages"]:
        is_open = messages["sent_at"].lt(date) & ~messages[column].lt(date)
        set_times(messages, some(messages[is_open], 200), column)

    # Orders: of everybody, of absurd amounts, of ids that exist, and broken ones.
    count = 400
    fresh = some(orders[orders["order_amount"].notna()], count).assign(
        order_id=[f"false-{i}" for i in range(count)],
        customer_id=people(count),
        ordered_at=times(count).to_numpy(),
        order_amount=rng.choice([0.0, -50.0, 0.01, 99.0, 1e9], count),
        coupon_code="FALSE",
        sales_channel=rng.choice(["web", "moon"], count),
        status=rng.choice(["completed", "cancelled", "pending", ""], count),
        status_changed_at=pd.NaT,
        refund_amount=np.nan,
        refunded_at=pd.NaT,
        is_test=rng.random(count) < 0.1,
    )
    copies = some(before[before["order_id"] != ""], 200)
    copies = copies.assign(
        ordered_at=times(len(copies)).to_numpy(), order_amount=1e8, customer_id=people(len(copies))
    )
    newer_states = some(before[is_single & is_quiet & is_kept & (before["order_id"] != "")], 60)
    newer_states = newer_states.assign(
        status="cancelled",
        status_changed_at=times(len(newer_states)).to_numpy(),
        refund_amount=newer_states["order_amount"],
        refunded_at=times(len(newer_states)).to_numpy(),
    )
    broken = fresh.iloc[:12].assign(
        order_id=[f"broken-{i}" for i in range(12)], order_amount=[np.nan, np.inf, 1e15] * 4
    )
    far = fresh.iloc[:2].assign(order_id=["far-1", "far-2"], ordered_at=pd.Timestamp("2150-01-01"))
    add("orders", fresh, copies, newer_states, broken, far)

    # Lines of orders that were not there.
    lines = some(tables["order_lines"], count).assign(
        order_id=fresh["order_id"].to_numpy(),
        product_id=rng.choice([*products["product_id"], "false-product"], count),
        quantity=rng.choice([1, 10**6], count),
        line_amount=1e9,
    )
    add("order_lines", lines)

    # Products: new ones, and known ones launched again as something else.
    add(
        "products",
        products.iloc[:5].assign(
            product_id=[f"false-product-{i}" for i in range(5)],
            launched_at=times(5).to_numpy(),
            category="false",
        ),
        products.iloc[5:15].assign(launched_at=times(10).to_numpy(), category="false"),
    )

    # Customers: newer versions of all kinds, which cannot say when somebody signed up, and first
    # versions of people who only bought, or of whom nothing else is known.
    is_known = (customers["customer_id"] != "") & ~(customers["valid_from"] >= date)
    versions = some(customers[is_known], 150)
    versions = versions.assign(
        valid_from=times(len(versions)).to_numpy(),
        signed_up_at=pd.Timestamp("2001-01-01"),
        gender="other",
        country_code="ZZ",
        region="Nowhere",
        city="Nowhere",
        acquisition_channel="false",
    )
    strangers = sorted(set(orders["customer_id"]) - set(ids) - {""})
    unseen = [*newcomers, *strangers, "ghost-1", "ghost-2"]
    valid_from = times(len(unseen))
    first_versions = versions.iloc[[0] * len(unseen)].assign(
        customer_id=unseen,
        valid_from=valid_from.to_numpy(),
        signed_up_at=valid_from.where(np.arange(len(unseen)) < len(unseen) - 2).to_numpy(),
    )
    add("customers", versions, first_versions)

    # Links: of visitors who had no name, and of named ones to somebody else.
    nameless = events[(events["customer_id"] == "") & (events["anonymous_id"] != "")]
    visitors = nameless["anonymous_id"].drop_duplicates()
    unlinked = visitors[~visitors.isin(identities["anonymous_id"])].to_numpy()[:200]
    linked = identities["anonymous_id"].drop_duplicates().to_numpy()[:100]
    both = np.concatenate([unlinked, linked])
    add(
        "identities",
        pd.DataFrame(
            {
                "anonymous_id": both,
                "customer_id": people(len(both)),
                "linked_at": times(len(both)).to_numpy(),
            }
        ),
    )

    # Events: of everybody, within sessions that had begun, and of ids that exist.
    count = 800
    earlier = events[events["occurred_at"] < date]
    moments = some(earlier, count)
    moments = moments.assign(
        event_id=[f"false-{i}" for i in range(len(moments))],
        occurred_at=times(len(moments)).to_numpy(),
        event_type=rng.choice(["add_to_cart", "begin_checkout", "search", "odd"], len(moments)),
    )
    repeats = some(earlier[earlier["event_id"] != ""], 200)
    repeats = repeats.assign(
        occurred_at=times(len(repeats)).to_numpy(), customer_id=people(len(repeats))
    )
    add("events", moments, repeats)

    # Messages: to everybody, and of ids that exist.
    count = 300
    letters = some(messages, count)
    sent_at = times(len(letters)).to_numpy()
    letters = letters.assign(
        message_id=[f"false-{i}" for i in range(len(letters))],
        customer_id=people(len(letters)),
        sent_at=sent_at,
        opened_at=sent_at,
        clicked_at=sent_at,
        unsubscribed_at=sent_at,
    )
    resent = some(messages[messages["sent_at"] < date], 100)
    resent_at = times(len(resent)).to_numpy()
    resent = resent.assign(sent_at=resent_at, opened_at=resent_at, unsubscribed_at=resent_at)
    add("messages", letters, resent)

    return {
        name: table.sample(frac=1, random_state=seed, ignore_index=True)
        for name, table in tables.items()
    }


def without(tables: Tables, name: str, columns: Iterable[str]) -> Tables:
    """The shop with some columns of one input left out."""
    return tables | {name: tables[name].drop(columns=list(columns))}
