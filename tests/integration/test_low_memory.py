"""The profile of little memory: what does not fit goes to the disk, and the rows are the same."""

import duckdb
import pytest
from harness import differences
from scenarios import build_within


def marts(host):
    return [n["name"] for n in host.package_nodes("model") if "marts" in n["fqn"]]


@pytest.mark.matrix
def test_a_build_that_does_not_fit_spills(low_memory):
    assert low_memory.spilled_bytes > 1_000_000


@pytest.mark.matrix
def test_a_build_that_spills_gives_the_same_rows(low_memory):
    names = marts(low_memory.host)
    filled = set()
    with duckdb.connect(str(low_memory.host.database), read_only=True) as connection:
        connection.execute("attach ? as roomy (read_only)", [str(low_memory.roomy.database)])
        for name in [*names, "int_coterie__customer_features"]:
            relation = low_memory.host.relation(name)
            row_count, lost, gained = connection.execute(
                f"""
                select
                    (select count(*) from {relation}),
                    (select count(*) from (from roomy.{relation} except all from {relation})),
                    (select count(*) from (from {relation} except all from roomy.{relation}))
                """
            ).fetchone()
            assert (lost, gained) == (0, 0), name
            filled |= {name} if row_count else set()
    assert {"coterie__customers", "coterie__customer_segment_memberships"} <= filled
    assert "int_coterie__customer_features" in filled


@pytest.mark.matrix
def test_a_whole_build_with_its_fits_spills_and_gives_the_same_rows(new_host):
    shop = build_within(new_host("bare_shop"), "250MB", customer_count=100_000, variables={})
    assert shop.spilled_bytes > 1_000_000
    names = marts(shop.host)
    left, right = shop.host.snapshot(names), shop.roomy.snapshot(names)
    assert len(left) == len(names) > 6
    assert differences(left, right, tolerance=1e-9) == []
