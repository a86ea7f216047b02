"""Write the shop to files: CSV from memory, or Parquet of any size in constant memory."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from coterie.demo.catalogue import AS_OF_DATE, BUSY, CHUNK_SIZE, INPUTS, LISTS, Shop
from coterie.demo.tables import (
    HIDDEN,
    check_request,
    chunk_tables,
    count_planted,
    listed_products,
    make_chunks,
    make_products,
)

__all__ = ["write_csv", "write_parquet"]

DATE_COLUMNS = ("birth_date",)
DECIMALS = {"true_orders_per_year": 3, "true_purchase_probability_30d": 6}


def _text(column: pd.Series) -> np.ndarray:
    """Return a column as the text of a file: the same on every platform, empty where null."""
    name, kind = column.name, column.dtype.kind
    if kind == "M":
        unit = "D" if name in DATE_COLUMNS else "s"
        text = np.datetime_as_string(column.to_numpy().astype(f"datetime64[{unit}]"))
    elif kind == "f":
        text = np.array([f"{x:.{DECIMALS.get(name, 2)}f}" for x in column], dtype=object)
    elif kind == "b":
        text = np.where(column.to_numpy(), "true", "false")
    else:
        text = column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=object)
        for mark in (",", '"', "\t", "\n"):
            if any(mark in x for x in np.unique(text.astype(str))):
                raise ValueError(f"column {name} holds {mark!r}, which these files do not quote")
    return np.where(column.isna().to_numpy(), "", text)


def write_csv(tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write the tables of `generate_demo` to a folder.

    Inputs become ``coterie__demo_<input>.csv``, the truth tab-separated ``truth.tsv`` and
    ``truth_dirty.tsv``, which dbt does not take for seeds.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        The result of `generate_demo`.
    folder : pathlib.Path
        Where to write; made if missing.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in tables.items():
        is_truth = name.startswith("truth")
        separator = "\t" if is_truth else ","
        path = folder / (f"{name}.tsv" if is_truth else f"coterie__demo_{name}.csv")
        columns = [_text(frame[column]) for column in frame]
        lines = [separator.join(frame.columns)]
        lines += [separator.join(row) for row in zip(*columns, strict=True)]
        path.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))
        paths.append(path)
    return paths


# Parquet ---------------------------------------------------------------------------------------

_TIME, _AMOUNT = pa.timestamp("us"), pa.decimal128(18, 2)
TYPES = {
    "ordered_at": _TIME,
    "order_amount": _AMOUNT,
    "status_changed_at": _TIME,
    "refund_amount": _AMOUNT,
    "refunded_at": _TIME,
    "discount_amount": _AMOUNT,
    "is_test": pa.bool_(),
    "signed_up_at": _TIME,
    "birth_date": pa.date32(),
    "quantity": pa.int32(),
    "line_amount": _AMOUNT,
    "unit_cost": _AMOUNT,
    "launched_at": _TIME,
    "occurred_at": _TIME,
    "linked_at": _TIME,
    "sent_at": _TIME,
    "opened_at": _TIME,
    "clicked_at": _TIME,
    "unsubscribed_at": _TIME,
    "bounced_at": _TIME,
    "rating": pa.int32(),
    "is_granted": pa.bool_(),
    "changed_at": _TIME,
    "requested_at": _TIME,
    "is_alive": pa.bool_(),
    "true_orders_per_year": pa.float64(),
    "true_purchase_probability_30d": pa.float64(),
    "row_count": pa.int64(),
}
"""The types of the columns in Parquet; the others are text, null where empty."""

ORDERED_BY = {
    "orders": "ordered_at",
    "customers": "signed_up_at",
    "order_lines": "arrived_at",
    "events": "occurred_at",
    "identities": "linked_at",
    "messages": "sent_at",
    "feedback": "occurred_at",
}
"""The time by which the rows of a file are in order, as a warehouse appends them."""

MANY_VALUED = (
    "order_id",
    "customer_id",
    "event_id",
    "anonymous_id",
    "session_id",
    "message_id",
    "feedback_id",
    "email",
    "phone",
)
"""Text that a dictionary makes no smaller."""

SORT_COLUMNS = ("sort_at", "row_number")
CHUNKS_A_PART = 5
ROWS_A_CHUNK = 1_000_000
ROW_GROUP_SIZE = 122_880
SORT_MEMORY = "600MB"


def _to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Return a table with the types of `TYPES`."""
    columns = {}
    for name in frame:
        type_ = TYPES.get(name, pa.string())
        values = pa.array(frame[name], from_pandas=True).cast(type_)
        if type_ == pa.string():
            values = pc.if_else(pc.equal(values, ""), pa.scalar(None, type_), values)
        columns[name] = values
    return pa.table(columns)


@dataclass(frozen=True)
class _Part:
    """A few chunks of customers, which one worker makes: how many are kept of each chunk."""

    kept: dict[int, int]
    folder: Path
    seed: int
    shop: Shop
    until: np.datetime64


def _write_part(part: _Part) -> tuple[int, Counter]:
    """Write one file per table, in the order of the chunks; count customers and planted rows."""
    products = make_products(part.seed)
    pieces: dict[str, list[pa.Table]] = {}
    planted: Counter = Counter()
    for chunk in make_chunks(part.seed, list(part.kept), products, part.shop, part.until):
        for name, frame in chunk_tables(chunk, products, part.kept[chunk.number]).items():
            planted.update({(name, rule): n for rule, n in count_planted(name, frame).items()})
            table = _to_arrow(frame.drop(columns=list(HIDDEN)))
            # Rows of one time stay in the order of the chunks, whoever made them.
            row_number = chunk.number * ROWS_A_CHUNK + np.arange(len(frame))
            sort_at = pa.nulls(len(frame), _TIME)
            if name in ORDERED_BY:
                sort_at = pa.array(frame[ORDERED_BY[name]]).cast(_TIME)
            for column, values in zip(SORT_COLUMNS, (sort_at, row_number), strict=True):
                table = table.append_column(column, pa.array(values))
            pieces.setdefault(name, []).append(table)
    for name, tables in pieces.items():
        path = part.folder / f"{name}-{min(part.kept):06d}.parquet"
        pq.write_table(pa.concat_tables(tables), path, compression="lz4")
    return sum(part.kept.values()), planted


def _write_parts(parts: list[_Part], processes: int) -> Iterator[tuple[int, Counter]]:
    if processes == 1 or len(parts) == 1:
        yield from map(_write_part, parts)
        return
    # A fork would inherit the locks of this process's threads, so each worker starts afresh.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(parts)), mp_context=context) as pool:
        for done in as_completed([pool.submit(_write_part, part) for part in parts]):
            yield done.result()


def _merge(parts: list[Path], path: Path, threads: int) -> None:
    """Write the rows of all parts to one file, in order of time, in bounded memory."""
    schema = pa.schema([f for f in pq.read_schema(parts[0]) if f.name not in SORT_COLUMNS])
    repeating = [f.name for f in schema if f.type == pa.string() and f.name not in MANY_VALUED]
    limits = {
        "memory_limit": SORT_MEMORY,
        "threads": threads,
        "temp_directory": str(path.with_suffix(".spill")),
    }
    writer = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating)
    with duckdb.connect(config=limits) as connection, writer:
        connection.execute("set enable_progress_bar = false")
        rows = connection.read_parquet([str(part) for part in parts])
        rows = rows.order(", ".join(SORT_COLUMNS)).select(*schema.names)
        # DuckDB's own writer gives other bytes where its threads cut the rows elsewhere.
        for table in _row_groups(pa.RecordBatchReader.from_stream(rows), schema):
            writer.write_table(table, row_group_size=ROW_GROUP_SIZE)


def _row_groups(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
    """Cut the rows into whole row groups, wherever the reader cuts them."""
    held = schema.empty_table()
    for batch in reader:
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).cast(schema)])
        while held.num_rows >= ROW_GROUP_SIZE:
            yield held.slice(0, ROW_GROUP_SIZE).combine_chunks()
            held = held.slice(ROW_GROUP_SIZE)
    if held.num_rows:
        yield held.combine_chunks()


def write_parquet(
    folder: Path,
    customer_count: int = 2_000,
    seed: int = 7,
    shop: Shop = BUSY,
    until: np.datetime64 = AS_OF_DATE,
    processes: int | None = None,
    progress: bool | None = None,
) -> list[Path]:
    """Write the shop to a folder, one Parquet file per table, in memory that does not grow.

    The files are ``<input>.parquet``, ``truth.parquet`` and ``truth_dirty.parquet``; see
    `generate_demo` for what they hold. Rows are in order of time. The same arguments give the same
    bytes, whatever the number of processes.

    Parameters
    ----------
    folder : pathlib.Path
        Where to write; made if missing. Needs about as much room again while it is written.
    customer_count : int
        Number of customers; the first ones do not depend on it.
    seed : int
        Seed of all random streams.
    shop : Shop
        How much happens in the shop.
    until : numpy.datetime64
        The tables as they stood before this day.
    processes : int, optional
        Worker processes, of about 300 MB each; one per processor where left out.
    progress : bool, optional
        Whether to show progress bars on the standard error; where left out, if it is a terminal.

    Returns
    -------
    list of pathlib.Path
        The files.

    Raises
    ------
    ValueError
        If `customer_count` is below 1, or `until` is not in the time of the shop.
    """
    check_request(customer_count, INPUTS, shop, until)
    processes = processes or os.cpu_count() or 1
    is_silent = None if progress is None else not progress
    folder.mkdir(parents=True, exist_ok=True)
    planted: Counter = Counter()
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
        work = Path(unfinished)
        numbers = range(-(-customer_count // CHUNK_SIZE))
        kept = {i: min(CHUNK_SIZE, customer_count - i * CHUNK_SIZE) for i in numbers}
        parts = [
            _Part({i: kept[i] for i in numbers[at : at + CHUNKS_A_PART]}, work, seed, shop, until)
            for at in range(0, len(numbers), CHUNKS_A_PART)
        ]
        bar = tqdm(
            total=customer_count,
            desc="Generate",
            unit=" customers",
            unit_scale=True,
            disable=is_silent,
        )
        with bar:
            for customers, counts in _write_parts(parts, processes):
                planted.update(counts)
                bar.update(customers)
        for name in tqdm(
            [*ORDERED_BY, *LISTS, "truth"], desc="Sort", unit=" tables", disable=is_silent
        ):
            pieces = sorted(work.glob(f"{name}-*.parquet"))
            _merge(pieces, work / f"{name}.parquet", processes)
            for piece in pieces:
                piece.unlink()
        products = listed_products(make_products(seed), until)
        pq.write_table(_to_arrow(products), work / "products.parquet")
        counts = [(*key, planted[key]) for key in sorted(planted)]
        dirty = pd.DataFrame(counts, columns=["input", "rule", "row_count"])
        pq.write_table(_to_arrow(dirty), work / "truth_dirty.parquet")
        names = [f"{name}.parquet" for name in (*INPUTS, *LISTS, "truth", "truth_dirty")]
        return [(work / name).replace(folder / name) for name in names]
