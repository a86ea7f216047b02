"""No feature of a date depends on what came later, and a build that looks ahead turns red."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pandas as pd
import pytest
from harness import REPOSITORY, Host, copy_host, differences, edit_package
from histories import INPUTS, known_before, with_false_future, without
from scenarios import MIDDLE_DAY, UP_TO_SEGMENTS, write_shop
from shops import simulate_orders

#: What is known of a customer as of each date, and what becomes of it on the newest.
AS_OF_DATES = [
    "int_coterie__customer_features",
    "int_coterie__customer_nbd",
    "int_coterie__customer_rfm",
    "int_coterie__customer_segments",
    "coterie__customer_segments",
]

KEY = ["as_of_date", "customer_id"]

QUALITY_MART = "coterie__data_quality"
KNOWN_LATE_RULE = "known_late"
UNKNOWN_STATUS = "unknown"


def as_of(host: Host) -> dict[str, pd.DataFrame]:
    return host.snapshot(AS_OF_DATES)


def outcomes(host: Host) -> dict[str, pd.DataFrame]:
    return host.snapshot(["int_coterie__customer_outcomes"])


# ---- what comes after a date changes nothing before it -------------------------------------------


def test_the_false_future_is_there_to_be_seen(false_future):
    """Without this the comparisons below could be of nothing with nothing."""
    for name in INPUTS:
        known, poisoned = (
            host.value(f"select count(*) from shop.{name}")
            for host in (false_future.known, false_future.poisoned)
        )
        assert poisoned > known > 0, name
    features = false_future.known.table("int_coterie__customer_features")
    dates = features.groupby("as_of_date").size()
    assert len(dates) > 10
    assert dates.iloc[-1] > 500
    assert dates.index[-1] == pd.Timestamp(MIDDLE_DAY)


def test_features_do_not_see_what_comes_later(false_future):
    assert differences(as_of(false_future.known), as_of(false_future.poisoned)) == []


def test_outcomes_of_closed_windows_do_not_see_what_comes_later(false_future):
    assert differences(outcomes(false_future.known), outcomes(false_future.poisoned)) == []


@pytest.mark.matrix
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_features_do_not_see_another_false_future(false_future, seed):
    tables = with_false_future(false_future.history, MIDDLE_DAY, seed)
    poisoned = false_future.build(f"poisoned-{seed}", tables)
    assert differences(as_of(false_future.known), as_of(poisoned)) == []
    assert differences(outcomes(false_future.known), outcomes(poisoned)) == []


@pytest.mark.matrix
def test_features_do_not_see_the_true_future(false_future):
    whole = false_future.build("whole", false_future.history)
    assert differences(as_of(false_future.known), as_of(whole)) == []
    assert differences(outcomes(false_future.known), outcomes(whole)) == []


@pytest.mark.matrix
def test_a_date_looks_the_same_from_a_later_one(false_future):
    """An origin that teaches is what a build of that very day would have seen."""
    host = copy_host(false_future.unbuilt, false_future.unbuilt.project.parent / "later")
    later_day = pd.Timestamp(MIDDLE_DAY) + pd.Timedelta(days=60)
    host.variables |= {"coterie__as_of_date": str(later_day.date())}
    write_shop(host, known_before(false_future.history, later_day)).dbt(*UP_TO_SEGMENTS)

    def origins(built: Host) -> pd.DataFrame:
        rows = built.table("int_coterie__customer_features")
        rows = rows[rows["as_of_date"] <= MIDDLE_DAY].drop(
            columns=["is_scoring_date", "data_through"]
        )
        return rows.sort_values(KEY, ignore_index=True)

    then, now = origins(false_future.known), origins(host)
    # Who has left no trace by the date is scored on it, and is no example later.
    unseen = ~then.set_index(KEY).index.isin(now.set_index(KEY).index)
    assert (then.loc[unseen, "as_of_date"] == pd.Timestamp(MIDDLE_DAY)).all()
    assert (then.loc[unseen, "order_count"] == 0).all()
    assert differences({"features": then[~unseen]}, {"features": now}) == []

    # What was answered by then stands, unless an order has been undone since.
    labels = outcomes(false_future.known)["int_coterie__customer_outcomes"]
    later_labels = outcomes(host)["int_coterie__customer_outcomes"]
    label_key = [*KEY, "prediction_name"]
    both = labels.dropna(subset="outcome").merge(
        later_labels, on=label_key, suffixes=("", "_later"), validate="one_to_one"
    )
    assert len(both) == labels["outcome"].notna().sum()
    changed = both[both["outcome"] != both["outcome_later"]]
    assert (changed["outcome_later"] == 0).all()
    orders = false_future.history["orders"]
    undone_at = orders[["status_changed_at", "refunded_at"]].max(axis=1)
    undone = orders[undone_at.between(pd.Timestamp(MIDDLE_DAY), later_day)]
    assert set(changed["customer_id"]) <= set(undone["customer_id"])


# ---- a build that looks ahead --------------------------------------------------------------------

FEATURES = "models/intermediate/features"
FEATURE_TEST = "assert_features_end_before_their_date"
ATTRIBUTE_TEST = "assert_attributes_held_before_their_date"
OUTCOME_TEST = "assert_outcomes_lie_in_their_window"


@dataclass(frozen=True)
class Leak:
    """One way to look ahead: what is written in place of what, and the test that must notice.

    Parameters
    ----------
    edits
        Path in the package, the only place of this text in it, and the text instead.
    test
        The test of the package that fails.
    differs
        The model in which the false future shows.
    """

    edits: tuple[tuple[str, str, str], ...]
    test: str = FEATURE_TEST
    differs: str = "int_coterie__customer_features"


LEAKS = {
    "orders of the day itself": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__order_features.sql",
                "customer_as_of_dates.as_of_date > customer_days.known_on",
                "customer_as_of_dates.as_of_date >= customer_days.known_on",
            ),
        ),
    ),
    "refunds and cancellations that come later": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__order_features.sql",
                "customer_as_of_dates.as_of_date > customer_days.known_on",
                "customer_as_of_dates.as_of_date > customer_days.happened_on",
            ),
        ),
    ),
    "refunds known from the order on": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__customer_order_days.sql",
                "when refund_amount > 0 then greatest(cast(refunded_at as date), ordered_on)",
                "when refund_amount > 0 then ordered_on",
            ),
        ),
    ),
    "baskets of the day itself": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__basket_features.sql",
                "coterie.is_valid_order_as_of('customer_as_of_dates.as_of_date')",
                "coterie.is_valid_order_as_of("
                "coterie.days_after('customer_as_of_dates.as_of_date', 1))",
            ),
        ),
    ),
    "events before they were linked": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__event_features.sql",
                "spine.as_of_date > customer_days.known_on",
                "spine.as_of_date > customer_days.happened_on",
            ),
        ),
    ),
    "opens that come later": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__message_features.sql",
                "spine.as_of_date > customer_days.known_on",
                "spine.as_of_date > customer_days.happened_on",
            ),
        ),
    ),
    "sign-ups that come later": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__customer_features.sql",
                "when customer_as_of_dates.signed_up_at < customer_as_of_dates.as_of_date",
                "when customer_as_of_dates.signed_up_at is not null",
            ),
        ),
    ),
    "where customers will live": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__customer_features.sql",
                "and customer_as_of_dates.as_of_date > customer_attributes.valid_from",
                "and customer_attributes.valid_until is null",
            ),
        ),
        test=ATTRIBUTE_TEST,
    ),
    "statuses that come later, as outcomes": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__outcome_events.sql",
                "coterie.is_valid_order_as_of('as_of.as_of_date')",
                "coterie.is_valid_order_as_of(coterie.days_after('as_of.as_of_date', 60))",
            ),
        ),
        test=OUTCOME_TEST,
        differs="int_coterie__customer_outcomes",
    ),
    "outcomes of the day before": Leak(
        edits=(
            (
                f"{FEATURES}/int_coterie__customer_outcomes.sql",
                "and looked_for.as_of_date <= outcome_events.occurred_at",
                "and {{ coterie.days_after('looked_for.as_of_date', -1) }}"
                " <= outcome_events.occurred_at",
            ),
        ),
        test=OUTCOME_TEST,
        differs="int_coterie__customer_outcomes",
    ),
}

#: What a leak is built into: the features and all between them and the accepted rows.
REBUILT = "resource_type:model,coterie.intermediate.features"

#: Planted in every run; the others in the matrix.
ALWAYS_PLANTED = {"refunds and cancellations that come later", "outcomes of the day before"}


@pytest.fixture(scope="module")
def edited(false_future, tmp_path_factory) -> Callable[[tuple], Host]:
    """Return a function that gives the poisoned shop with an edited copy of the package."""
    root = tmp_path_factory.mktemp("edited")
    numbers = iter(range(100))

    def edit(edits: tuple[tuple[str, str, str], ...]) -> Host:
        host = copy_host(false_future.poisoned, root / f"{next(numbers)}")
        shutil.copy(false_future.poisoned.database, host.database)
        edit_package(host, edits)
        return host

    return edit


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ALWAYS_PLANTED else pytest.mark.matrix)
        for name in LEAKS
    ],
)
def test_a_look_ahead_turns_the_build_red(false_future, edited, name):
    leak = LEAKS[name]
    host = edited(leak.edits)
    run = host.dbt(
        "build",
        *("--full-refresh", "--indirect-selection", "empty"),
        *("-s", REBUILT, leak.test),
        must_succeed=False,
    )
    assert run.return_code == 1
    assert run.result(leak.test)["status"] == "fail"
    assert run.results_with("error") == []
    # The comparison with what was known finds it too, and finds none of it in a sound build.
    seen = host.snapshot([leak.differs])
    assert differences(false_future.known.snapshot([leak.differs]), seen) != []
    assert differences(false_future.poisoned.snapshot([leak.differs]), seen) != []


# ---- visitors ------------------------------------------------------------------------------------

#: Dates of the features looked at: the scoring date and the origin before it.
DATE = pd.Timestamp(MIDDLE_DAY)
ORIGIN = DATE - pd.Timedelta(days=30)

#: Days before ORIGIN on which every visitor looked at a product.
VIEW_AGES = [3, 5, 10]


def link(visitor: str, customer: str, linked_at: pd.Timestamp) -> dict[str, object]:
    return {"anonymous_id": visitor, "customer_id": customer, "linked_at": linked_at}


@pytest.fixture(scope="module")
def visitors(false_future) -> SimpleNamespace:
    """Build a shop whose visitors are linked at times around the dates."""
    host = copy_host(false_future.unbuilt, false_future.unbuilt.project.parent / "visitors")
    second, day = pd.Timedelta(seconds=1), pd.Timedelta(days=1)
    links = pd.DataFrame(
        [
            link("v-early", "linked just before", ORIGIN - second),
            link("v-late", "linked just at", ORIGIN),
            link("v-between", "linked between", DATE - 10 * day),
            link("v-after", "linked after", DATE + 5 * day),
            # Of two links the first in time stands, wherever it lies in the table.
            link("v-shared", "second", ORIGIN - second),
            link("v-shared", "first", ORIGIN - 2 * day),
            link("v-contested", "first of the contested", DATE - 2 * day),
            link("v-contested", "second of the contested", DATE + day),
        ]
    )
    people = links["customer_id"].unique()
    orders = simulate_orders(60, seed=41, day_count=500)
    own_orders = pd.DataFrame(
        {
            "order_id": [f"own-{i}" for i in range(len(people))],
            "customer_id": people,
            "ordered_at": DATE - 200 * day,
            "order_amount": 20.0,
        }
    )
    events = pd.DataFrame(
        [
            {
                "event_id": f"{visitor}-{age}",
                "occurred_at": ORIGIN - age * day + pd.Timedelta(hours=14),
                "event_type": "product_view",
                "anonymous_id": visitor,
                "session_id": f"{visitor}-{age}",
            }
            for visitor in links["anonymous_id"].unique()
            for age in VIEW_AGES
        ]
    )
    empty = {
        "customers": "select cast(null as varchar) as customer_id where false",
        "products": "select cast(null as varchar) as product_id where false",
        "order_lines": """
            select '' as order_id, '' as product_id, 1 as quantity, 1.0 as line_amount where false
        """,
        "messages": """
            select '' as message_id, '' as customer_id, date '2025-01-01' as sent_at, '' as channel
            where false
        """,
    }
    host.write(
        {
            "shop.orders": pd.concat([orders, own_orders]),
            "shop.events": events,
            "shop.identities": links,
        }
        | {f"shop.{name}": query for name, query in empty.items()}
    )
    host.dbt("run", "-s", "+int_coterie__customer_features")
    features = host.table("int_coterie__customer_features").set_index(KEY)

    def seen(customer: str, date: pd.Timestamp) -> dict[str, float]:
        row = features.loc[(date, customer)]
        return {
            name: row[name]
            for name in ("session_count_90d", "view_count_30d", "days_since_last_view")
            if not pd.isna(row[name])
        }

    return SimpleNamespace(seen=seen)


NOTHING = {"session_count_90d": 0, "view_count_30d": 0}
AT_ORIGIN = {"session_count_90d": 3, "view_count_30d": 3, "days_since_last_view": 3}
AT_DATE = {"session_count_90d": 3, "view_count_30d": 0, "days_since_last_view": 33}


@pytest.mark.parametrize(
    ("customer", "at_origin", "at_date"),
    [
        ("linked just before", AT_ORIGIN, AT_DATE),
        ("linked just at", NOTHING, AT_DATE),
        ("linked between", NOTHING, AT_DATE),
        ("linked after", NOTHING, NOTHING),
        ("first", AT_ORIGIN, AT_DATE),
        ("second", NOTHING, NOTHING),
        ("first of the contested", NOTHING, AT_DATE),
        ("second of the contested", NOTHING, NOTHING),
    ],
)
def test_a_visitors_past_counts_from_the_link_on_with_its_true_age(
    visitors, customer, at_origin, at_date
):
    assert visitors.seen(customer, ORIGIN) == at_origin
    assert visitors.seen(customer, DATE) == at_date


# ---- what cannot be protected is said ------------------------------------------------------------

has_quality_mart = pytest.mark.skipif(
    not (REPOSITORY / "models" / "marts" / f"{QUALITY_MART}.sql").exists(),
    reason=f"there is no {QUALITY_MART} yet",
)


def known_late(host: Host) -> dict[str, set[str]]:
    rows = host.table(QUALITY_MART)
    rows = rows[rows["rule_name"] == KNOWN_LATE_RULE]
    return rows.groupby("input_name")["status"].agg(set).to_dict()


@has_quality_mart
@pytest.mark.matrix
def test_changes_without_a_time_are_reported(false_future):
    """Today's status of an order, a refund, or where a customer lives now, at all dates alike."""
    tables = known_before(false_future.history, MIDDLE_DAY)
    host = copy_host(false_future.unbuilt, false_future.unbuilt.project.parent / "timed")
    write_shop(host, tables).dbt(
        "build", "-s", f"+{QUALITY_MART}", "--exclude-resource-type", "test"
    )
    timed = known_late(host)
    assert UNKNOWN_STATUS not in timed.get("orders", set()) | timed.get("customers", set())

    tables = without(tables, "orders", ["status_changed_at", "refunded_at"])
    tables = without(tables, "customers", ["valid_from"])
    # With columns less the past is read anew.
    write_shop(host, tables).dbt(
        *("build", "--full-refresh", "-s", f"+{QUALITY_MART}", "--exclude-resource-type", "test")
    )
    untimed = known_late(host)
    assert UNKNOWN_STATUS in untimed["orders"]
    assert UNKNOWN_STATUS in untimed["customers"]
