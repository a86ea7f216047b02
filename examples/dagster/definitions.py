"""Run Coterie every morning: each model is an asset, each test a check of its asset.

The environment variable COTERIE_DBT_PROJECT names the folder of the dbt project that installs the
package; without it this repository's own demo is built.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from dagster import AssetExecutionContext, Definitions, ScheduleDefinition, define_asset_job
from dagster_dbt import DbtCliResource, DbtProject, build_dbt_asset_selection, dbt_assets

PROJECT = Path(os.environ.get("COTERIE_DBT_PROJECT", Path(__file__).resolve().parents[2]))

project = DbtProject(project_dir=PROJECT, profiles_dir=os.environ.get("DBT_PROFILES_DIR", PROJECT))
# Parses where there is no manifest yet; a deployment brings its own.
project.prepare_if_dev()
if not project.manifest_path.exists():
    DbtCliResource(project_dir=project).cli(["parse"], target_path=project.target_path).wait()


@dbt_assets(manifest=project.manifest_path, project=project, exclude="resource_type:unit_test")
def shop_assets(context: AssetExecutionContext, dbt: DbtCliResource) -> Iterator:
    """Build what was asked for: in one run of dbt, in its order and with its threads."""
    yield from dbt.cli(["build"], context=context).stream()


coterie_daily = define_asset_job(
    "coterie_daily",
    # With what the package reads. All of it is one run of dbt, because DuckDB has one writer.
    selection=build_dbt_asset_selection([shop_assets], dbt_select="package:coterie").upstream(),
)

defs = Definitions(
    assets=[shop_assets],
    jobs=[coterie_daily],
    schedules=[
        ScheduleDefinition(job=coterie_daily, cron_schedule="30 5 * * *", execution_timezone="UTC")
    ],
    resources={"dbt": DbtCliResource(project_dir=project)},
)
