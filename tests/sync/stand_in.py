"""A database with the marts that are synced, filled by hand: few columns of them matter here."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import duckdb
import pyarrow as pa

#: The columns that the examples read, with the types of the marts' contracts.
CRM_CUSTOMERS = {
    "customer_id": "varchar",
    "email": "varchar",
    "segment_code": "varchar",
    "segment_name": "varchar",
    "rfm_segment_code": "varchar",
    "value_band": "varchar",
    "purchase_band": "varchar",
    "churn_band": "varchar",
    "order_count_band": "varchar",
    "top_interest": "varchar",
    "last_ordered_on": "date",
    "audiences": "varchar",
    "is_deleted": "boolean",
    "row_hash": "varchar",
    "changed_at": "timestamp",
    "change_number": "bigint",
}
AUDIENCES = {
    "audience_code": "varchar",
    "customer_id": "varchar",
    "channel": "varchar",
    "entered_on": "date",
    "reason": "varchar",
}
AUDIENCE_CHANGES = {
    "audience_code": "varchar",
    "customer_id": "varchar",
    "change_number": "bigint",
    "action": "varchar",
    "channel": "varchar",
    "reason": "varchar",
    "changed_at": "timestamp",
    "row_hash": "varchar",
    "as_of_date": "date",
}
MARTS = {
    "coterie__crm_customers": CRM_CUSTOMERS,
    "coterie__audiences": AUDIENCES,
    "coterie__audience_changes": AUDIENCE_CHANGES,
}
PAYLOAD = [
    name for name in CRM_CUSTOMERS if name not in {"row_hash", "changed_at", "change_number"}
]
#: Where dbt puts the marts of this project.
SCHEMA = "main_coterie"
FIRST_BUILD = datetime.datetime(2026, 1, 1, 5, 0)


class Shop:
    """Customers and members, and a `build` that writes them as the marts would.

    As in the marts, `changed_at` and `change_number` of a row move only when its payload does.
    """

    def __init__(self, database: Path, customer_count: int) -> None:
        self.database = database
        self.builds = 0
        self._change_number = 0
        self.customers: dict[str, dict] = {}
        self.changes: list[dict] = []
        self._members: set[tuple[str, str]] = set()
        for number in range(customer_count):
            self.customers[f"c{number:04d}"] = {
                "email": f"c{number:04d}@example.com",
                "segment_code": f"segment_{number % 3 + 1}",
                "segment_name": ["Loyal regulars", "Rare and small", "New"][number % 3],
                "rfm_segment_code": "champions" if number % 3 == 0 else "hibernating",
                "value_band": "high" if number % 3 == 0 else "low",
                "purchase_band": "medium",
                "churn_band": "very_high" if number % 5 == 0 else "low",
                "order_count_band": "1" if number % 3 == 1 else "2-4",
                "top_interest": f"topic_{number % 4 + 1}",
                "last_ordered_on": FIRST_BUILD.date() - datetime.timedelta(days=number % 90),
                "audiences": "win_back" if number % 5 == 0 else "",
                "is_deleted": False,
            }
        self.build()

    def change(self, customer_id: str, **values: object) -> None:
        """Change what the next build says of a customer."""
        self.customers[customer_id].update(values)

    def erase(self, customer_id: str) -> None:
        """Leave of a customer the tombstone alone."""
        row = dict.fromkeys(self.customers[customer_id])
        self.customers[customer_id] = {**row, "is_deleted": True}
        # Nobody is told that an erased customer has left: they were never there.
        self.changes = [change for change in self.changes if change["customer_id"] != customer_id]
        self._members = {member for member in self._members if member[1] != customer_id}

    def build(self) -> None:
        """Write the marts anew."""
        self.builds += 1
        changed_at = FIRST_BUILD + datetime.timedelta(days=self.builds)
        # As in the marts: microseconds of the build, and one more each row.
        self._change_number = int(changed_at.timestamp() * 1_000_000)

        def clock() -> dict[str, object]:
            self._change_number += 1
            return {"changed_at": changed_at, "change_number": self._change_number}

        for customer_id, row in self.customers.items():
            payload = {"customer_id": customer_id, **{n: row[n] for n in PAYLOAD[1:]}}
            row_hash = hashlib.md5(repr(payload).encode()).hexdigest()
            if row.get("row_hash") != row_hash:
                row.update(clock(), row_hash=row_hash)

        members = {
            (code, customer_id)
            for customer_id, row in self.customers.items()
            for code in (row["audiences"] or "").split(",")
            if code
        }
        for action, pairs in {
            "add": members - self._members,
            "remove": self._members - members,
        }.items():
            for code, customer_id in sorted(pairs):
                self.changes.append(
                    {
                        "audience_code": code,
                        "customer_id": customer_id,
                        "action": action,
                        "channel": "email",
                        "reason": action,
                        "row_hash": "-",
                        "as_of_date": changed_at.date(),
                        **clock(),
                    }
                )
        self._members = members

        entered = {(c["audience_code"], c["customer_id"]): c["changed_at"] for c in self.changes}
        rows = {
            "coterie__crm_customers": [
                {"customer_id": customer_id, **row} for customer_id, row in self.customers.items()
            ],
            "coterie__audiences": [
                {
                    "audience_code": code,
                    "customer_id": customer_id,
                    "channel": "email",
                    "entered_on": entered[code, customer_id].date(),
                    "reason": "add",
                }
                for code, customer_id in sorted(members)
            ],
            "coterie__audience_changes": self.changes,
        }
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(f"create schema if not exists {SCHEMA}")
            for mart, columns in MARTS.items():
                values = {name: [row[name] for row in rows[mart]] for name in columns}
                connection.register("given", pa.table(values))
                typed = ", ".join(
                    f"cast({name} as {kind}) as {name}" for name, kind in columns.items()
                )
                connection.execute(
                    f"create or replace table {SCHEMA}.{mart} as select {typed} from given"
                )
