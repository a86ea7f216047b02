"""A real CRM, Tryton, is kept as the CRM mart says."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest


@pytest.fixture
def rows(tryton_server):
    """Return what a query finds in Tryton's database."""

    def query(sql):
        with closing(sqlite3.connect(tryton_server.database)) as connection:
            return connection.execute(sql).fetchall()

    return query


PARTIES = """
    select party.code, party.active, mechanism.value, group_concat(category.name, ', ')
    from party_party as party
    left join party_contact_mechanism as mechanism on mechanism.party = party.id
    left join (
        select relation.party, category.name
        from "party_party-party_category" as relation
        inner join party_category as category on category.id = relation.category
        order by category.name
    ) as category on category.party = party.id
    group by party.code, party.active, mechanism.value
    order by party.code
"""


@pytest.fixture
def synced(tryton):
    """A shop of 200 customers whose CRM mart has been synced once."""
    assert tryton.sync() == {"sent": 200, "created": 200}
    return tryton


def test_every_customer_becomes_a_party(synced, rows):
    parties = rows(PARTIES)

    assert len(parties) == 200
    assert parties[0] == ("c0000", 1, "c0000@example.com", "Loyal regulars, win_back")
    assert parties[1] == ("c0001", 1, "c0001@example.com", "Rare and small")


def test_nothing_is_sent_when_nothing_has_changed(synced):
    synced.shop.build()

    assert synced.sync() == {"sent": 0}


def test_what_has_changed_is_sent_alone(synced, rows):
    synced.shop.change("c0001", email="new@example.com")
    synced.shop.change("c0002", segment_name="Loyal regulars", audiences="second_order,win_back")
    synced.shop.change("c0003", email=None)
    synced.shop.build()

    assert synced.sync() == {"sent": 3, "updated": 3}
    parties = rows(PARTIES)
    assert len(parties) == 200
    assert parties[1] == ("c0001", 1, "new@example.com", "Rare and small")
    assert parties[2][3] == "Loyal regulars, second_order, win_back"
    assert parties[3] == ("c0003", 1, None, "Loyal regulars")
    assert synced.sync() == {"sent": 0}


def test_what_others_have_entered_stays(synced, rows, tryton_server):
    with closing(sqlite3.connect(tryton_server.database)) as connection:
        connection.execute("update party_party set name = 'A name' where code = 'c0001'")
        connection.commit()
    synced.shop.change("c0001", email="new@example.com")
    synced.shop.build()

    assert synced.sync() == {"sent": 1, "updated": 1}
    assert rows("select name from party_party where code = 'c0001'") == [("A name",)]


def test_who_leaves_an_audience_leaves_it_there(synced, rows):
    synced.shop.change("c0005", audiences="")
    synced.shop.build()

    assert synced.sync() == {"sent": 1, "updated": 1}
    assert rows(PARTIES)[5] == ("c0005", 1, "c0005@example.com", "New")


def test_of_an_erased_customer_only_the_code_stays(synced, rows):
    synced.shop.erase("c0010")
    synced.shop.build()

    assert synced.sync() == {"sent": 1, "erased": 1}
    assert rows(PARTIES)[10] == ("c0010", 0, None, None)
    assert rows("select name from party_party where code = 'c0010'") == [("c0010",)]
    assert len(rows(PARTIES)) == 200
    assert synced.sync() == {"sent": 0}
    kept = [path.read_bytes() for path in synced.state.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"c0010@example.com" in content for content in kept)


def test_a_server_that_is_down_loses_nothing(synced, rows, tryton_server):
    for number in range(120):
        synced.shop.change(f"c{number:04d}", segment_name="Rare and small")
    synced.shop.build()

    tryton_server.stop()
    assert synced.sync(fails=True) == {}
    tryton_server.start()

    # Customers that had the segment before are sent, too, when another column of theirs moves.
    expected = sum(number % 3 != 1 for number in range(120))
    assert synced.sync() == {"sent": expected, "updated": expected}
    assert len(rows(PARTIES)) == 200
    assert synced.sync() == {"sent": 0}


def test_a_row_that_is_refused_stops_no_other_and_is_sent_again(synced, rows):
    # Tryton parts the names of a category and its parent so, and takes no name that has it.
    synced.shop.change("c0001", segment_name="Rare / small")
    synced.shop.change("c0002", email="new@example.com")
    synced.shop.build()

    assert synced.sync(fails=True) == {"sent": 2, "updated": 1, "refused": 1}
    assert "refused: c0001" in synced.said
    assert synced.sync(fails=True) == {"sent": 1, "refused": 1}

    synced.shop.change("c0001", segment_name="New")
    synced.shop.build()
    assert synced.sync() == {"sent": 1, "updated": 1}
    assert rows(PARTIES)[1] == ("c0001", 1, "c0001@example.com", "New")
    assert len(rows(PARTIES)) == 200
