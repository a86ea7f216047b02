"""Send the customers that have changed since the last run to a CRM.

    python sync.py --database coterie.duckdb --to tryton

The address and the key of the CRM are settings of dlt: DESTINATION__TRYTON__URL and
DESTINATION__TRYTON__KEY, or DESTINATION__HUBSPOT__TOKEN. Prints what became of the rows; fails
where the CRM has refused some.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import duckdb
from hubspot_destination import hubspot_destination
from outcomes import Outcomes
from tryton_destination import tryton_destination

DESTINATIONS = {"tryton": tryton_destination, "hubspot": hubspot_destination}
COLUMNS = (
    "customer_id, email, segment_code, segment_name, rfm_segment_code, value_band, purchase_band, "
    "churn_band, order_count_band, top_interest, last_ordered_on, audiences, is_deleted, "
    "change_number"
)


@dlt.resource(name="crm_customers")
def changed_customers(database: Path, schema: str, refused: list[str]) -> Iterator[list[Any]]:
    """Yield the rows above the last run's change number, and those that were refused.

    The number is kept with the rows that are under way: dlt moves it on only together with them.
    """
    state = dlt.current.resource_state()
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(
            f"select {COLUMNS} from {schema}.coterie__crm_customers "
            "where change_number > ? or list_contains(?, customer_id) "
            "order by change_number, customer_id",
            [state.get("change_number", 0), refused],
        )
        names = [column[0] for column in rows.description]
        while batch := rows.fetchmany(1000):
            yield [dict(zip(names, row, strict=True)) for row in batch]
            state["change_number"] = max(state.get("change_number", 0), batch[-1][-1])


def main(arguments: list[str] | None = None) -> int:
    """Finish what the last run has left, then send what has changed since."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--schema", default="main_coterie")
    parser.add_argument("--to", choices=sorted(DESTINATIONS), required=True)
    parser.add_argument("--state", type=Path, default=Path(".sync"), help="what to keep it in")
    given = parser.parse_args(arguments)

    outcomes = Outcomes(given.state.resolve() / f"{given.to}_refused.json")
    pipeline = dlt.pipeline(
        f"coterie_to_{given.to}",
        destination=DESTINATIONS[given.to](outcomes),
        pipelines_dir=str(given.state.resolve()),
    )
    if pipeline.has_pending_data:
        pipeline.run()
    pipeline.run(changed_customers(given.database, given.schema, sorted(outcomes.refused)))
    print(json.dumps({"sent": outcomes.counts.total(), **outcomes.counts}))
    for customer_id, message in outcomes.refused.items():
        print(f"refused: {customer_id}: {message}", file=sys.stderr)
    return int(bool(outcomes.refused))


if __name__ == "__main__":
    sys.exit(main())
