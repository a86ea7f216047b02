"""The two halves of the package are of one version."""

import re
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

import coterie
from coterie.runs import read_run

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_dbt_package_and_the_library_are_of_one_version():
    project = yaml.safe_load((REPOSITORY / "dbt_project.yml").read_text())
    library = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    macro = (REPOSITORY / "macros/settings/package_version.sql").read_text()
    assert project["version"] == library["project"]["version"] == coterie.__version__
    assert re.search(r'return\("(.+?)"\)', macro).group(1) == coterie.__version__


def test_the_changelog_has_an_entry_for_this_version():
    assert f"\n## {coterie.__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_pinned_requirements_carry_hashes_and_no_addresses():
    text = (REPOSITORY / "requirements.txt").read_text()
    assert "://" not in text
    pins = re.findall(r"^([a-z0-9][^ \n]*)==\S+(.*)$", text, flags=re.MULTILINE)
    assert len(pins) > 50
    assert text.count("--hash=sha256:") >= len(pins)


AS_OF_COLUMNS = ["as_of_date", "data_through", "first_ordered_on"]


def _fit_settings(version):
    return pa.table(
        {
            "topic": ["feature_bins", "lifetime_value", "propensity"],
            "settings_text": ['{"n_bins": 32}', '{"family": "mbg_nbd"}', '{"learning_rate": 0.05}'],
            "settings_hash": ["bins", "purchases", "learner"],
            "refit_interval_days": [30] * 3,
            "is_empty": [False] * 3,
            "package_version": [version] * 3,
        }
    )


def test_a_run_is_read_from_its_two_tables():
    dates = pa.array([19000], pa.date32())
    as_of = pa.table(dict.fromkeys(AS_OF_COLUMNS, dates))
    date, settings = read_run(_fit_settings(coterie.__version__), as_of, topic="propensity")
    assert date.isoformat() == "2022-01-08"
    assert settings == {
        "learning_rate": 0.05,
        "settings_hash": "learner",
        "bin_settings_hash": "bins",
        "parameters_settings_hash": "purchases",
        "refit_interval_days": 30,
        "is_empty": False,
        "data_through": date,
        "first_ordered_on": date,
    }


def test_a_library_of_another_version_is_refused_with_the_remedy():
    dates = pa.array([], pa.date32())
    as_of = pa.table(dict.fromkeys(AS_OF_COLUMNS, dates))
    with pytest.raises(ValueError, match=r"pip install coterie==9\.9\.9"):
        read_run(_fit_settings("9.9.9"), as_of, topic="propensity")


def test_without_settings_nothing_is_fitted():
    dates = pa.array([], pa.date32())
    as_of = pa.table(dict.fromkeys(AS_OF_COLUMNS, dates))
    empty = _fit_settings(coterie.__version__).slice(0, 0)
    assert read_run(empty, as_of, topic="propensity") == (None, {"is_empty": True})
