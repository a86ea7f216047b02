"""What became of the rows of a run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path


class Outcomes:
    """Count what the CRM did, and remember what it refused.

    Parameters
    ----------
    path
        File of the refused rows: customer and what the CRM said. They are sent again by the next
        run, so that a refused row is neither lost nor in the way of the others.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.refused: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def add(self, outcome: str, customer_id: str, message: str = "") -> None:
        """Count a row as created, updated, unchanged, erased or refused."""
        self.counts[outcome] += 1
        self.refused.pop(customer_id, None)
        if outcome == "refused":
            self.refused[customer_id] = message
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.refused, indent=2, sort_keys=True))
