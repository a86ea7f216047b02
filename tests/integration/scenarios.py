"""The builds that tests look at. Each is a function of a host; each is built once a session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
from harness import (
    DBT,
    DUCKDB_CONFIG,
    REPOSITORY,
    SEGMENT_STATE,
    STATE_TABLES,
    Host,
    copy_host,
    run_command,
    shuffled_demo,
    sizes_during,
)
from histories import (
    INPUTS,
    Tables,
    daily_history,
    generate_history,
    known_before,
    with_false_future,
)
from shops import FIRST_DAY, regular_shop, simulate_order_lines, simulate_orders

#: The day from which Online Retail is looked at: a month before its data end.
ONLINE_RETAIL_AS_OF = "2011-11-09"

#: The environment of `every_input`, and another in which everything differs.
MANY_THREADS = {
    "COTERIE_TEST_THREADS": "4",
    "COTERIE_TEST_DUCKDB_THREADS": "2",
    "OMP_NUM_THREADS": "2",
    "TZ": "UTC",
}
ONE_THREAD_ELSEWHERE = {
    "COTERIE_TEST_THREADS": "1",
    "COTERIE_TEST_DUCKDB_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "TZ": "Pacific/Auckland",
}

#: For builds of which only the tables count: the data tests cost as much time as the models.
WITHOUT_TESTS = ("--exclude-resource-type", "test")

TOPICS = (
    "rfm",
    "segmentation",
    "lifetime_value",
    "propensity",
    "demographics",
    "interests",
    "lookalikes",
    "activation",
)

#: What it takes to open a gate.
ENOUGH_ROWS = {"coterie__training_row_limit": 25_000}

#: Everything up to features, outcomes and segments, with the tests that no date sees beyond itself.
UP_TO_SEGMENTS = (
    "build",
    "--indirect-selection",
    "empty",
    "-s",
    "+int_coterie__customer_nbd",
    "+int_coterie__customer_outcomes",
    "+coterie__customer_segments",
    "assert_attributes_held_before_their_date",
    "assert_features_end_before_their_date",
    "assert_outcomes_lie_in_their_window",
    "assert_outcomes_are_null_while_their_window_is_open",
)
UP_TO_FEATURES = (
    "run",
    "-s",
    "+int_coterie__customer_features",
    "+int_coterie__customer_days",
    "+int_coterie__rejected_rows",
    "+int_coterie__input_row_counts",
)

#: A day in the middle of a generated history: features of it and of days before it are looked at.
MIDDLE_DAY = "2025-03-01"

#: The first of the ten days of which the exports are read one by one.
FIRST_OF_TEN_DAYS = "2025-03-10"

#: Customer ids that break careless quoting.
ODD_IDS = [
    "O'Brien",
    'Anna "Nan" Smith',
    "\N{SHOPPING BAGS} emoji \N{SMILING FACE WITH HEART-SHAPED EYES}",
    "'; drop table shop.orders; --",
    "back\\slash {{ jinja }} %s $1",
    "  spaces and \t tabs  ",
    "null",
    "Ünïcödé 漢字",
]
ODD_ORDER_ID = "order '\N{PARTY POPPER}' \"1\""


def source_of(table: str) -> str:
    """What a var holds to map a table of `bare_shop`."""
    return "{{ source('shop', '" + table + "') }}"


def write_shop(host: Host, tables: Tables) -> Host:
    """Put the tables of all seven inputs into the source of `bare_shop`."""
    host.write({f"shop.{name}": tables[name] for name in INPUTS})
    return host


def every_table() -> dict[str, str]:
    """Return the vars that map all seven tables of `bare_shop`."""
    return {f"coterie__{name}_relation": source_of(name) for name in INPUTS}


# ---- other people's projects -------------------------------------------------------------------


def build_odd_names(host: Host) -> Host:
    # On a fresh database: what the package reads is built on the way.
    host.dbt("build", "--select", "+package:coterie", *WITHOUT_TESTS)
    return host


def build_every_input(host: Host) -> Host:
    host.environment |= MANY_THREADS
    host.variables |= ENOUGH_ROWS
    host.dbt("build")
    return host


def build_every_input_elsewhere(host: Host) -> Host:
    folder = shuffled_demo(host.project.parent / "shuffled", seed=1)
    host.environment |= ONE_THREAD_ELSEWHERE | {"COTERIE_DEMO_SEEDS": str(folder)}
    host.variables |= ENOUGH_ROWS
    host.dbt("build", *WITHOUT_TESTS)
    return host


def build_custom_outcomes(host: Host) -> Host:
    # Of the tests those that recount what models say.
    host.variables |= ENOUGH_ROWS
    host.dbt("build", "--exclude", "test_type:generic")
    return host


def build_shape(host: Host) -> Host:
    # Where they are found from any folder, because tests read views over them.
    host.environment |= {"COTERIE_TEST_FILES": str(host.project / "files")}
    host.dbt("build")
    return host


def build_jaffle_shop(host: Host) -> Host:
    # Dictionary and metrics are looked at here, too.
    host.variables |= {"coterie__semantic_layer_enabled": True}
    return build_shape(host)


def build_own_schemas(host: Host) -> Host:
    orders = simulate_orders(300, seed=31)
    # Some have signed up and never bought, some have bought and never signed up.
    ids = [*orders["customer_id"].drop_duplicates().iloc[20:], "new-1", "new-2", "new-3"]
    host.write(
        {
            'webshop_raw."OrderTable"': orders.rename(
                columns={
                    "order_id": "id",
                    "ordered_at": "created_at",
                    "order_amount": "total_net",
                }
            ),
            'webshop_raw."CustomerTable"': pd.DataFrame(
                {"id": ids, "created_at": FIRST_DAY, "country_code": "NL"}
            ),
        }
    )
    host.dbt("build", "--exclude", "package:coterie,resource_type:test")
    return host


def build_online_retail(host: Host) -> Host:
    host.environment |= {"COTERIE_REAL_DATA": os.environ["COTERIE_REAL_DATA"]}
    host.variables |= {"coterie__as_of_date": ONLINE_RETAIL_AS_OF}
    host.dbt("build")
    return host


def build_scattered_inputs(host: Host) -> SimpleNamespace:
    """Build the package alone: too early, in its turn, and as a check that defers to that build."""
    story = SimpleNamespace(host=host, **write_scattered_inputs(host.target))
    slim = ("--select", "package:coterie")
    story.too_early = host.dbt("build", *slim, *WITHOUT_TESTS, must_succeed=False)
    host.dbt("run", "--select", "scattered_inputs")
    host.dbt("build", *slim, *WITHOUT_TESTS)

    ci = copy_host(host, host.project.parent / "ci")
    ci.database_name = "ci.duckdb"
    ci.environment |= {
        "COTERIE_TEST_DATABASE": str(host.database),
        "COTERIE_TEST_ERP": str(host.target / "erp.duckdb"),
    }
    ci.options = ("--target", "ci", "--state", str(host.target))
    listed = ci.dbt("ls", "--quiet", "--select", "state:modified,package:coterie", *WITHOUT_TESTS)
    story.modified = listed.output.split()
    ci.dbt("build", *slim, "--exclude", "tag:fit", "--defer")
    story.ci = ci
    return story


def write_scattered_inputs(folder: Path) -> dict[str, pd.DataFrame]:
    """Put the database and the files that `scattered_inputs` reads into the folder."""
    orders = simulate_orders(300, seed=51)
    lines = simulate_order_lines(orders, product_count=30, seed=52)
    is_cancelled = np.random.default_rng(53).random(len(orders)) < 0.05
    tables = {
        "fct_orders": pd.DataFrame(
            {
                "Order ID": orders["order_id"],
                "customerRef": orders["customer_id"],
                "order": orders["ordered_at"],
                "Total Amount (net)": orders["order_amount"],
                "select": np.where(is_cancelled, "Cancelled", "Done"),
                'Status "as of"': orders["ordered_at"] + pd.Timedelta(hours=1),
            }
        ),
        "dim_customers": pd.DataFrame(
            {
                "customerRef": orders["customer_id"].unique(),
                "signedUp": FIRST_DAY,
                "country_code": "PT",
            }
        ),
        "order_lines": pd.DataFrame(
            {
                "Order ID": lines["order_id"],
                "productRef": lines["product_id"],
                "Qty.": lines["quantity"],
                "Amount (net)": lines["line_amount"],
            }
        ),
        "products": pd.DataFrame({"productRef": sorted(set(lines["product_id"])), "Name": "thing"}),
        "web_hits": pd.DataFrame(
            {
                "hitId": "hit-" + orders["order_id"],
                "At": orders["ordered_at"] - pd.Timedelta(minutes=5),
                "action": "view",
                "customerRef": orders["customer_id"],
            }
        ),
    }
    for name in ("order_lines", "products", "web_hits"):
        (folder / "files" / name).mkdir(parents=True)
    halves = np.array_split(np.arange(len(lines)), 2)
    for number, rows in enumerate(halves):
        part = tables["order_lines"].iloc[rows]
        part.to_parquet(folder / "files" / "order_lines" / f"{number}.parquet")
    tables["products"].to_parquet(folder / "files" / "products" / "all.parquet")
    tables["web_hits"].to_csv(folder / "files" / "web_hits" / "all.csv", index=False)
    with duckdb.connect(str(folder / "erp.duckdb"), config=DUCKDB_CONFIG) as connection:
        connection.execute('create schema "Shop Data"')
        for name, identifier in {
            "fct_orders": "Fct Orders",
            "dim_customers": "Dim Customers",
        }.items():
            connection.register("incoming_rows", tables[name])
            connection.execute(
                f'create table "Shop Data"."{identifier}" as select * from incoming_rows'
            )
            connection.unregister("incoming_rows")
    return tables


def build_topics_off(host: Host) -> Host:
    host.write({"shop.orders": simulate_orders(40, seed=61)})
    host.variables |= {f"coterie__{topic}_enabled": False for topic in TOPICS}
    host.dbt("build", "--select", "package:coterie")
    return host


# ---- little memory -----------------------------------------------------------------------------


def build_low_memory(host: Host) -> SimpleNamespace:
    """Build a shop by the profile of little memory and by the usual one."""
    # Learners read a bounded sample; what grows with the shop is the rest.
    learned = ("segmentation", "propensity", "interests", "lookalikes")
    # What a CRM is told carries the time of the build.
    variables = {f"coterie__{topic}_enabled": False for topic in (*learned, "activation")}
    return build_within(host, "140MB", customer_count=100_000, variables=variables)


def build_within(
    host: Host, memory_limit: str, *, customer_count: int, variables: dict[str, object]
) -> SimpleNamespace:
    roomy = copy_host(host, host.project.parent / "roomy")
    orders = simulate_orders(customer_count, seed=41)
    temp_directory = host.project / "spilled"
    for each, profile in ((host, "profiles/low_memory"), (roomy, ".")):
        each.write({"shop.orders": orders})
        each.options = ("--profile", "coterie", "--profiles-dir", str(REPOSITORY / profile))
        each.environment |= {"COTERIE_DATABASE": str(each.database)}
        each.variables |= variables
    host.environment |= {
        "COTERIE_MEMORY_LIMIT": memory_limit,
        "COTERIE_TEMP_DIRECTORY": str(temp_directory),
    }
    with sizes_during(temp_directory) as spilled:
        host.dbt("build", *WITHOUT_TESTS)
    roomy.dbt("build", *WITHOUT_TESTS)
    return SimpleNamespace(host=host, roomy=roomy, spilled_bytes=max(spilled))


# ---- bad input ---------------------------------------------------------------------------------


def build_dirty_shop(host: Host) -> SimpleNamespace:
    """Build a shop with every kind of bad row at once, and say what must become of each."""
    orders = simulate_orders(400, seed=12)
    lines = simulate_order_lines(orders, product_count=40, seed=13)
    names = orders["customer_id"].unique()
    odd_ids = dict(zip(names[:: len(names) // len(ODD_IDS)], ODD_IDS, strict=False))
    orders["customer_id"] = orders["customer_id"].replace(odd_ids)
    lines["order_id"] = lines["order_id"].replace(orders["order_id"].iloc[100], ODD_ORDER_ID)
    orders.loc[orders.index[100], "order_id"] = ODD_ORDER_ID
    guests = orders.sample(30, random_state=1)
    guests = guests.assign(order_id="guest-" + guests["order_id"], customer_id=None)
    customers = pd.DataFrame({"customer_id": [*orders["customer_id"].unique(), "never bought"]})
    customers["signed_up_at"] = FIRST_DAY

    def copies(count: int, **columns: object) -> pd.DataFrame:
        made = pd.concat([orders.iloc[[0]]] * count, ignore_index=True)
        return made.assign(is_amount_missing=False, **columns)

    # Of two rows of a key the earliest is accepted.
    later = orders.iloc[[5, 17, 40]]
    later = later.assign(ordered_at=later["ordered_at"] + pd.Timedelta(hours=1))
    bad_orders = [
        (copies(4, order_id=None), "missing_order_id"),
        (copies(2, order_id=["time-1", "time-2"], ordered_at=pd.NaT), "missing_ordered_at"),
        (
            copies(2, order_id=["none-1", "none-2"]).assign(is_amount_missing=True),
            "missing_order_amount",
        ),
        (copies(2, order_id=["nan-1", "nan-2"], order_amount=np.nan), "invalid_order_amount"),
        (copies(2, order_id=["inf-1", "inf-2"], order_amount=np.inf), "invalid_order_amount"),
        (copies(1, order_id=["inf-3"], order_amount=-np.inf), "invalid_order_amount"),
        (
            copies(1, order_id=["far-future"], ordered_at=pd.Timestamp("2099-05-01 12:00")),
            "future_dated",
        ),
        (later, "duplicate"),
    ]
    bad_lines = [
        (lines.iloc[:3].assign(order_id=["ghost-1", "ghost-2", "far-future"]), "unknown_order"),
        (lines.iloc[:2].assign(line_amount=[np.nan, np.inf]), "invalid_line_amount"),
        (lines.iloc[2:3].assign(product_id=None), "missing_product_id"),
        (lines.iloc[3:4].assign(order_id=None), "missing_order_id"),
    ]
    bad_customers = [
        (customers.iloc[:2], "duplicate"),
        (customers.iloc[:3].assign(customer_id=None), "missing_customer_id"),
    ]

    all_orders = pd.concat([orders, guests, *[rows for rows, _ in bad_orders]], ignore_index=True)
    all_orders["is_amount_missing"] = all_orders["is_amount_missing"].eq(True)
    host.write(
        {
            "shop.given_orders": all_orders.sample(frac=1, random_state=2),
            "shop.given_lines": pd.concat([lines, *[rows for rows, _ in bad_lines]]),
            "shop.customers": pd.concat([customers, *[rows for rows, _ in bad_customers]]),
        }
    )
    # NaN and NULL are one thing in pandas and two in the database.
    host.write(
        {
            "shop.orders": """
                select
                    * exclude (is_amount_missing) replace (
                        case
                            when not is_amount_missing
                                then coalesce(order_amount, cast('nan' as double))
                        end as order_amount
                    )
                from shop.given_orders
            """,
            "shop.order_lines": """
                select * replace (coalesce(line_amount, cast('nan' as double)) as line_amount)
                from shop.given_lines
            """,
        }
    )
    host.variables |= {
        "coterie__customers_relation": source_of("customers"),
        "coterie__order_lines_relation": source_of("order_lines"),
    }
    host.dbt("build")

    def expected(bad: list, key: str) -> list[tuple[str, str]]:
        return sorted(("" if pd.isna(k) else k, rule) for rows, rule in bad for k in rows[key])

    return SimpleNamespace(
        host=host,
        orders=orders,
        guests=guests,
        lines=lines,
        rejected={
            "orders": expected(bad_orders, "order_id"),
            "order_lines": expected(bad_lines, "order_id"),
            "customers": expected(bad_customers, "customer_id"),
        },
    )


def build_empty_shop(host: Host) -> Host:
    host.write({"shop.orders": simulate_orders(1).iloc[:0]})
    host.dbt("build")
    return host


def build_one_customer_shop(host: Host) -> Host:
    host.write(
        {
            "shop.orders": pd.DataFrame(
                {
                    "order_id": ["1"],
                    "customer_id": ["only one"],
                    "ordered_at": [FIRST_DAY],
                    "order_amount": [25.5],
                }
            )
        }
    )
    host.dbt("build")
    return host


def build_shop_before_its_time(host: Host) -> Host:
    host.write({"shop.orders": simulate_orders(100, seed=14)})
    host.variables |= {"coterie__as_of_date": "2023-12-01"}
    host.dbt("build", *WITHOUT_TESTS)
    return host


def build_faulty_shop(host: Host) -> SimpleNamespace:
    """Build a shop without faults but for those planted, and again as rows come late and go."""
    shop = regular_shop()
    orders, events, messages = shop["orders"], shop["events"], shop["messages"]
    day = (orders["ordered_at"] - FIRST_DAY).dt.days

    # Ten days without orders, 39 guests' orders, 50 cancelled ones without a time.
    gap = day.between(300, 309)
    orders.loc[day.between(100, 102) & (orders.index % 20 < 13), "customer_id"] = None
    orders.loc[day.between(200, 204) & (orders.index % 2 == 0), "status"] = "cancelled"
    shop["orders"] = pd.concat([orders[~gap], orders.iloc[:3]], ignore_index=True)
    shop["order_lines"] = shop["order_lines"][~gap].reset_index(drop=True)
    # 20 of 200 customers and 3 of 10 products are not loaded.
    shop["customers"] = shop["customers"].iloc[20:]
    shop["products"] = shop["products"].iloc[3:]
    # Of the newest week a third of the events; 40 of a wrong century; mails stop after 40 weeks.
    is_old = events["occurred_at"] < FIRST_DAY + pd.Timedelta(days=393)
    tomorrow = events.iloc[:40].assign(
        event_id=[f"late-{n}" for n in range(40)], occurred_at=FIRST_DAY + pd.Timedelta(days=500)
    )
    shop["events"] = pd.concat([events[is_old | (events.index % 3 == 1)], tomorrow])
    sent_on = (messages["sent_at"] - FIRST_DAY).dt.days
    shop["messages"] = messages[sent_on < 280]
    # v-000 is two customers, c-001 is two visitors, v-150 and those after it are nobody.
    links = shop["identities"].iloc[:150]
    more = pd.DataFrame(
        {
            "anonymous_id": ["v-000", "v-new"],
            "customer_id": ["c-100", "c-001"],
            "linked_at": FIRST_DAY + pd.Timedelta(days=399),
        }
    )
    shop["identities"] = pd.concat([links, more], ignore_index=True)

    host.variables |= {
        f"coterie__{name}_relation": source_of(name) for name in shop if name != "orders"
    } | {
        "coterie__data_quality": {
            "fail_on": ["unlinked_event", "unknown_product"],
            "unlinked_event_watch": 0.2,
        }
    }
    host.write({f"shop.{name}": rows for name, rows in shop.items()})
    host.dbt("run", "-s", "+coterie__data_quality")
    first = host.table("coterie__data_quality")

    # Five old orders come late, and four old events go.
    late = orders.iloc[200:205].assign(order_id=[f"late-{n}" for n in range(5)])
    gone = shop["events"]["event_id"].isin(shop["events"]["event_id"].iloc[300:304])
    host.write(
        {
            "shop.orders": pd.concat([shop["orders"], late], ignore_index=True),
            "shop.events": shop["events"][~gone],
        }
    )
    host.dbt("run", "-s", "+coterie__data_quality")
    second = host.table("coterie__data_quality")
    claims = ["assert_data_quality_is_bearable", "assert_every_input_row_is_accepted_or_rejected"]
    tested = host.dbt("test", "-s", *claims, must_succeed=False)
    return SimpleNamespace(host=host, shop=shop, first=first, second=second, tested=tested)


# ---- time ---------------------------------------------------------------------------------------


def build_false_future(host: Host) -> SimpleNamespace:
    """Build one date thrice: with what was known, with all that came, and with a false future."""
    host.variables |= every_table() | {"coterie__as_of_date": MIDDLE_DAY}
    host.dbt("parse")
    history = generate_history(700, seed=5)

    def build(name: str, tables: Tables) -> Host:
        copy = write_shop(copy_host(host, host.project.parent / name), tables)
        copy.dbt(*UP_TO_SEGMENTS)
        return copy

    return SimpleNamespace(
        unbuilt=host,
        history=history,
        build=build,
        known=build("known", known_before(history, MIDDLE_DAY)),
        poisoned=build("poisoned", with_false_future(history, MIDDLE_DAY, seed=1)),
    )


def build_ten_days(host: Host) -> SimpleNamespace:
    return grow_by_days(host, built=(1, 3, 5, 10), compared=(10,))


def grow_by_days(
    host: Host, *, built: tuple[int, ...], compared: tuple[int, ...], seed: int = 3
) -> SimpleNamespace:
    """Build one database on each of some mornings, and anew on some of them.

    Afterwards the last export is built again.
    """
    host.variables |= every_table()
    host.dbt("parse")
    story = daily_history(400, seed, FIRST_OF_TEN_DAYS)
    story.host = host
    story.grown, story.fresh = {}, {}

    def build_anew(name: str, tables: Tables) -> dict[str, pd.DataFrame]:
        fresh = write_shop(copy_host(host, host.project.parent / name), tables)
        fresh.dbt(*UP_TO_FEATURES)
        return fresh.snapshot()

    for number in built:
        tables = known_before(story.tables, story.mornings[number - 1])
        write_shop(host, tables).dbt(*UP_TO_FEATURES)
        if number in compared:
            story.grown[number] = host.snapshot()
            story.fresh[number] = build_anew(f"fresh-{number}", tables)
    story.last_tables = tables
    host.dbt(*UP_TO_FEATURES)
    story.again = host.snapshot()
    return story


# ---- state -------------------------------------------------------------------------------------


def build_growing_shop(host: Host) -> SimpleNamespace:
    """Build one database in turn: dry, with 10 customers, with 5,010, again, and dry again."""
    few = simulate_orders(10, seed=21)
    many = simulate_orders(5000, seed=22, first_customer=11)
    story = SimpleNamespace(host=host)
    host.variables |= ENOUGH_ROWS

    host.write({"shop.orders": few})
    host.dbt("compile", "--exclude", "resource_type:test")
    story.after_fresh_compile = [name for name in STATE_TABLES if host.exists(name)]
    host.dbt("build", "--empty", *WITHOUT_TESTS)
    story.after_fresh_empty_build = host.snapshot(STATE_TABLES)

    host.dbt("build", *WITHOUT_TESTS)
    story.few = host.snapshot()

    host.write({"shop.orders": pd.concat([few, many], ignore_index=True)})
    host.dbt("build", *WITHOUT_TESTS)
    story.many = host.snapshot()

    host.dbt("build", *WITHOUT_TESTS)
    story.again = host.snapshot()

    host.dbt("compile", "--exclude", "resource_type:test")
    story.after_compile = host.snapshot()

    host.dbt("build", "--empty", *WITHOUT_TESTS)
    story.after_empty_build = host.snapshot(STATE_TABLES)
    return story


#: The dates as of which a shop is built in turn, the last of them the end of its data.
PUBLISHING_DATES = ("2025-04-15", "2025-05-15", "2025-04-15", "2025-06-24")


def build_publishing_shop(host: Host) -> SimpleNamespace:
    """Publish as of three dates, and of the first again after the second."""
    story = SimpleNamespace(host=host, orders=simulate_orders(5000, seed=22), built=[])
    host.write({"shop.orders": story.orders})
    host.variables |= ENOUGH_ROWS | {
        "coterie__refit_interval_days": 365,
        "coterie__evidence": {"max_published_sample_count": 1500},
    }
    names = ("int_coterie__published_predictions", "coterie__prediction_outcomes")
    for date in PUBLISHING_DATES:
        dated = {"coterie__as_of_date": date}
        host.dbt("build", "-s", f"+{names[1]}", *WITHOUT_TESTS, variables=dated)
        story.built.append({name: host.table(name) for name in names})
    story.last_scores = host.table("coterie__customer_predictions")
    return story


#: The dates as of which a shop's segments are looked at, the fits on the first and the third.
SEGMENT_DATES = ("2025-03-01", "2025-03-15", "2025-04-15")


def build_moving_segments(host: Host) -> SimpleNamespace:
    """Build the segments of a shop as of three dates, with changed rows and dates in between."""
    orders = simulate_orders(1500, seed=23)
    story = SimpleNamespace(host=host, built=[])
    marts = ("customer_segment_memberships", "customer_segment_history", "segment_migrations")
    host.variables |= {
        f"coterie__{topic}_enabled": False for topic in ("propensity", "lifetime_value")
    }
    chosen = [f"+coterie__{name}" for name in (*marts, "segment_lineage")]

    def build(date: str, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        host.write({"shop.orders": rows})
        dated = {"coterie__as_of_date": date}
        host.dbt("build", "-s", *chosen, *WITHOUT_TESTS, variables=dated)
        return host.snapshot([*(f"coterie__{name}" for name in marts), *SEGMENT_STATE])

    # Whoever ordered on the second date is bought from again, on a day that is read anew.
    story.first = build(SEGMENT_DATES[0], orders)
    story.second = build(SEGMENT_DATES[1], orders)
    story.second_again = build(SEGMENT_DATES[1], orders)
    late = orders[orders["ordered_at"] < SEGMENT_DATES[1]].groupby("customer_id").head(1).head(50)
    late = late.assign(
        order_id="late-" + late["order_id"],
        ordered_at=pd.Timestamp(SEGMENT_DATES[1]) - pd.Timedelta(hours=12),
        order_amount=900.0,
    )
    story.late = late
    story.second_changed = build(SEGMENT_DATES[1], pd.concat([orders, late], ignore_index=True))
    story.third = build(SEGMENT_DATES[2], orders)
    story.back_again = build(SEGMENT_DATES[1], orders)
    return story


#: Every algorithm on numbers and a category, however stable it is.
EVERY_ALGORITHM = ("kmeans", "bisecting_kmeans", "gaussian_mixture", "ward", "hdbscan")


def build_every_algorithm(host: Host) -> Host:
    """Build one segmentation by each algorithm for 10,000 customers and those who have lapsed."""
    orders = simulate_orders(13_500, seed=25)
    ids = orders["customer_id"].drop_duplicates()
    generator = np.random.default_rng(26)
    countries = generator.choice(["NL", "BE", "DE", None], len(ids), p=[0.5, 0.3, 0.15, 0.05])
    customers = pd.DataFrame({"customer_id": ids, "country_code": countries})
    host.write({"shop.orders": orders, "shop.customers": customers})
    features = [
        "days_since_last_order",
        "order_count_365d",
        "net_amount_365d",
        "avg_gap_days",
        "country_code",
    ]
    host.variables |= {
        "coterie__customers_relation": source_of("customers"),
        "coterie__segmentations": {"default": None}
        | {name: {"algorithm": name, "features": features} for name in EVERY_ALGORITHM},
        "coterie__gates": {"min_bootstrap_ari": -1, "min_segment_share": 0},
    }
    host.variables |= {
        f"coterie__{topic}_enabled": False
        for topic in ("propensity", "lifetime_value", "interests", "lookalikes", "rfm")
    }
    chosen = "+int_coterie__segment_proposals"
    host.dbt("build", "-s", chosen, *WITHOUT_TESTS)
    return host


#: Audiences of tests; the shipped ones are left out.
OWN_AUDIENCES: dict[str, object] = {
    "high_value_at_risk": None,
    "protect_champions": None,
    "win_back": None,
    "second_order": None,
    "likely_to_buy": None,
    "frequent": {
        "channel": "email",
        "conditions": [{"column": "order_count", "operator": ">=", "value": 3}],
    },
    "recent": {
        "channel": "email",
        "conditions": [{"column": "days_since_last_order", "operator": "<=", "value": 120}],
    },
}

#: The date from which audiences are looked at, and an older one.
AUDIENCES_ON, AUDIENCES_BEFORE = "2025-05-01", "2025-04-01"


def relations_with(host: Host, text: str) -> set[str]:
    """The package's relations in any of whose columns a text stands, alone or as a part."""
    found = set()
    with host.connect() as connection:
        for name in host.package_relations():
            if not host.exists(name):
                continue
            rows = connection.sql(f"from {host.relation(name)}")
            texts = [
                f"contains(cast(\"{column}\" as varchar), '{text}')"
                for column, kind in zip(rows.columns, rows.types, strict=True)
                if "VARCHAR" in str(kind)
            ]
            if texts and rows.filter(" or ".join(texts)).limit(1).fetchall():
                found.add(name)
    return found


def build_consenting_shop(host: Host) -> SimpleNamespace:
    """Build audiences; then withdraw a consent, erase a customer and shrink an audience by 60 %."""
    orders = simulate_orders(1200, seed=41)
    people = sorted(orders["customer_id"].unique())
    story = SimpleNamespace(host=host, silent=set(people[:30]))
    customers = pd.DataFrame({"customer_id": people, "signed_up_at": FIRST_DAY})
    customers["email"] = customers["customer_id"] + "@shop.example"
    consents = customers.loc[~customers["customer_id"].isin(story.silent), ["customer_id"]]
    consents = consents.assign(purpose="email", is_granted=True, changed_at=FIRST_DAY)
    erasures = pd.DataFrame({"customer_id": ["nobody"], "requested_at": [FIRST_DAY]})
    host.variables |= {
        "coterie__customers_relation": source_of("customers"),
        "coterie__consents_relation": source_of("consents"),
        "coterie__erasure_requests_relation": source_of("erasure_requests"),
        "coterie__as_of_date": AUDIENCES_ON,
        "coterie__audiences": OWN_AUDIENCES,
        "coterie__run_started_at": "2025-05-01 06:00:00",
    }
    names = ("audiences", "audience_changes", "audience_statuses", "crm_customers")
    activation = (
        "build",
        "-s",
        "int_coterie__as_of",
        "stg_coterie__consents",
        "int_coterie__checked_consents",
        "int_coterie__permissions+",
    )

    def build(*command: str, **variables: object) -> dict[str, pd.DataFrame]:
        host.write(
            {
                "shop.orders": orders,
                "shop.customers": customers,
                "shop.consents": consents,
                "shop.erasure_requests": erasures,
            }
        )
        given = {f"coterie__{name}": value for name, value in variables.items()}
        host.dbt(*command, variables=given)
        return {name: host.table(f"coterie__{name}") for name in names}

    story.first = build("build", *WITHOUT_TESTS)
    story.again = build(*activation, *WITHOUT_TESTS, run_started_at="2025-05-01 07:00:00")

    members = story.first["audiences"].groupby("audience_code")["customer_id"].apply(set)
    story.withdrawn, story.erased, story.late = sorted(members["frequent"] & members["recent"])[:3]
    story.with_erased_before = relations_with(host, story.erased)
    bought = host.table("coterie__customers").set_index("customer_id")["order_count"]
    counts = bought[sorted(members["frequent"])].sort_values(ascending=False)
    least = int(counts.iloc[int(0.4 * len(counts))]) + 1
    shrunk = {"column": "order_count", "operator": ">=", "value": least}
    no = {"purpose": "email", "is_granted": False}
    withdrawal = {"customer_id": story.withdrawn, "changed_at": pd.Timestamp("2025-06-01"), **no}
    consents = pd.concat([consents, pd.DataFrame([withdrawal])], ignore_index=True)
    erasures.loc[len(erasures)] = [story.erased, pd.Timestamp("2025-06-01")]
    story.audiences = OWN_AUDIENCES | {"frequent": {"channel": "email", "conditions": [shrunk]}}
    host.variables["coterie__audiences"] = story.audiences
    story.second = build("build", *WITHOUT_TESTS, run_started_at="2025-05-02 06:00:00")
    story.with_erased_after = relations_with(host, story.erased)

    # Of an older date only what is taken away counts.
    withdrawal = {"customer_id": story.late, "changed_at": pd.Timestamp("2025-06-02"), **no}
    consents = pd.concat([consents, pd.DataFrame([withdrawal])], ignore_index=True)
    story.older = build(
        *activation,
        *WITHOUT_TESTS,
        as_of_date=AUDIENCES_BEFORE,
        run_started_at="2025-05-03 06:00:00",
    )

    # The limit is lifted, and the tombstone has done its work.
    lifted = {"channel": "email", "conditions": [shrunk], "max_shrink": None}
    host.variables["coterie__audiences"] = OWN_AUDIENCES | {"frequent": lifted}
    story.lifted = build(
        *activation,
        "int_coterie__audience_candidates",
        *WITHOUT_TESTS,
        run_started_at="2025-09-01 06:00:00",
    )
    story.with_erased_at_last = relations_with(host, story.erased)
    return story


#: A shop is built as of a date, as of 30 days later without and with fits, and when all is old.
FIRST_FIT, LATER, MUCH_LATER = "2025-05-25", "2025-06-24", "2025-08-24"

#: One model is enough to see what becomes of versions.
ONE_MODEL = {"purchase_90d": None, "churn_90d": None, "second_order_90d": None}


def build_as_time_goes_by(host: Host) -> SimpleNamespace:
    """Fit as of a date; later score by the old version, then refit; then let all grow old."""
    host.write({"shop.orders": simulate_orders(4000, seed=22)})
    host.variables |= ENOUGH_ROWS | {"coterie__predictions": ONE_MODEL}
    story = SimpleNamespace(host=host)
    marts = ("coterie__customers", "coterie__model_versions", "coterie__customer_predictions")

    def build(date: str, *options: str) -> dict[str, pd.DataFrame]:
        dated = {"coterie__as_of_date": date}
        chosen = ("-s", *[f"+{name}" for name in marts], *WITHOUT_TESTS, *options)
        host.dbt("build", *chosen, variables=dated)
        return host.snapshot([*marts, *STATE_TABLES])

    story.first = build(FIRST_FIT)
    story.scored_only = build(LATER, "--exclude", "tag:fit")
    story.refitted = build(LATER)
    story.grown_old = build(MUCH_LATER, "--exclude", "tag:fit")
    return story


#: Builds of one shop in turn: the day, and how RFM scores. The third is as of a day before the
#: newest, the last as of the day of the one before.
RFM_BUILDS = (
    ("2025-03-16", {"mode": "frozen"}),
    ("2025-04-15", {"mode": "frozen"}),
    ("2025-03-01", {"mode": "quantile"}),
    ("2025-05-15", {"mode": "quantile"}),
    ("2025-06-14", {"mode": "frozen"}),
    ("2025-06-14", {"mode": "frozen"}),
)

UP_TO_RFM = ("build", "-s", "+int_coterie__customer_rfm", *WITHOUT_TESTS)


def build_rfm_over_time(host: Host) -> SimpleNamespace:
    """Score a shop as of some days by kept cut points, and once by the ranks of the day."""
    host.write({"shop.orders": simulate_orders(1200, seed=23)})
    story = SimpleNamespace(host=host, builds=[])
    for date, settings in RFM_BUILDS:
        dated = {"coterie__as_of_date": date, "coterie__rfm": settings}
        host.dbt(*UP_TO_RFM, variables=dated)
        story.builds.append(
            SimpleNamespace(
                date=date,
                customers=host.query(
                    "select rfm.*, features.days_since_last_order, features.order_count_lookback, "
                    "cast(features.net_amount_lookback as double) as net_amount_lookback "
                    "from {int_coterie__customer_rfm} as rfm "
                    "inner join {int_coterie__customer_features} as features "
                    "using (as_of_date, customer_id) where rfm.is_scoring_date"
                ),
                cut_points=host.table("int_coterie__rfm_cut_points"),
            )
        )
    story.rules = host.table("int_coterie__rfm_segments")
    return story


#: Rules of a host: two segments of its own, which need no frequency.
RULES_OF_A_HOST = """
select *, 'Rules of our own.' as description, 'not read' as responsible
from (
    values
        ('warm', 'Warm', 3, 5, 1, 5), ('cold', 'Cold', 1, 2, 1, 5),
        ('lapsed', 'Gone', null, null, null, null), ('prospect', 'Known', null, null, null, null)
) as rules (
    rfm_segment_code, rfm_segment_name,
    recency_score_from, recency_score_to, frequency_score_from, frequency_score_to
)
"""


def build_own_rules(host: Host) -> SimpleNamespace:
    """Build with rules of the host, then with rules that leave a gap, and that lack a column."""
    host.write({"shop.orders": simulate_orders(300, seed=24)})
    host.variables |= {
        "coterie__rfm_segments_relation": "{{ ref('bare_shop', 'our_rules') }}",
        "coterie__segmentation_enabled": False,
        "coterie__propensity_enabled": False,
        "coterie__lifetime_value_enabled": False,
    }
    model = host.project / "models" / "our_rules.sql"
    model.write_text(RULES_OF_A_HOST)
    story = SimpleNamespace(host=host)
    marts = ("-s", "+coterie__segment_profiles", "+coterie__customers")
    story.built = host.dbt("build", "--indirect-selection", "buildable", *marts)
    story.customers = host.table("coterie__customers")
    story.profiles = host.table("coterie__segment_profiles")

    faulty = RULES_OF_A_HOST.replace("3, 5, 1, 5", "2, 5, 1, 4").replace("'prospect'", "'newcomer'")
    model.write_text(faulty)
    claim = "assert_rfm_rules_cover_each_cell_once"
    host.dbt("run", "-s", "our_rules", "int_coterie__rfm_segments")
    tested = host.dbt("test", "-s", claim, must_succeed=False)
    story.tested = tested.result(claim)
    with host.connect() as connection:
        faults = connection.sql(story.tested["compiled_code"]).fetchall()
    story.faults = {words for (words,) in faults}

    model.write_text(RULES_OF_A_HOST.replace("frequency_score_to\n", "frequency_score_up_to\n"))
    host.dbt("run", "-s", "our_rules")
    story.refused = host.dbt("run", "-s", "int_coterie__rfm_segments", must_succeed=False)
    return story


# ---- this project itself -----------------------------------------------------------------------


def build_demo(folder: Path) -> Path:
    """Build this project on its demo seeds, with all its tests, and return the database."""
    database = folder / "coterie.duckdb"
    done = run_command(
        [
            *(*DBT, "build"),
            *("--project-dir", str(REPOSITORY), "--profiles-dir", str(REPOSITORY)),
            *("--target-path", str(folder / "target"), "--log-path", str(folder / "logs")),
        ],
        cwd=REPOSITORY,
        environment=os.environ | {"COTERIE_DATABASE": str(database), "DO_NOT_TRACK": "1"},
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return database


def run_sqlfluff(folder: Path) -> subprocess.CompletedProcess[str]:
    """Lint the SQL of the package, with a target folder and a database of its own."""
    return run_command(
        [sys.executable, "-m", "sqlfluff", "lint", "--disable-progress-bar", "models", "tests"],
        cwd=REPOSITORY,
        environment=os.environ
        | {
            "COTERIE_DATABASE": str(folder / "lint.duckdb"),
            "DBT_PROFILES_DIR": str(REPOSITORY),
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        },
    )


#: Built for `make test-all` only: tests that ask for them belong to the matrix.
SLOW_SCENARIOS = frozenset(
    {
        "as_time_goes_by",
        "consenting_shop",
        "custom_outcomes",
        "every_algorithm",
        "every_input_elsewhere",
        "linted",
        "low_memory",
        "moving_segments",
        "one_customer_shop",
        "own_rules",
        "own_schemas",
        "publishing_shop",
        "rfm_over_time",
        "scattered_inputs",
        "shape_jaffle_shop",
        "shape_klaviyo",
        "shape_segment",
        "shape_shopify",
        "shop_before_its_time",
        "ten_days",
        "topics_off",
    }
)

#: By name: the host project, or none for what needs but a folder, and what is made of it. The
#: longest come first, because two are built at a time.
SCENARIOS: dict[str, tuple[str | None, Callable[..., object]]] = {
    "demo": (None, build_demo),
    "growing_shop": ("bare_shop", build_growing_shop),
    "publishing_shop": ("bare_shop", build_publishing_shop),
    "as_time_goes_by": ("bare_shop", build_as_time_goes_by),
    "moving_segments": ("bare_shop", build_moving_segments),
    "every_algorithm": ("bare_shop", build_every_algorithm),
    "consenting_shop": ("bare_shop", build_consenting_shop),
    "ten_days": ("bare_shop", build_ten_days),
    "false_future": ("bare_shop", build_false_future),
    "online_retail": ("online_retail", build_online_retail),
    "every_input": ("every_input", build_every_input),
    "every_input_elsewhere": ("every_input", build_every_input_elsewhere),
    "custom_outcomes": ("custom_outcomes", build_custom_outcomes),
    "scattered_inputs": ("scattered_inputs", build_scattered_inputs),
    "low_memory": ("bare_shop", build_low_memory),
    "rfm_over_time": ("bare_shop", build_rfm_over_time),
    "own_rules": ("bare_shop", build_own_rules),
    "dirty_shop": ("bare_shop", build_dirty_shop),
    "faulty_shop": ("bare_shop", build_faulty_shop),
    "empty_shop": ("bare_shop", build_empty_shop),
    "one_customer_shop": ("bare_shop", build_one_customer_shop),
    "shop_before_its_time": ("bare_shop", build_shop_before_its_time),
    "odd_names": ("odd_names", build_odd_names),
    "own_schemas": ("own_schemas", build_own_schemas),
    "shape_jaffle_shop": ("shape_jaffle_shop", build_jaffle_shop),
    "shape_shopify": ("shape_shopify", build_shape),
    "shape_klaviyo": ("shape_klaviyo", build_shape),
    "shape_segment": ("shape_segment", build_shape),
    "topics_off": ("bare_shop", build_topics_off),
    "linted": (None, run_sqlfluff),
}
