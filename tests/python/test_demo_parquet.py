"""The shop as Parquet: the same whoever writes it, in order of time, in memory that stays."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from coterie import demo
from coterie.demo import files
from coterie.demo.__main__ import main
from coterie.demo.catalogue import CATEGORIES, HORIZON_DAYS

CUSTOMERS = 2_300
UNTIL = np.datetime64("2025-06-01")
KEYS = {
    "orders": ["order_id"],
    "customers": ["customer_id"],
    "order_lines": ["order_id", "product_id"],
    "products": ["product_id"],
    "events": ["event_id"],
    "identities": ["anonymous_id", "customer_id"],
    "messages": ["message_id"],
    "feedback": ["feedback_id"],
}
# What becomes known of a row after it is in the warehouse, and since when.
LATER = {
    "orders": {
        "status_changed_at": ["status", "status_changed_at"],
        "refunded_at": ["refund_amount", "refunded_at"],
    },
    "messages": {
        "opened_at": ["opened_at"],
        "clicked_at": ["clicked_at"],
        "unsubscribed_at": ["unsubscribed_at"],
    },
}


def read(folder: Path, name: str) -> pd.DataFrame:
    return pq.read_table(folder / f"{name}.parquet").to_pandas()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("shop")
    demo.write_parquet(path, CUSTOMERS, processes=1)
    return path


@pytest.fixture(scope="module")
def folder_before(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("before")
    demo.write_parquet(path, CUSTOMERS, until=UNTIL, processes=1)
    return path


def test_the_shop_is_as_busy_as_it_says(folder):
    counts = {name: len(read(folder, name)) / CUSTOMERS for name in demo.INPUTS}
    assert 9 <= counts["orders"] <= 11.5
    assert 28 <= counts["order_lines"] <= 35
    assert 47 <= counts["events"] <= 58
    assert 3 <= counts["messages"] <= 6
    assert 0.5 <= counts["identities"] <= 1
    assert 1 <= counts["customers"] <= 1.01
    newest = read(folder, "customers")["signed_up_at"].max()
    assert newest >= pd.Timestamp(demo.AS_OF_DATE) - pd.Timedelta(days=21)


def test_the_files_do_not_depend_on_the_number_of_processes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "CHUNKS_A_PART", 1)
    paths = demo.write_parquet(tmp_path, CUSTOMERS, processes=2)
    assert sorted(paths) == sorted(tmp_path.iterdir())  # and nothing else is left behind
    assert {path.name for path in paths} == {path.name for path in folder.iterdir()}
    for path in paths:
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table as text, whether its types are those of a file or of memory."""
    columns = {}
    for name in frame:
        values = frame[name]
        if name.endswith(("_at", "_date")):
            values = values.astype("datetime64[s]")
        elif name.endswith("_amount"):
            values = values.astype(float)
        columns[name] = values.astype(object).where(values.notna(), "").astype(str)
    return pd.DataFrame(columns).sort_values(list(columns), ignore_index=True)


def test_the_first_customers_do_not_depend_on_how_many_follow_nor_on_the_format(folder):
    few = demo.generate_demo(100, shop=demo.BUSY)
    ids = set(few["truth"]["customer_id"])
    assert len(ids) == 100
    for name in ("orders", "customers", "events", "messages", "truth"):
        left, right = few[name], read(folder, name)
        left, right = (rows[rows["customer_id"].isin(ids)] for rows in (left, right))
        assert len(left) >= 100
        pd.testing.assert_frame_equal(as_text(left), as_text(right))


def test_the_files_are_typed(folder):
    orders = pq.read_schema(folder / "orders.parquet")
    assert str(orders.field("ordered_at").type).startswith("timestamp[us")
    assert str(orders.field("order_amount").type) == "decimal128(18, 2)"
    assert str(orders.field("is_test").type) == "bool"
    assert (
        str(pq.read_schema(folder / "customers.parquet").field("birth_date").type) == "date32[day]"
    )
    for name in demo.INPUTS:
        texts = read(folder, name).select_dtypes(["object", "string"])
        assert not (texts == "").any(axis=None), name


def test_rows_are_in_order_of_time(folder):
    for name, column in files.ORDERED_BY.items():
        if name != "order_lines":
            assert read(folder, name)[column].is_monotonic_increasing, name
    orders = read(folder, "orders").dropna(subset="order_id").drop_duplicates("order_id")
    ordered_at = orders[orders["ordered_at"] < "2099"].set_index("order_id")["ordered_at"]
    lines = read(folder, "order_lines")["order_id"].map(ordered_at).dropna()
    assert len(lines) > 20_000
    assert lines.is_monotonic_increasing


def test_row_groups_let_a_reader_skip_what_is_old(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "ROW_GROUP_SIZE", 20_480)
    demo.write_parquet(tmp_path, 1_000, processes=1)
    metadata = pq.ParquetFile(tmp_path / "events.parquet").metadata
    column = metadata.schema.names.index("occurred_at")
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups[:-1]] == [20_480] * (len(groups) - 1)
    ranges = [group.column(column).statistics for group in groups]
    assert len(ranges) >= 2
    assert all(left.max <= right.min for left, right in itertools.pairwise(ranges))


def test_dirt_grows_with_the_shop_and_is_counted(folder):
    said = read(folder, "truth_dirty").set_index(["input", "rule"])["row_count"]
    assert (said > 0).all()
    for name in ("orders", "customers", "events", "messages"):
        rows = read(folder, name)
        assert rows.duplicated().sum() == said[name, "duplicate_exact"], name
        assert 0.0004 < said[name, "duplicate_exact"] / len(rows) < 0.01
    orders, events = read(folder, "orders"), read(folder, "events")
    assert orders["customer_id"].isna().sum() == said["orders", "guest"]
    assert (orders["ordered_at"] >= "2099").sum() == said["orders", "future_date"]
    assert orders["order_id"].isna().sum() == said["orders", "null_order_id"]
    assert (orders["status"] == "cancelled").sum() == said["orders", "cancelled"]
    assert events["event_id"].isna().sum() == said["events", "null_event_id"]
    taste_of = {category for category, _, _ in CATEGORIES}
    assert set(read(folder, "products")["category"]) == taste_of


def changed(rows: pd.DataFrame, name: str, until: pd.Timestamp) -> pd.DataFrame:
    """Take from rows of the whole shop what was not known of them before a day."""
    rows = rows.copy()
    for known_since, columns in LATER.get(name, {}).items():
        is_late = rows[known_since] >= until
        for column in columns:
            if column == "status":
                rows[column] = rows[column].mask(
                    is_late & (rows[column] == "cancelled"), "completed"
                )
            else:
                rows[column] = rows[column].mask(is_late)
    return rows


@pytest.mark.parametrize("name", list(KEYS))
def test_before_a_day_there_is_what_was_known_then(folder, folder_before, name):
    until = pd.Timestamp(UNTIL)
    full, before = read(folder, name), read(folder_before, name)
    assert list(full.columns) == list(before.columns)
    assert 0 < len(before) <= len(full)
    for column in before.select_dtypes("datetime"):
        times = before[column].dropna()
        assert ((times < until) | (times >= "2099")).all(), column
    # Each row is one of the whole shop's, less what became known later.
    columns = list(full.columns)
    expected = changed(full, name, until)
    both = before.drop_duplicates().merge(expected.drop_duplicates(), on=columns)
    assert len(both) == len(before.drop_duplicates())
    # And none is missing.
    if name in files.ORDERED_BY and name != "order_lines":
        expected = expected[expected[files.ORDERED_BY[name]] < until]
        if name == "orders":  # the newer state of an order that has its older one beside it
            is_two = expected["order_id"].duplicated(keep=False) & expected["order_id"].notna()
            is_late = full.loc[expected.index, "status_changed_at"] >= until
            expected = expected[~(is_two & is_late)]
        in_time = before[before[files.ORDERED_BY[name]] < until]
        assert len(expected) == len(in_time)


def test_states_before_a_day_are_those_of_then(folder, folder_before):
    full = read(folder, "orders").drop_duplicates("order_id", keep=False).set_index("order_id")
    before = read(folder_before, "orders").drop_duplicates("order_id", keep=False)
    before = before.set_index("order_id")
    now = full.loc[full.index.intersection(before.index)]
    before = before.loc[now.index]
    is_late = now["refunded_at"] >= pd.Timestamp(UNTIL)
    assert is_late.sum() > 10
    assert before.loc[is_late, "refund_amount"].isna().all()
    is_early = now["refunded_at"] < pd.Timestamp(UNTIL)
    assert (before.loc[is_early, "refund_amount"] == now.loc[is_early, "refund_amount"]).all()
    is_undone = (now["status"] == "cancelled") & (now["status_changed_at"] >= pd.Timestamp(UNTIL))
    assert is_undone.sum() >= 3
    assert (before.loc[is_undone, "status"] == "completed").all()
    assert before.loc[is_undone, "status_changed_at"].isna().all()
    lines = read(folder_before, "order_lines")["order_id"]
    is_sound = before["order_amount"].notna() & (before["ordered_at"] < "2099")
    assert set(before.index[is_sound]) <= set(lines)
    stray = ~lines.isin(read(folder_before, "orders")["order_id"])
    assert stray.sum() < 50


def test_the_truth_before_a_day_is_the_rate_of_the_days_that_follow(folder, folder_before):
    truth = read(folder_before, "truth").set_index("customer_id")["true_purchase_probability_30d"]
    assert 2_000 < len(truth) < CUSTOMERS
    orders = read(folder, "orders").dropna(subset=["order_id", "order_amount"])
    orders = orders.sort_values("status_changed_at", na_position="first")
    orders = orders.drop_duplicates("order_id", keep="last")
    net = orders["order_amount"].astype(float) - orders["refund_amount"].astype(float).fillna(0)
    is_valid = (net > 0) & ~orders["is_test"] & ~orders["status"].isin(["cancelled", "pending"])
    window = pd.Timestamp(UNTIL), pd.Timestamp(UNTIL) + pd.Timedelta(days=HORIZON_DAYS)
    is_valid &= (orders["ordered_at"] >= window[0]) & (orders["ordered_at"] < window[1])
    bought = pd.Series(truth.index.isin(orders.loc[is_valid, "customer_id"]), truth.index)
    for part in (truth < 0.5, truth >= 0.5):
        spread = np.sqrt((truth * (1 - truth))[part].sum())
        # Of the last orders some will be undone after the end of the data.
        assert abs(bought[part].sum() - truth[part].sum()) < 3.5 * spread + 0.01 * bought.sum()


def test_memory_does_not_grow_with_the_customers(tmp_path):
    code = """if True:
        import resource, sys
        from pathlib import Path
        from coterie.demo import files
        files.CHUNKS_A_PART, files.SORT_MEMORY = 1, "40MB"
        files.write_parquet(Path(sys.argv[1]), int(sys.argv[2]), processes=1)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", code, tmp_path / str(count), str(count)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for count in (5_000, 15_000)
    ]
    # The tables of 10,000 more customers are more than 100 MB.
    assert peaks[1] < peaks[0] + 70, peaks


def test_the_bar_is_for_terminals_and_for_those_who_ask(tmp_path, capsys):
    main(["--customers", "5", "--out", str(tmp_path / "a"), "--processes", "1"])
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "events.parquet" in captured.out
    main(["--customers", "5", "--out", str(tmp_path / "b"), "--progress"])
    captured = capsys.readouterr()
    assert "Generate" in captured.err
    assert "Sort" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--customers", "0"], "no whole number from 1 on"),
        (["--until", "soon"], "no day such as"),
        (["--until", "2031-01-01"], "at the latest"),
        (["--pace", "100"], "pace is 100.0: choose a number"),
    ],
)
def test_the_command_line_says_what_is_wrong(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), *arguments])
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
