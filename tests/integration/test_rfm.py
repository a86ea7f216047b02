"""RFM from build to build: kept cut points, what moved, and rules of a host's own."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from harness import differences

FROZEN, LATER, BEFORE_ALL, BY_RANKS, FROZEN_ANEW, AGAIN = range(6)

MEASURES = {
    "recency": "days_since_last_order",
    "frequency": "order_count_lookback",
    "monetary": "net_amount_lookback",
}


def scores_by(cut_points: pd.DataFrame, version: int, customers: pd.DataFrame) -> pd.DataFrame:
    """Count the boundaries that each customer reaches, as the words of the columns have it."""
    scores = {}
    chosen = cut_points[cut_points["cut_points_version"] == version]
    for name, column in MEASURES.items():
        values = customers[column].to_numpy(dtype=float)
        boundaries = chosen.loc[chosen["score_name"] == name, "boundary_value"].astype(float)
        assert len(boundaries) == 4
        score = np.ones(len(customers))
        for boundary in boundaries.dropna():
            score += (values <= boundary) if name == "recency" else (values >= boundary)
        scores[f"{name}_score"] = score
    return pd.DataFrame(scores, index=customers.index)


def codes_by(rules: pd.DataFrame, scores: pd.DataFrame) -> pd.Series:
    codes = pd.Series(index=scores.index, dtype=object)
    for rule in rules.dropna(subset=["recency_score_from"]).itertuples():
        codes[
            scores["recency_score"].between(rule.recency_score_from, rule.recency_score_to)
            & scores["frequency_score"].between(rule.frequency_score_from, rule.frequency_score_to)
        ] = rule.rfm_segment_code
    return codes


def active(build) -> pd.DataFrame:
    customers = build.customers[build.customers["order_count_lookback"] > 0]
    assert len(customers) > 500
    return customers.set_index("customer_id")


def has_kept_score(first: pd.DataFrame, second: pd.DataFrame, name: str) -> pd.Series:
    """Whether customers whose value is what it was score as they did."""
    both = first.merge(second, left_index=True, right_index=True, suffixes=("", "_now"))
    same = both[both[MEASURES[name]] == both[f"{MEASURES[name]}_now"]]
    assert len(same) > 200
    return same[f"{name}_score"] == same[f"{name}_score_now"]


@pytest.mark.parametrize("name", ["frequency", "monetary"])
def test_nobody_moves_by_what_others_did_while_cut_points_are_frozen(rfm_over_time, name):
    builds = rfm_over_time.builds
    assert has_kept_score(active(builds[FROZEN]), active(builds[LATER]), name).all()


def test_by_ranks_customers_move_by_what_others_did(rfm_over_time):
    builds = rfm_over_time.builds
    first, second = active(builds[LATER]), active(builds[BY_RANKS])
    assert not has_kept_score(first, second, "monetary").all()


def test_frozen_cut_points_score_everybody(rfm_over_time):
    for number in (FROZEN, LATER, FROZEN_ANEW):
        build = rfm_over_time.builds[number]
        customers = active(build)
        version = {FROZEN: 1, LATER: 1, FROZEN_ANEW: 3}[number]
        scores = scores_by(build.cut_points, version, customers)
        for column in scores:
            assert (scores[column] == customers[column]).all(), (number, column)
        codes = codes_by(rfm_over_time.rules, scores)
        assert (codes == customers["rfm_segment_code"]).all()


def test_what_was_held_tells_the_customers_move_from_that_of_the_cut_points(rfm_over_time):
    builds = rfm_over_time.builds
    assert builds[FROZEN].customers["held_rfm_segment_code"].isna().all()
    # The cut points stood: whoever has another code has moved.
    later = active(builds[LATER])
    assert (later["held_rfm_segment_code"] == later["rfm_segment_code"]).all()
    assert (
        active(builds[FROZEN])["rfm_segment_code"].reindex(later.index) != later["rfm_segment_code"]
    ).any()
    # The cut points moved, and what was held goes by the former ones and by today's values.
    for number, version in ((BY_RANKS, 1), (FROZEN_ANEW, 2)):
        customers = active(builds[number])
        scores = scores_by(builds[number].cut_points, version, customers)
        expected = codes_by(rfm_over_time.rules, scores)
        assert (customers["held_rfm_segment_code"] == expected).all()
        moved = customers["held_rfm_segment_code"] != customers["rfm_segment_code"]
        assert 0.01 < moved.mean() < 0.6
    outside = builds[BY_RANKS].customers.query("order_count_lookback == 0")
    assert len(outside) > 0
    assert (outside["held_rfm_segment_code"] == outside["rfm_segment_code"]).all()


def test_a_day_before_all_that_was_frozen_is_ranked_as_of_itself(rfm_over_time):
    customers = active(rfm_over_time.builds[BEFORE_ALL])
    assert customers["held_rfm_segment_code"].isna().all()
    cells = "r" + customers["recency_score"].astype(int).astype(str)
    cells += "f" + customers["frequency_score"].astype(int).astype(str)
    assert (cells == customers["rfm_cell"]).all()


def test_cut_points_are_appended_when_they_are_others_and_never_for_the_past(rfm_over_time):
    builds = rfm_over_time.builds
    versions = [
        build.cut_points.groupby("cut_points_version").agg({"as_of_date": "max", "rfm_mode": "max"})
        for build in builds
    ]
    assert [len(found) for found in versions] == [1, 1, 1, 2, 3, 3]
    assert versions[-1]["rfm_mode"].tolist() == ["frozen", "quantile", "frozen"]
    dates = [str(date)[:10] for date in versions[-1]["as_of_date"]]
    assert dates == [builds[number].date for number in (FROZEN, BY_RANKS, FROZEN_ANEW)]
    for first, second in itertools.pairwise(builds):
        kept = second.cut_points["cut_points_version"].isin(first.cut_points["cut_points_version"])
        assert differences({"rows": first.cut_points}, {"rows": second.cut_points[kept]}) == []


def test_a_second_build_of_a_day_holds_what_the_first_held(rfm_over_time):
    first, second = (rfm_over_time.builds[number].customers for number in (FROZEN_ANEW, AGAIN))
    assert differences({"rows": first}, {"rows": second}) == []


# ---- rules of the host ---------------------------------------------------------------------------


def test_rules_of_a_host_stand_in_place_of_ours(own_rules):
    customers = own_rules.customers
    is_warm = customers["recency_score"] >= 3
    ranked = customers["recency_score"].notna()
    assert set(customers.loc[ranked & is_warm, "rfm_segment_code"]) == {"warm"}
    assert set(customers.loc[ranked & ~is_warm, "rfm_segment_code"]) == {"cold"}
    profiles = own_rules.profiles[own_rules.profiles["segmentation_name"] == "rfm"]
    names = profiles.set_index("segment_code")["segment_name"].to_dict()
    assert names["warm"] == "Warm"
    assert set(names) <= {"warm", "cold", "lapsed", "prospect"}
    assert own_rules.built.result("assert_rfm_rules_cover_each_cell_once")["status"] == "pass"


def test_rules_with_gaps_and_overlaps_are_named(own_rules):
    assert own_rules.tested["status"] == "fail"
    assert {
        "The cell r5f5 has no segment: widen the scores of one.",
        "The cell r2f1 has more than one segment (cold and warm): narrow the scores of one.",
    } <= own_rules.faults
    assert any("no row of the code prospect" in words for words in own_rules.faults)
    # r3 to r5 lack f5, r2 has f1 to f4 twice.
    assert len(own_rules.faults) == 3 + 4 + 1


def test_rules_without_a_column_are_refused_by_name(own_rules):
    assert own_rules.refused.return_code != 0
    for words in (
        "the var coterie__rfm_segments_relation names has no column 'frequency_score_to'",
        "frequency_score_up_to",
        "the seed coterie__rfm_segments is an example",
    ):
        assert words in own_rules.refused.words
