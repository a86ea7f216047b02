import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(autouse=True)
def _bench_modules(monkeypatch):
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCH)
    yield
    # Their names are too plain to stay among those of other tests.
    for name in {"common", "compare_features", "learning_curve", "nbd", "run"} & (
        set(sys.modules) - before
    ):
        del sys.modules[name]


def test_growth_is_the_exponent_between_the_smallest_and_the_largest_size():
    from run import growth

    assert growth([100, 1_000, 10_000], [1.0, 5.0, 100.0]) == "1.00"
    assert growth([100, 10_000], [1.0, 10.0]) == "0.50"
    assert growth([100, 10_000], [None, 10.0]) == ""
    assert growth([100, 10_000], [0.001, 0.1], 0.2) == ""


def test_models_are_found_from_raw_rows_to_features():
    from run import ancestors, reads_raw

    def node(path, *parents):
        return {"original_file_path": path, "depends_on": {"nodes": [*parents]}}

    nodes = {
        "staging": node("models/staging/a.sql", "source"),
        "checked": node("models/intermediate/inputs/b.sql", "staging"),
        "features": node("models/intermediate/features/c.sql", "checked"),
        "mart": node("models/marts/d.sql", "features"),
    }

    assert ancestors(nodes, "features") == {"staging", "checked", "features"}
    assert [name for name in nodes if reads_raw(nodes, nodes[name])] == ["staging", "checked"]


def test_text_replaces_only_what_stands_between_its_marks(tmp_path):
    from common import write_between_marks

    page = tmp_path / "page.md"
    marks = "<!-- {0}: written by bench -->\nold {0}\n<!-- {0}: end -->\n"
    page.write_text("before\n" + marks.format("one") + "middle\n" + marks.format("two"))

    write_between_marks(page, "one", r"new \1")
    words = page.read_text()
    assert r"new \1" in words
    assert "old one" not in words
    assert all(kept in words for kept in ("before", "middle", "old two"))

    with pytest.raises(ValueError, match="lacks the marks"):
        write_between_marks(page, "three", "new")


def test_weighted_auc_is_that_of_scikit_learn():
    from learning_curve import weighted_auc

    generator = np.random.default_rng(1)
    y = generator.integers(0, 2, 300).astype(float)
    score = np.round(generator.normal(size=300) + y, 1)
    weight = generator.integers(0, 4, 300).astype(float)
    order = np.argsort(score, kind="stable")
    ties = np.cumsum(np.r_[0, np.diff(score[order]) > 0])

    found = weighted_auc(order, ties, y, weight)
    assert found == pytest.approx(roc_auc_score(y, score, sample_weight=weight))


def test_simulated_customers_are_possible_and_the_same_for_a_seed():
    from nbd import in_weeks, simulate

    customers = simulate(2000, seed=3)
    np.testing.assert_array_equal(customers, simulate(2000, seed=3))
    assert (customers != simulate(2000, seed=4)).any()
    for x, t_x, age in (customers.T, in_weeks(customers).T):
        assert ((t_x > 0) == (x > 0)).all()
        assert (t_x <= age).all()
    np.testing.assert_allclose(customers[:, 1:] * 7, np.round(customers[:, 1:] * 7), atol=1e-9)
    assert 0.2 < (customers[:, 0] > 0).mean() < 0.6


def test_a_benchmark_of_states_says_what_was_reached():
    from nbd import gap, targets

    one = {"parameters": {"r": 1.0, "alpha": 10.0, "a": 1.0, "b": 2.0}}
    other = {"parameters": {"r": 1.0, "alpha": 10.5, "a": 1.0, "b": 2.0}, "cpu_seconds": 9.0}
    assert gap(other, one) == pytest.approx(0.05)
    states = {**one, "cpu_seconds": 1.0, "peak_extra_bytes": 50e6}
    found = targets({"states": states, "days": other, "lifetimes": other})
    assert {name: is_met for name, (_, _, is_met) in found.items()} == {
        "CPU seconds of the states": True,
        "extra MB of the states": True,
        "parameters, states to customers": False,
        "times faster than lifetimes": False,
    }
    assert "times faster than lifetimes" not in targets({"states": states, "days": other})
