import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from coterie.additive import AdditiveClassifier
from coterie.drift import check_drift, drifting_features, stability_index

NAMES = ["stable", "level", "noise"]


def shop(count=4000, does_drift=True, seed=0):
    """A level that moves with time and tells the rate of the early months, not the order later."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, 20, count))
    stable, noise = rng.normal(size=(2, count))
    level = rng.normal(size=count) + (0.5 * time if does_drift else 0)
    effect = np.where(time < 15, 1.0, -1.0) if does_drift else 1.0
    y = rng.random(count) < expit(stable + effect * (level - level.mean()) - 0.5)
    return np.column_stack([stable, level, noise]), y.astype(int), time


def test_what_moves_is_named_and_what_stays_is_not():
    X, y, time = shop()
    found = check_drift(X, y, time, features=NAMES)
    assert found.time_split_auc < found.random_split_auc - 0.05
    assert found.drifting_features == ["level"]
    assert next(iter(found.psi)) == "level"
    assert found.psi["level"] > 0.25 > found.psi["noise"]
    assert drifting_features(X, y, time, features=NAMES) == ["level"]


def test_nothing_is_named_where_later_rows_are_ranked_as_well():
    X, y, time = shop(does_drift=False)
    found = check_drift(X, y, time, features=NAMES)
    assert abs(found.time_split_auc - found.random_split_auc) < 0.05
    assert found.drifting_features == []
    X, y, time = shop()
    assert drifting_features(X, y, time, features=NAMES, max_auc_gap=0.9) == []


def test_row_order_changes_no_name_nor_split():
    X, y, time = shop()
    order = np.random.default_rng(1).permutation(len(y))
    found = check_drift(X, y, time, features=NAMES)
    other = check_drift(X[order], y[order], time[order], features=NAMES)
    assert other.time_split_auc == found.time_split_auc
    assert other.psi == found.psi
    assert other.drifting_features == found.drifting_features


def test_later_rows_are_whole_times():
    X, y, time = shop()
    seen = []

    class Spy(AdditiveClassifier):
        def fit(self, X, y, sample_weight=None):
            seen.append(len(y))
            return super().fit(X, y, sample_weight)

    check_drift(X, y, time, features=NAMES, estimator=Spy(parts="spline"), late_share=0.25)
    assert seen[0] == (time < 15).sum()
    seen.clear()
    late = np.where(time < 19, time, 30)
    check_drift(X, y, late, features=NAMES, estimator=Spy(parts="spline"), late_share=0.01)
    assert seen[0] == (time < 19).sum()


def test_the_stability_index_is_that_of_the_shares():
    X = np.array([[0.0]] * 80 + [[1.0]] * 20)
    later = np.array([[0.0]] * 50 + [[1.0]] * 40 + [[np.nan]] * 10)
    expected = -0.3 * np.log(0.5 / 0.8) + 0.2 * np.log(0.4 / 0.2)
    expected += (0.1 - 1e-4) * np.log(0.1 / 1e-4)
    np.testing.assert_allclose(stability_index(X, later), [expected])
    np.testing.assert_array_equal(stability_index(X, X), [0.0])


def test_splits_that_cannot_be_are_refused():
    X, y, time = shop()
    with pytest.raises(ValueError, match="all rows are of one time"):
        check_drift(X, y, np.zeros(len(y)), features=NAMES)
    with pytest.raises(ValueError, match="later rows have one class only"):
        check_drift(X, np.where(time < 15, y, 0), time, features=NAMES)


@pytest.mark.real_data
def test_the_economy_moves_under_a_banks_campaigns():
    folder = os.environ.get("COTERIE_REAL_DATA")
    if not folder:
        pytest.skip("COTERIE_REAL_DATA does not name the folder of the public data sets")
    path = Path(folder) / "bank_marketing" / "bank_additional_full.parquet"
    rows = pd.read_parquet(path).drop(columns="duration")
    y = rows.pop("y").to_numpy(int)
    X = rows.apply(
        lambda column: (
            column
            if pd.api.types.is_numeric_dtype(column)
            else pd.Series(pd.factorize(column, sort=True)[0], index=column.index)
        )
    ).to_numpy(float)
    # Boosting follows what moves; the splines hold on to what does not.
    found = check_drift(
        X,
        y,
        np.arange(len(y)),
        features=list(rows.columns),
        estimator=AdditiveClassifier(parts="boosting"),
    )
    assert found.time_split_auc < found.random_split_auc - 0.05
    assert {"euribor3m", "emp.var.rate", "nr.employed"} <= set(found.drifting_features)
    assert not {"age", "job", "housing", "loan"} & set(found.drifting_features)
