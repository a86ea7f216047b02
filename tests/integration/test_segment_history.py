"""Segments from date to date: what is written, what gives way, and who moved why."""

from __future__ import annotations

import pandas as pd
from scenarios import SEGMENT_DATES

MEMBERSHIPS = "coterie__customer_segment_memberships"
HISTORY = "coterie__customer_segment_history"
MIGRATIONS = "coterie__segment_migrations"
STATES = "int_coterie__customer_segment_states"
KEY = ["segmentation_name", "customer_id"]


def same_rows(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    columns = list(one.columns)
    ordered = [f.sort_values(columns, ignore_index=True)[columns] for f in (one, other)]
    return ordered[0].equals(ordered[1])


def codes(built: dict[str, pd.DataFrame]) -> pd.Series:
    return built[MEMBERSHIPS].set_index(KEY)["segment_code"].sort_index()


def test_the_first_build_sees_everybody_for_the_first_time(moving_segments):
    states = moving_segments.first[STATES]
    assert set(states["cause"]) == {"first_seen"}
    assert len(states) == len(moving_segments.first[MEMBERSHIPS])
    assert moving_segments.first[MIGRATIONS].empty


def test_a_row_is_written_only_where_the_code_changes(moving_segments):
    before, after = codes(moving_segments.first), codes(moving_segments.second)
    both = before.index.intersection(after.index)
    moved = set(both[before[both] != after[both]])
    added = moving_segments.second[STATES]
    added = added[added["valid_from_on"] == pd.Timestamp(SEGMENT_DATES[1])]
    changed = added[added["cause"] != "first_seen"].set_index(KEY)
    assert set(changed.index) == moved
    assert (changed["previous_segment_code"] == before[changed.index]).all()
    assert len(moved) > 50


def test_no_clusters_are_redefined_without_a_fit(moving_segments):
    states = moving_segments.second[STATES]
    moved = states[(states["segmentation_name"] == "default") & (states["cause"] != "first_seen")]
    assert set(moved["cause"]) == {"customer_moved"}


def test_a_second_build_of_a_date_adds_nothing(moving_segments):
    for name in (STATES, HISTORY, MIGRATIONS, MEMBERSHIPS):
        assert same_rows(moving_segments.second[name], moving_segments.second_again[name]), name


def test_changed_rows_of_a_date_replace_its_history(moving_segments):
    before, after = moving_segments.second_again, moving_segments.second_changed
    late = set(moving_segments.late["customer_id"])
    assert not same_rows(before[STATES], after[STATES])
    older = [
        built[STATES][built[STATES]["valid_from_on"] < SEGMENT_DATES[1]]
        for built in (before, after)
    ]
    assert same_rows(*older)
    changed = codes(before).compare(codes(after)).index.get_level_values("customer_id")
    assert late & set(changed)


def test_histories_end_where_the_next_row_begins(moving_segments):
    history = moving_segments.third[HISTORY].sort_values([*KEY, "valid_from_on"])
    following = history.groupby(KEY)["valid_from_on"].shift(-1)
    assert history["valid_to_on"].equals(following)
    codes_after = history.groupby(KEY)["segment_code"].shift(-1)
    assert (history["segment_code"] != codes_after).all()
    current = history[history["valid_to_on"].isna()].set_index(KEY)["segment_code"].sort_index()
    assert current.equals(codes(moving_segments.third))


def test_a_new_fit_keeps_codes_and_tells_who_moved(moving_segments):
    states = moving_segments.third[STATES]
    refitted = moving_segments.third["int_coterie__segment_centers"]
    assert refitted["segmentation_version"].nunique() == 2
    moved = states[states["valid_from_on"] == pd.Timestamp(SEGMENT_DATES[2])]
    moved = moved[(moved["segmentation_name"] == "default") & (moved["cause"] != "first_seen")]
    shares = moved["cause"].value_counts(normalize=True)
    # In a month customers move; that the definition moves is the exception.
    assert shares["customer_moved"] > 0.8
    lineage = moving_segments.third["int_coterie__segment_lineage"]
    assert set(lineage["change"]) <= {"kept", "split", "merge", "new", "retired"}
    assert (lineage["change"] == "kept").sum() >= 3


def test_migrations_count_the_changes_of_each_date(moving_segments):
    states = moving_segments.third[STATES].dropna(subset=["previous_segment_code"])
    counted = states.groupby(["segmentation_name", "valid_from_on"]).size()
    told = moving_segments.third[MIGRATIONS]
    told = told.groupby(["segmentation_name", "as_of_date"])["customer_count"].sum()
    assert counted.tolist() == told.tolist()
    assert counted.index.tolist() == told.index.tolist()


def test_a_build_as_of_an_older_date_writes_nothing_and_sees_the_past(moving_segments):
    third, back = moving_segments.third, moving_segments.back_again
    assert same_rows(third[STATES], back[STATES])
    date = pd.Timestamp(SEGMENT_DATES[1])
    then = third[STATES][third[STATES]["valid_from_on"] <= date].sort_values("valid_from_on")
    then = then.groupby(KEY)["segment_code"].last().sort_index()
    now = codes(back)
    both = then.index.intersection(now.index)
    assert len(both) > 1000
    assert (then[both] == now[both]).all()
    assert back[HISTORY]["valid_from_on"].max() <= date
