"""A generated shop of 20,000 customers: published probabilities are the planted ones."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from scenarios import WITHOUT_TESTS

pytestmark = pytest.mark.matrix

CUSTOMER_COUNT = 20_000


@pytest.fixture(scope="module")
def published(new_host, tmp_path_factory) -> pd.DataFrame:
    """Return each scored customer's published and planted probability of an order in 30 days."""
    files = tmp_path_factory.mktemp("planted")
    subprocess.run(
        [
            *(sys.executable, "-m", "coterie.demo", "--customers", str(CUSTOMER_COUNT)),
            *("--processes", "2", "--out", str(files)),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=600,
    )
    host = new_host("benchmark")
    host.environment |= {"COTERIE_BENCH_DATA": str(files)}
    host.dbt("build", "-s", "+coterie__customer_predictions", *WITHOUT_TESTS, timeout=1800)
    scored = host.query(
        "select customer_id, probability from {coterie__customer_predictions} "
        "where prediction_name = 'purchase_30d' and score_status = 'scored'"
    )
    truth = pd.read_parquet(files / "truth.parquet")
    both = scored.merge(truth, on="customer_id", validate="one_to_one")
    # The faulty rows name some customers who do not exist.
    assert len(both) > 0.98 * len(scored) > 0.3 * CUSTOMER_COUNT
    return both


@pytest.fixture(scope="module")
def gaps(published) -> pd.Series:
    """Return by how much each tenth of the customers is predicted too high."""
    decile = pd.qcut(published["probability"].rank(method="first"), 10, labels=range(1, 11))
    means = published.groupby(decile, observed=True)[
        ["probability", "true_purchase_probability_30d"]
    ].mean()
    means.columns = ["published", "planted"]
    # Read with `pytest -rP`.
    print(means.round(4).to_string())
    assert len(means) == 10
    return means["published"] - means["planted"]


def test_in_each_decile_the_published_rate_is_the_planted_one(gaps):
    assert gaps.abs().max() <= 0.03


def test_customers_are_ranked_as_planted(published):
    planted = published["true_purchase_probability_30d"]
    assert published["probability"].corr(planted, method="spearman") > 0.8
