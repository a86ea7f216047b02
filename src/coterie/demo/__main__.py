"""Write the generated shop from the command line: ``coterie demo --help``."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coterie.demo.catalogue import AS_OF_DATE, BUSY, QUIET, Shop
from coterie.demo.files import write_csv, write_parquet
from coterie.demo.tables import generate_demo

DESCRIPTION = """\
Generate a shop whose truth is known: orders, order lines, products, customers, events, identities,
messages and feedback, with the faults that real exports have, two audiences, consents and requests
to be erased, and beside them "truth" (each customer's planted group and exact probability of an
order in the next 30 days) and "truth_dirty" (how many faulty rows of each kind there are). The
same options give the same bytes.

Parquet is written in memory that does not grow with the number of customers, in order of time,
one file per table. CSV is made in memory, for seeds.
"""

EXAMPLES = """\
examples:
  a million customers, about 10 million orders and 50 million events:
      coterie demo --customers 1000000 --out shop
  the same shop as it was before its last day, to build once before and once after:
      coterie demo --customers 1000000 --until 2025-09-30 --out shop_before
  the files of seeds/demo:
      coterie demo --customers 2000 --format csv --out seeds/demo
"""

SHOPS = {"csv": QUIET, "parquet": BUSY}


def _day(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "D")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2025-09-30") from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="where to write; made if missing")
    add(
        "--customers",
        type=_count,
        default=2_000,
        metavar="N",
        help="the first ones do not depend on how many follow (default: 2000)",
    )
    add("--seed", type=int, default=7, help="another seed is another shop (default: 7)")
    add(
        "--format",
        choices=["parquet", "csv"],
        default="parquet",
        help="parquet is the busy shop, csv the quiet one (default: parquet)",
    )
    add(
        "--until",
        type=_day,
        default=AS_OF_DATE,
        metavar="DAY",
        help="the tables as they stood before this day: what had happened, with the statuses, "
        f"refunds, opens and clicks known then; the truth is of this day (default: {AS_OF_DATE}, "
        "the day after the last)",
    )
    add(
        "--processes",
        type=_count,
        metavar="N",
        help="worker processes for parquet, of about 300 MB each; the files do not depend on "
        "their number (default: one per processor)",
    )
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="bars on the standard error (default: if it is a terminal)",
    )
    shop = parser.add_argument_group(
        "how much happens",
        "Defaults are those of the busy shop, in brackets those of the quiet one.",
    )

    def add_shop(name: str, type_: type, metavar: str, text: str) -> None:
        values = f"{getattr(BUSY, name)} [{getattr(QUIET, name)}]"
        option = f"--{name.replace('_', '-')}"
        shop.add_argument(option, type=type_, metavar=metavar, help=f"{text}: {values}")

    add_shop("started_on", _day, "DAY", "first day of orders")
    add_shop("events_since", _day, "DAY", "first day of events")
    add_shop("newsletter_count", int, "N", "monthly newsletters")
    add_shop("joining_share", float, "X", "share of the time after which nobody joins")
    add_shop("pace", float, "X", "how often customers go shopping")
    add_shop("basket", float, "X", "factor on the mean order lines beyond the first")
    add_shop("extra_views", float, "X", "mean product views that each session has on top")
    add_shop("dirt", int, "N", "factor on the faulty rows")
    return parser


def main(arguments: Sequence[str] | None = None, *, prog: str = "python -m coterie.demo") -> None:
    """Write the shop from the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments; those of the command line where left out.
    prog : str, optional
        What the help calls the command.
    """
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    names = [field.name for field in dataclasses.fields(Shop)]
    given = {name: getattr(options, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        shop = dataclasses.replace(SHOPS[options.format], **given)
        if options.format == "csv":
            tables = generate_demo(options.customers, options.seed, shop=shop, until=options.until)
            paths = write_csv(tables, options.out)
        else:
            paths = write_parquet(
                options.out,
                options.customers,
                options.seed,
                shop,
                options.until,
                options.processes,
                options.progress,
            )
    except ValueError as error:
        parser.error(str(error))
    for path in paths:
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
