"""SQL assigns customers as the library does, by every algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from scenarios import EVERY_ALGORITHM

from coterie.segmentation import SegmentDefinitions


@pytest.fixture(scope="module")
def customers(every_algorithm):
    with every_algorithm.connect() as connection:
        relation = every_algorithm.relation("int_coterie__segmentation_features")
        table = connection.sql(f"select * from {relation}").to_arrow_table()
    return table.sort_by("customer_id")


@pytest.mark.parametrize("name", EVERY_ALGORITHM)
def test_sql_proposes_what_the_library_predicts(every_algorithm, customers, name):
    with every_algorithm.connect() as connection:
        relation = every_algorithm.relation("int_coterie__segment_centers")
        rows = connection.sql(f"select * from {relation} where segmentation_name = '{name}'")
        definitions = SegmentDefinitions(rows.to_arrow_table())
    assigned = definitions.assign(customers)
    codes = [*definitions.codes, "unassigned"]  # position -1 is the last
    expected = dict(
        zip(customers["customer_id"].to_pylist(), np.array(codes)[assigned], strict=True)
    )
    found = every_algorithm.query(
        "select customer_id, segment_code from {int_coterie__segment_proposals} "
        f"where segmentation_name = '{name}' and segment_code not in ('lapsed', 'prospect')"
    )
    assert len(found) == customers.num_rows >= 10_000
    assert dict(zip(found["customer_id"], found["segment_code"], strict=True)) == expected
    assert 2 <= found["segment_code"].nunique() <= 12


def test_only_density_leaves_customers_out(every_algorithm):
    left_out = every_algorithm.query(
        "select distinct segmentation_name from {int_coterie__segment_proposals} "
        "where segment_code = 'unassigned'"
    )
    assert set(left_out["segmentation_name"]) <= {"hdbscan"}
