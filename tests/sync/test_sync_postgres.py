"""drt keeps tables of a real PostgreSQL server as the marts say."""

from __future__ import annotations

import pytest

ALL = ("audience_changes", "audience_members", "crm_customers")


@pytest.fixture
def synced(warehouse):
    """A shop of 1,000 customers whose marts have been synced once."""
    assert warehouse.sync(*ALL) == {
        "audience_changes": (200, 0),
        "audience_members": (200, 0),
        "crm_customers": (1000, 0),
    }
    assert warehouse.count("customers") == 1000
    assert warehouse.count("members") == warehouse.count("audience_members") == 200
    return warehouse


def test_nothing_is_sent_when_nothing_has_changed(synced):
    synced.shop.build()

    assert synced.sync("crm_customers", "audience_changes") == {
        "crm_customers": (0, 0),
        "audience_changes": (0, 0),
    }


def test_what_has_changed_is_sent_alone(synced):
    before = set(synced.sql("select * from crm.customers"))
    for customer_id in ("c0001", "c0500", "c0999"):
        synced.shop.change(customer_id, value_band="very_high")
    synced.shop.build()

    assert synced.sync("crm_customers") == {"crm_customers": (3, 0)}
    after = set(synced.sql("select * from crm.customers"))
    assert {row[0] for row in after - before} == {"c0001", "c0500", "c0999"}
    assert synced.count("customers") == 1000
    assert synced.sync("crm_customers") == {"crm_customers": (0, 0)}


def test_all_rows_may_be_sent_again(synced):
    before = synced.sql("select * from crm.customers order by customer_id")

    assert synced.sync("crm_customers_all") == {"crm_customers_all": (1000, 0)}
    assert synced.sql("select * from crm.customers order by customer_id") == before


def test_who_leaves_an_audience_leaves_it_there(synced):
    synced.shop.change("c0005", audiences="")
    synced.shop.build()

    assert synced.sync("audience_changes", "audience_members", "crm_customers") == {
        "audience_changes": (1, 0),
        "audience_members": (199, 0),
        "crm_customers": (1, 0),
    }
    assert synced.count("members") == synced.count("audience_members") == 199
    for table in ("members", "audience_members"):
        assert not synced.sql(f"select * from crm.{table} where customer_id = 'c0005'")


def test_the_last_member_leaves_too(synced):
    for row in synced.shop.customers.values():
        row["audiences"] = ""
    synced.shop.build()

    assert synced.sync("audience_changes", "audience_members") == {
        "audience_changes": (200, 0),
        "audience_members": (0, 0),
    }
    assert synced.count("members") == 0
    # drt deletes nothing when it is given nothing, hence the view.
    assert synced.count("audience_members") == 200


def test_too_many_deletions_are_refused(synced):
    for number in range(0, 750, 5):
        synced.shop.change(f"c{number:04d}", audiences="")
    synced.shop.build()

    synced.sync("audience_members", fails=True)
    assert synced.count("audience_members") == 200


def test_of_an_erased_customer_only_the_id_stays(synced):
    synced.shop.erase("c0010")
    synced.shop.build()

    assert synced.sync(*ALL) == {
        "audience_changes": (0, 0),
        "audience_members": (199, 0),
        "crm_customers": (1, 0),
    }
    (tombstone,) = synced.sql("select * from crm.customers where is_deleted")
    assert tombstone[:13] == ("c0010", *[""] * 11, "t")
    for table in ("members", "audience_members", "audience_changes"):
        assert not synced.sql(f"select * from crm.{table} where customer_id = 'c0010'")


def test_a_row_that_is_refused_stops_its_batch_and_is_sent_again(synced):
    synced.sql("alter table crm.customers add constraint known check (value_band <> 'odd')")
    for number in range(700):
        synced.shop.change(f"c{number:04d}", churn_band="medium")
    synced.shop.change("c0600", value_band="odd")
    synced.shop.build()

    (sent,) = synced.sync("crm_customers", fails=True).values()
    assert sent[1] > 0
    synced.shop.change("c0600", value_band="low")
    synced.shop.build()

    # The cursor has stayed where it was: the batch before the refused one comes once more.
    assert synced.sync("crm_customers") == {"crm_customers": (700, 0)}
    assert synced.count("customers where churn_band = 'medium'") == 700
    assert synced.count("customers") == 1000
    assert synced.sync("crm_customers") == {"crm_customers": (0, 0)}


def test_a_server_that_is_down_loses_nothing(synced):
    for customer_id in ("c0001", "c0002"):
        synced.shop.change(customer_id, value_band="very_high")
    synced.shop.build()

    synced.server.stop()
    try:
        synced.sync("crm_customers", fails=True)
    finally:
        synced.server.start()

    assert synced.sync("crm_customers") == {"crm_customers": (2, 0)}
    assert synced.count("customers where value_band = 'very_high'") == 2
    assert synced.count("customers") == 1000
