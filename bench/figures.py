"""Draw the figures of docs/segments.md and docs/report.md from a demo shop built for two dates.

    python bench/figures.py --database FOLDER/demo.duckdb

Where the file does not exist, the demo shop is built in it first, as of 2025-09-01 and then as of
2025-10-01, so that there are movements to draw.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common import REPOSITORY

from coterie import charts
from coterie.report import gather
from coterie.report.content import MEASURES, PREDICTION_METRICS, SEGMENTATION_TITLES, Z_LABELS
from coterie.report.pages import DRAWN
from coterie.warehouse import open_marts

FIGURES = REPOSITORY / "docs" / "figures"
DATES = ("2025-09-01", "2025-10-01")


def build(database: Path) -> None:
    """Build the demo shop for both dates, one after the other."""
    database.parent.mkdir(parents=True, exist_ok=True)
    for date in DATES:
        subprocess.run(
            [
                *(sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--quiet", "build"),
                *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
                *("--vars", json.dumps({"coterie__as_of_date": date})),
                *("--target-path", str(database.parent / "target")),
            ],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "COTERIE_DATABASE": str(database.resolve()),
                "DBT_PROFILES_DIR": str(REPOSITORY),
                "DO_NOT_TRACK": "1",
            },
            check=True,
        )


def figures(database: Path) -> dict[str, str]:
    """Give each figure's name and SVG."""
    with open_marts(database) as marts:
        content = gather(marts)
    drawn = {}
    for one in content.segmentations:
        shown = one.profiles[~one.profiles["is_suppressed"].astype(bool)]
        shown = shown.nlargest(12, "customer_count", keep="first").sort_index()
        title = SEGMENTATION_TITLES.get(one.name, one.name)
        drawn[f"segments_{one.name}_sizes"] = charts.segment_sizes(
            shown, title=f"{title}: size and revenue"
        )
        drawn[f"segments_{one.name}_profile"] = charts.profile_heat_map(
            shown, Z_LABELS, title=f"{title}: what sets them apart"
        )
        if len(one.migrations):
            drawn[f"segments_{one.name}_movements"] = charts.migration_matrix(
                one.migrations, one.sizes_before, title=f"{title}: movements in a month"
            )
    model = next(model for model in content.prediction_models if model.name == "purchase_30d")
    metrics = model.metrics[model.metrics["metric_name"].isin(DRAWN)]
    labels = {name: words for name, words in PREDICTION_METRICS.items() if name in DRAWN}
    drawn["report_metrics"] = charts.metric_intervals(
        metrics, labels, title="purchase_30d: beside its baselines"
    )
    drawn["report_calibration"] = charts.calibration_curve(
        model.calibration, title="purchase_30d: calibration"
    )
    drawn["report_concentration"] = charts.value_concentration(
        content.concentration_frame, MEASURES
    )
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", type=Path, required=True, help="the DuckDB file")
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder of the figures")
    given = parser.parse_args(arguments)
    if not given.database.exists():
        build(given.database)
    given.out.mkdir(parents=True, exist_ok=True)
    for name, svg in figures(given.database).items():
        (given.out / f"{name}.svg").write_text(svg, encoding="utf-8")
        print(f"{name}.svg  {len(svg.encode()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
