"""HubSpot's contacts are kept as the CRM mart says, by its client and a stand-in server."""

from __future__ import annotations

import pytest

ID = "coterie_customer_id"


def duplicates(stub) -> int:
    ids = [values[ID] for values in stub.contacts.values()]
    return len(ids) - len(set(ids))


@pytest.fixture
def synced(hubspot, hubspot_server):
    """A shop of 250 customers whose CRM mart has been synced once."""
    assert hubspot.sync() == {"sent": 250, "created": 250}
    assert hubspot_server.batch_sizes == [100, 100, 50]
    return hubspot


def test_every_customer_becomes_a_contact(synced, hubspot_server):
    assert len(hubspot_server.contacts) == 250
    assert hubspot_server.contacts[hubspot_server.find(ID, "c0000")] == {
        ID: "c0000",
        "email": "c0000@example.com",
        "coterie_segment": "Loyal regulars",
        "coterie_rfm_segment": "champions",
        "coterie_value_band": "high",
        "coterie_purchase_band": "medium",
        "coterie_churn_band": "very_high",
        "coterie_order_count_band": "2-4",
        "coterie_top_interest": "topic_1",
        "coterie_last_ordered_on": "2026-01-01",
        "coterie_audiences": "win_back",
    }


def test_nothing_is_sent_when_nothing_has_changed(synced, hubspot_server):
    synced.shop.build()
    asked = hubspot_server.statuses.total()

    assert synced.sync() == {"sent": 0}
    assert hubspot_server.statuses.total() == asked


def test_what_has_changed_is_sent_alone(synced, hubspot_server):
    synced.shop.change("c0001", email="new@example.com")
    synced.shop.change("c0002", value_band="very_high")
    synced.shop.change("c0005", audiences="")
    synced.shop.build()

    assert synced.sync() == {"sent": 3, "updated": 3}
    assert hubspot_server.batch_sizes[3:] == [3]
    assert len(hubspot_server.contacts) == 250
    assert hubspot_server.find("email", "c0001@example.com") is None
    left = hubspot_server.contacts[hubspot_server.find(ID, "c0005")]
    assert left["coterie_audiences"] == ""


def test_an_erased_customer_is_deleted_for_good(synced, hubspot_server):
    synced.shop.erase("c0010")
    synced.shop.build()

    assert synced.sync() == {"sent": 1, "erased": 1}
    assert len(hubspot_server.contacts) == 249
    assert hubspot_server.find(ID, "c0010") is None
    assert synced.sync() == {"sent": 0}
    kept = [path.read_bytes() for path in synced.state.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"c0010@example.com" in content for content in kept)


def test_a_row_that_is_refused_stops_no_other_and_is_sent_again(synced, hubspot_server):
    synced.shop.change("c0001", email="no address")
    synced.shop.change("c0002", email="c0003@example.com")
    synced.shop.change("c0004", value_band="very_high")
    synced.shop.build()

    assert synced.sync(fails=True) == {"sent": 3, "updated": 1, "refused": 2}
    assert hubspot_server.statuses[207] == 1
    assert "refused: c0001: Email address no address is invalid" in synced.said
    assert "refused: c0002: Contact already exists" in synced.said

    synced.shop.change("c0001", email="mended@example.com")
    synced.shop.change("c0002", email="c0002@example.com")
    synced.shop.build()
    assert synced.sync() == {"sent": 2, "updated": 2}
    assert len(hubspot_server.contacts) == 250


def test_the_client_waits_as_long_as_it_is_told(hubspot, hubspot_server):
    hubspot_server.limit, hubspot_server.window_seconds = 4, 1

    assert hubspot.sync() == {"sent": 250, "created": 250}
    # Ten properties and three batches are more than four requests a second.
    assert hubspot_server.statuses[429] >= 1
    assert len(hubspot_server.contacts) == 250


def test_an_answer_that_got_lost_makes_no_duplicate(hubspot, hubspot_server):
    hubspot_server.outage = "forget to answer"

    counts = hubspot.sync()
    assert counts["sent"] == 250
    assert counts["created"] + counts["updated"] == 250
    assert len(hubspot_server.contacts) == 250
    assert duplicates(hubspot_server) == 0


def test_a_server_that_is_down_loses_nothing(synced, hubspot_server):
    for number in range(150):
        synced.shop.change(f"c{number:04d}", value_band="very_high")
    synced.shop.build()
    hubspot_server.outage = "refuse"

    assert synced.sync(fails=True) == {}
    hubspot_server.outage = None

    assert synced.sync() == {"sent": 150, "updated": 150}
    assert len(hubspot_server.contacts) == 250
    assert synced.sync() == {"sent": 0}
