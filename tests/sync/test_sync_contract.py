"""What the examples read is what the marts promise."""

from __future__ import annotations

import pytest
import yaml
from conftest import EXAMPLES, REPOSITORY
from stand_in import CRM_CUSTOMERS, MARTS

CANONICAL = {"string": "varchar"}


@pytest.mark.parametrize("mart", MARTS)
def test_the_stand_in_has_the_columns_of_the_mart(mart):
    (model,) = yaml.safe_load((REPOSITORY / f"models/marts/{mart}.yml").read_text())["models"]
    assert model["config"]["contract"] == {"enforced": True}
    promised = {c["name"]: CANONICAL.get(c["data_type"], c["data_type"]) for c in model["columns"]}

    assert promised == MARTS[mart]


@pytest.mark.parametrize(
    "path", sorted((EXAMPLES / "drt" / "syncs").glob("*.yml")), ids=lambda p: p.stem
)
def test_drt_lists_columns_of_the_mart(path):
    sync = yaml.safe_load(path.read_text())
    words = " ".join(sync["model"].split())
    columns, mart = words.removeprefix("select ").split(" from {{ var('schema') }}.")

    assert set(columns.split(", ")) <= set(MARTS[mart])
    assert sync["destination"]["upsert_key"][-1] in {"customer_id", "change_number"}


def test_dlt_lists_columns_of_the_mart():
    source = (EXAMPLES / "sync.py").read_text()
    columns = source.split("COLUMNS = (")[1].split("\n)")[0].replace('"', "")

    # Neither hash nor time of the change is anything that a CRM should show.
    assert {name.strip() for name in columns.split(",")} == set(CRM_CUSTOMERS) - {
        "row_hash",
        "changed_at",
    }
