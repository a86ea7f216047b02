"""What builds leave behind for the next one: a shop that grows, repeats and dry runs."""

from harness import STATE_TABLES, differences


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
    assert {name: len(rows) for name, rows in before.items() if rows.empty} == {}
    assert differences(before, after) == []
