"""The example for Dagster builds a host's models, and its tests become checks of its assets."""

from __future__ import annotations

import os

import pytest
from harness import REPOSITORY, run_command

#: A Python with the packages of examples/dagster/requirements.txt and this library.
PYTHON = os.environ.get("COTERIE_DAGSTER_PYTHON", "")

SCRIPT = """
from dagster import materialize
from dagster_dbt import build_dbt_asset_selection
from definitions import coterie_daily, defs, shop_assets

assert [schedule.job_name for schedule in defs.schedules] == [coterie_daily.name]
result = materialize(
    [shop_assets],
    selection=build_dbt_asset_selection([shop_assets], dbt_select="int_coterie__customers"),
    resources=defs.resources,
)
assert result.success
print("materialized", len(result.get_asset_materialization_events()))
print("checked", len([c for c in result.get_asset_check_evaluations() if c.passed]))
"""


@pytest.mark.matrix
@pytest.mark.skipif(not PYTHON, reason="COTERIE_DAGSTER_PYTHON names no Python with Dagster")
def test_assets_are_built_and_checked(shape_jaffle_shop, tmp_path):
    project = shape_jaffle_shop.project
    done = run_command(
        [PYTHON, "-c", SCRIPT],
        cwd=REPOSITORY / "examples" / "dagster",
        environment=os.environ
        | {
            "COTERIE_DBT_PROJECT": str(project),
            "DAGSTER_HOME": str(tmp_path),
            "DO_NOT_TRACK": "1",
            "PATH": f"{os.path.dirname(PYTHON)}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY / "src"),
        },
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "materialized 1" in done.stdout
    assert "checked " in done.stdout
    assert "checked 0" not in done.stdout
