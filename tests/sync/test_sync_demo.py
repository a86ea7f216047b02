"""The marts of the demo shop, as dbt has built them, reach PostgreSQL and HubSpot."""

from __future__ import annotations

import duckdb
import pytest
from stand_in import SCHEMA


@pytest.fixture
def marts(demo_marts):
    """Return a function that runs a statement in the demo shop's database."""

    def run(statement):
        with duckdb.connect(str(demo_marts)) as connection:
            connection.execute(f"set schema = '{SCHEMA}'")
            return connection.execute(statement).fetchall()

    return run


def test_all_of_the_demo_reaches_postgres_once(new_warehouse, demo_marts, marts):
    warehouse = new_warehouse(demo_marts)
    counts = {
        "audience_changes": marts("select count(*) from coterie__audience_changes")[0][0],
        "audience_members": marts("select count(*) from coterie__audiences")[0][0],
        "crm_customers": marts("select count(*) from coterie__crm_customers")[0][0],
    }
    assert all(counts.values())

    assert warehouse.sync(*counts) == {name: (count, 0) for name, count in counts.items()}
    assert warehouse.count("customers") == counts["crm_customers"]
    members = "select audience_code, customer_id from {} order by 1, 2"
    expected = marts(members.format("coterie__audiences"))
    assert warehouse.sql(members.format("crm.members")) == expected
    assert warehouse.sql(members.format("crm.audience_members")) == expected
    assert warehouse.sync("audience_changes", "crm_customers") == {
        "audience_changes": (0, 0),
        "crm_customers": (0, 0),
    }

    marts(
        "update coterie__crm_customers set value_band = 'medium', "
        "change_number = (select max(change_number) from coterie__crm_customers) + own.number "
        "from (select customer_id, row_number() over (order by customer_id) as number "
        "from coterie__crm_customers where not is_deleted limit 3) as own "
        "where coterie__crm_customers.customer_id = own.customer_id"
    )
    assert warehouse.sync("crm_customers") == {"crm_customers": (3, 0)}
    assert warehouse.count("customers") == counts["crm_customers"]


def test_all_of_the_demo_reaches_hubspot_once(new_hubspot, hubspot_server, demo_marts, marts):
    ((living, deleted),) = marts(
        "select count(*) filter (not is_deleted), count(*) filter (is_deleted) "
        "from coterie__crm_customers"
    )

    counts = new_hubspot(demo_marts).sync()
    assert counts.pop("sent") == living + deleted
    # A tombstone of whom HubSpot has never heard changes nothing there.
    assert counts.pop("unchanged", 0) == deleted
    assert counts == {"created": living}
    assert len(hubspot_server.contacts) == living
    assert max(hubspot_server.batch_sizes) == 100
