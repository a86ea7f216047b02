"""What builds leave behind for the next one: a shop that grows, repeats and dry runs."""

import re

import pandas as pd
import pytest
from harness import STATE_TABLES, differences
from scenarios import FIRST_FIT, LATER, MUCH_LATER

#: State of what the shop does not have: products, and consents.
EMPTY_HERE = {"int_coterie__interest_topics", "int_coterie__audience_states"}


def purchase_versions(snapshot):
    versions = snapshot["coterie__model_versions"]
    return versions[versions["model_name"] == "purchase_30d"]


def test_a_compile_of_a_fresh_database_makes_no_state(growing_shop):
    assert growing_shop.after_fresh_compile == []


def test_an_empty_build_of_a_fresh_database_makes_no_state(growing_shop):
    assert {
        name: len(rows) for name, rows in growing_shop.after_fresh_empty_build.items() if len(rows)
    } == {}


def test_ten_customers_are_too_few_to_learn_from(growing_shop):
    versions = purchase_versions(growing_shop.few)
    assert versions["model_version"].tolist() == ["none"]
    assert versions["gate_status"].tolist() == ["insufficient_data"]
    customers = growing_shop.few["coterie__customers"]
    assert len(customers) == 10
    assert customers["purchase_probability_30d"].isna().all()
    assert set(customers["purchase_score_status_30d"]) <= {"withheld", "not_eligible"}
    assert customers["segment_code"].notna().all()


def test_five_thousand_customers_open_the_gate(growing_shop):
    versions = purchase_versions(growing_shop.many)
    champion = versions[versions["is_champion"]]
    assert len(champion) == 1
    assert champion["gate_status"].iloc[0] in {"published", "provisional"}
    assert "none" not in versions["model_version"].tolist()
    customers = growing_shop.many["coterie__customers"]
    assert len(customers) == 5010
    scored = customers["purchase_score_status_30d"] == "scored"
    assert scored.sum() > 3000
    assert customers["purchase_probability_30d"].notna().equals(scored)
    assert customers.loc[scored, "purchase_probability_30d"].between(0, 1).all()
    assert set(customers.loc[~scored, "purchase_score_status_30d"]) <= {"not_eligible"}


def test_a_second_build_changes_nothing(growing_shop):
    # Sums of doubles may end in other digits; what is kept from build to build must not.
    assert differences(growing_shop.many, growing_shop.again, tolerance=1e-9) == []
    before = {name: growing_shop.many[name] for name in STATE_TABLES}
    after = {name: growing_shop.again[name] for name in STATE_TABLES}
    assert differences(before, after) == []


def test_a_compile_leaves_everything_as_it_was(growing_shop):
    assert differences(growing_shop.again, growing_shop.after_compile) == []


def test_an_empty_build_leaves_all_state_as_it_was(growing_shop):
    before = {name: growing_shop.again[name] for name in STATE_TABLES}
    after = {name: growing_shop.after_empty_build[name] for name in STATE_TABLES}
    assert {
        name: len(rows) for name, rows in before.items() if rows.empty and name not in EMPTY_HERE
    } == {}
    assert differences(before, after) == []


# ---- learning and scoring apart ------------------------------------------------------------------

#: What no build without fits may touch.
FITTED = [
    "int_coterie__feature_bins",
    "int_coterie__nbd_parameters",
    "int_coterie__propensity_weights",
    "int_coterie__propensity_backtests",
    "int_coterie__backtest_intervals",
    "int_coterie__segment_centers",
    "int_coterie__interest_topics",
]


def scored(snapshot):
    rows = snapshot["coterie__customer_predictions"]
    return rows[rows["score_status"] == "scored"]


@pytest.fixture(scope="module")
def first_version(as_time_goes_by):
    """Return the version of the first build, which is published in some way."""
    versions = purchase_versions(as_time_goes_by.first)
    assert len(versions) == 1
    assert versions["gate_status"].iloc[0] in {"published", "provisional"}
    assert versions["fitted_as_of"].iloc[0] == pd.Timestamp(FIRST_FIT)
    return versions["model_version"].iloc[0]


@pytest.mark.matrix
def test_a_build_without_fits_scores_a_new_day_by_the_old_version(as_time_goes_by, first_version):
    before = {name: as_time_goes_by.first[name] for name in FITTED}
    after = {name: as_time_goes_by.scored_only[name] for name in FITTED}
    assert differences(before, after) == []
    versions = purchase_versions(as_time_goes_by.scored_only)
    assert versions["model_version"].tolist() == [first_version]
    assert versions["is_champion"].all()
    then, now = scored(as_time_goes_by.first), scored(as_time_goes_by.scored_only)
    assert set(now["model_version"]) == {first_version}
    assert set(now["as_of_date"]) == {pd.Timestamp(LATER)}
    # The customers have moved on: who bought lately then is scored lower now.
    both = then.merge(now, on="customer_id", suffixes=("", "_now"))
    assert len(both) > 1000
    assert (both["probability"] != both["probability_now"]).mean() > 0.5


@pytest.mark.matrix
def test_a_later_build_learns_anew_and_says_how_it_stands(as_time_goes_by, first_version):
    versions = purchase_versions(as_time_goes_by.refitted).set_index("fitted_as_of").sort_index()
    assert versions.index.tolist() == [pd.Timestamp(FIRST_FIT), pd.Timestamp(LATER)]
    old, new = versions.loc[FIRST_FIT], versions.loc[LATER]
    assert old["model_version"] == first_version != new["model_version"]
    assert new["last_origin"] > old["last_origin"]
    assert (old["is_newest"], new["is_newest"]) == (False, True)
    assert versions["is_champion"].sum() == 1
    champion = versions[versions["is_champion"]].iloc[0]
    assert champion["gate_status"] in {"published", "provisional"}
    assert set(scored(as_time_goes_by.refitted)["model_version"]) == {champion["model_version"]}
    assert versions[["gate_reason", "champion_reason"]].map(is_sentence).all(axis=None)
    if new["is_champion"]:
        assert "newest version" in new["champion_reason"]
        assert (
            old["champion_reason"] == f"Replaced by the version {new['model_version']} of {LATER}."
        )
    else:
        assert "stay published" in old["champion_reason"]
        assert f"{old['model_version']} of {FIRST_FIT} stays" in new["champion_reason"]
    # What the old version was judged on stands.
    was = purchase_versions(as_time_goes_by.first).iloc[0]
    assert old["gate_reason"] == was["gate_reason"]


def is_sentence(text):
    """Whether a text reads as a sentence, but for codes in brackets."""
    plain = re.sub(r" \(\w+\)", "", text)
    gaps = ("None", "null", "nan", "_", "  ")
    return plain[0].isupper() and plain[-1] == "." and not any(gap in plain for gap in gaps)


@pytest.mark.matrix
def test_versions_that_have_grown_old_are_withheld(as_time_goes_by, first_version):
    versions = purchase_versions(as_time_goes_by.grown_old)
    assert first_version in set(versions["model_version"])
    ages = (pd.Timestamp(MUCH_LATER) - versions["fitted_as_of"]).dt.days
    assert (ages > 60).all()
    assert versions["gate_status"].tolist() == ["stale"] * 2
    assert not versions["is_champion"].any()
    for age, reason in zip(ages, versions["gate_reason"], strict=True):
        assert is_sentence(reason)
        assert f"Fitted {age} days before the date" in reason
        assert "trusted for 60 days" in reason
        assert "Build with fits again" in reason
    for reason in versions["champion_reason"]:
        assert is_sentence(reason)
        assert "Not published (stale)" in reason
    predictions = as_time_goes_by.grown_old["coterie__customer_predictions"]
    assert predictions["probability"].isna().all()
    assert set(predictions["score_status"]) == {"withheld", "not_eligible"}
    customers = as_time_goes_by.grown_old["coterie__customers"]
    assert set(customers["purchase_score_status_30d"]) == {"withheld", "not_eligible"}
