"""The semantic layer in other people's projects; its numbers are tested on the demo."""

from __future__ import annotations

import pytest
from harness import Host


def own_names(host: Host, kind: str) -> list[str]:
    """Return the names of the package's metrics, semantic models or exposures in a host."""
    found = host.manifest[kind].values()
    return sorted(node["name"] for node in found if node["package_name"] == "coterie")


def time_spines(host: Host) -> list[str]:
    return [node for node, model in host.manifest["nodes"].items() if model.get("time_spine")]


def test_nothing_is_added_to_a_project_that_does_not_ask(odd_names):
    for kind in ("metrics", "semantic_models", "exposures"):
        assert own_names(odd_names, kind) == []
    assert time_spines(odd_names) == []


@pytest.mark.matrix
def test_one_var_adds_models_metrics_and_a_calendar(new_host):
    host = new_host("odd_names")
    host.variables |= {"coterie__semantic_layer_enabled": True}
    host.dbt("--warn-error", "parse")
    assert len(own_names(host, "semantic_models")) == 7
    assert len(own_names(host, "metrics")) >= 20
    assert own_names(host, "exposures") == ["coterie_crm_sync", "coterie_report"]
    assert time_spines(host) == ["model.coterie.coterie__time_spine"]
    assert host.node("coterie__time_spine")["schema"] == "main_coterie_semantic"


@pytest.mark.matrix
def test_a_project_with_a_calendar_keeps_its_own(new_host):
    host = new_host("own_schemas")
    host.variables |= {
        "coterie__semantic_layer_enabled": True,
        "coterie__time_spine_enabled": False,
    }
    host.dbt("--warn-error", "parse")
    assert time_spines(host) == ["model.own_schemas.metricflow_time_spine"]
    assert own_names(host, "metrics")


@pytest.mark.matrix
def test_a_topic_that_is_off_has_no_metrics(new_host):
    host = new_host("bare_shop")
    topics = ("segmentation", "lifetime_value", "propensity")
    host.variables |= {f"coterie__{topic}_enabled": False for topic in topics}
    host.variables |= {"coterie__semantic_layer_enabled": True}
    host.dbt("--warn-error", "parse")
    assert "coterie_model_roc_auc" not in own_names(host, "metrics")
    assert "coterie_customers" in own_names(host, "metrics")
    assert own_names(host, "exposures") == ["coterie_crm_sync"]
