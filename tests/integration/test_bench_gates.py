import sys

import pytest
from harness import REPOSITORY

BENCH = REPOSITORY / "bench"


@pytest.mark.matrix
def test_the_gate_opens_for_a_sound_shop_and_not_for_shuffled_outcomes(tmp_path, monkeypatch):
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCH)
    try:
        import gates

        compiled = gates.compile_gate(tmp_path)
        gate = gates.Gate(compiled)
        judged = gates.judge_shop(1000, 6, gate, compiled)
    finally:
        for name in {"common", "gates"} & (set(sys.modules) - before):
            del sys.modules[name]

    sound, shuffled, inflated, overconfident = judged
    for shop in judged:
        # What other rules would do is told by figures that give the verdict of the SQL.
        passed = shop["gate_status"] in gates.PASSED
        assert gates.passes(shop, compiled["gates"]) == passed == (not shop["failed"])
    assert sound["gate_status"] == "published"
    assert sound["failed"] == []
    assert sound["test_origin_count"] == 4
    assert sound["gain_over_rfm_cell"] > sound["gain_over_rfm_cell_lower"] > 0
    assert shuffled["gate_status"] == "worse_than_baseline"
    assert shuffled["positive_count"] == sound["positive_count"]
    assert shuffled["roc_auc"] == pytest.approx(0.5, abs=0.06)
    assert {"better than base_rate", "better than rfm_cell"} & set(shuffled["failed"])
    assert overconfident["roc_auc"] == pytest.approx(sound["roc_auc"])
    assert inflated["gate_status"] not in gates.PASSED
    assert "predicted not too many" in inflated["failed"]
    assert inflated["predicted_over_observed"] == pytest.approx(
        1.5 * sound["predicted_over_observed"], rel=0.03
    )
