import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.utils.estimator_checks import parametrize_with_checks

from coterie.binning import (
    FEATURE_BINS_SCHEMA,
    FeatureBinner,
    bin_set_edges,
    fit_feature_bins,
    newest_bin_set,
)

DAY = datetime.date(2024, 3, 31)
SETTINGS = {
    "features": ["a", "b"],
    "n_bins": 8,
    "settings_hash": "s",
    "refit_interval_days": 30,
    "is_empty": "False",
}
columns = arrays(
    np.float64,
    st.integers(1, 200),
    elements=st.one_of(st.floats(), st.integers(0, 5).map(float), st.just(np.nan)),
)


@parametrize_with_checks([FeatureBinner()])
def test_the_binner_is_a_scikit_learn_transformer(estimator, check):
    check(estimator)


def bin_of(values, n_bins=32):
    column = np.array(values, dtype=float)[:, np.newaxis]
    binner = FeatureBinner(n_bins=n_bins).fit(column)
    return binner.bin_edges_[0], binner.transform(column)[:, 0]


def test_few_distinct_values_get_one_bin_each_with_edges_between_them():
    edges, bins = bin_of([1, 2, 2, 4, np.nan])
    assert edges.tolist() == [1.5, 3.0]
    assert bins.tolist() == [1, 2, 2, 3, 0]


def test_many_values_share_the_bins_evenly():
    edges, bins = bin_of(np.arange(1000), n_bins=10)
    assert np.bincount(bins).tolist() == [0] + [100] * 10
    assert edges[0] == 99.5


def test_a_heavy_value_gets_its_own_bin_and_costs_the_others_none():
    rng = np.random.default_rng(0)
    tail = rng.lognormal(size=3000)
    edges, bins = bin_of(np.concatenate([np.zeros(7000), tail]))
    shares = np.bincount(bins)[2:] / len(tail)
    assert len(edges) == 31
    assert (bins[:7000] == 1).all()
    assert (bins[7000:] > 1).all()
    assert shares.min() > 0.9 / 31
    assert shares.max() < 1.1 / 31


def test_heavy_values_inside_and_at_the_end_stand_alone():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(0, 9, 2000), np.full(4000, 5.0), np.full(4000, 9.0)])
    edges, bins = bin_of(values, n_bins=16)
    assert len(edges) <= 15
    assert len(np.unique(values[bins == bins[2000]])) == 1
    assert len(np.unique(values[bins == bins[-1]])) == 1
    assert len(edges) >= 12


def test_values_that_agree_in_twelve_digits_share_a_bin():
    edges, bins = bin_of([1.0, 1.0 + 1e-15, 2.0])
    assert len(edges) == 1
    assert bins.tolist() == [1, 1, 2]


def test_missing_is_bin_0_and_infinities_fall_into_the_outer_bins():
    binner = FeatureBinner(n_bins=4).fit(np.arange(100.0)[:, np.newaxis])
    assert binner.transform([[np.nan], [-np.inf], [np.inf]])[:, 0].tolist() == [0, 1, 4]


def test_a_column_without_values_has_no_edges():
    edges, bins = bin_of([np.nan, np.nan])
    assert edges.tolist() == []
    assert bins.tolist() == [0, 0]


@pytest.mark.parametrize("n_bins", [1, 255])
def test_a_number_of_bins_out_of_range_is_refused(n_bins):
    with pytest.raises(ValueError, match="n_bins"):
        FeatureBinner(n_bins=n_bins).fit([[1.0], [2.0]])


@settings(max_examples=60, deadline=None)
@given(columns, st.integers(2, 40))
def test_bins_are_monotone_bounded_and_independent_of_row_order(values, n_bins):
    edges, bins = bin_of(values, n_bins)
    present = ~np.isnan(values)
    assert (bins[~present] == 0).all()
    assert ((bins[present] >= 1) & (bins[present] <= n_bins)).all()
    order = np.argsort(values[present])
    assert (np.diff(bins[present][order]) >= 0).all()
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    np.testing.assert_array_equal(edges, bin_of(values[::-1], n_bins)[0])
    np.testing.assert_array_equal(edges, bin_of(np.repeat(values, 2), n_bins)[0])
    counted = 1 + (values[:, np.newaxis] > edges).sum(axis=1)
    np.testing.assert_array_equal(bins, np.where(present, counted, 0))


def training_rows(count=300, seed=0):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "as_of_date": [DAY - datetime.timedelta(days=30 * (1 + i % 3)) for i in range(count)],
            "customer_id": [f"c{i // 3}" for i in range(count)],
            "a": pa.array(
                [decimal.Decimal(int(v)) / 4 for v in rng.integers(0, 99, count)],
                pa.decimal128(18, 2),
            ),
            "b": pa.array([None if v < 3 else int(v) for v in rng.integers(0, 9, count)]),
        }
    )


def fit(rows, stored=None, as_of_date=DAY, **changed):
    return fit_feature_bins(rows, stored, as_of_date=as_of_date, settings={**SETTINGS, **changed})


def test_a_bin_set_has_a_row_for_each_feature_and_bin():
    bins = fit(training_rows())
    assert bins.schema == FEATURE_BINS_SCHEMA
    assert set(bins["training_row_count"].to_pylist()) == {300}
    assert len(set(bins["bin_set_id"].to_pylist())) == 1
    for feature in ("a", "b"):
        rows = bins.filter(pc.equal(bins["feature"], feature))
        assert rows["bin"].to_pylist() == list(range(rows.num_rows))
        assert rows["upper_edge"][0].as_py() is None
        assert rows["upper_edge"][-1].as_py() == np.inf
        assert sum(rows["training_share"].to_pylist()) == pytest.approx(1, abs=1e-9)
    rows = training_rows()
    binner = FeatureBinner(n_bins=8).fit(rows["a"].cast(pa.float64()).to_numpy()[:, np.newaxis])
    np.testing.assert_array_equal(bin_set_edges(bins, ["a"])[0], binner.bin_edges_[0])


def test_row_order_and_one_row_per_model_change_nothing():
    rows = training_rows()
    shuffled = rows.take(np.random.default_rng(1).permutation(rows.num_rows))
    assert fit(shuffled).equals(fit(rows))
    assert fit(pa.concat_tables([rows, shuffled])).equals(fit(rows))


def test_an_all_null_column_has_bin_0_and_an_empty_bin_1():
    rows = training_rows().drop_columns("b").append_column("b", pa.nulls(300))
    bins = fit(rows)
    b = bins.filter(pc.equal(bins["feature"], "b")).select(["bin", "upper_edge", "training_share"])
    assert b.to_pylist() == [
        {"bin": 0, "upper_edge": None, "training_share": 1.0},
        {"bin": 1, "upper_edge": np.inf, "training_share": 0.0},
    ]


def test_nothing_to_fit_gives_the_empty_typed_table():
    rows = training_rows()
    for bins in (
        fit(rows.slice(0, 0)),
        fit(rows, as_of_date=None),
        fit(rows, is_empty="True"),
        fit(rows, is_empty=True),
        fit(rows, stored=fit(rows)),
    ):
        assert bins.schema == FEATURE_BINS_SCHEMA
        assert bins.num_rows == 0


@pytest.mark.parametrize(
    ("days_later", "row_count", "settings_hash", "is_due"),
    [
        (0, 300, "s", False),
        (29, 300, "s", False),
        (30, 300, "s", True),
        (1, 599, "s", False),
        (1, 600, "s", True),
        (0, 600, "s", True),
        (-1, 900, "s", False),
        (-400, 300, "s", False),
        (0, 300, "new", True),
        (-400, 300, "new", True),
    ],
)
def test_bins_are_due_by_settings_age_or_doubled_rows(days_later, row_count, settings_hash, is_due):
    stored = fit(training_rows())
    later = DAY + datetime.timedelta(days=days_later)
    bins = fit(training_rows(row_count), stored, later, settings_hash=settings_hash)
    assert (bins.num_rows > 0) is is_due


def test_the_newest_bin_set_by_a_date_is_the_larger_one_of_its_day():
    first = fit(training_rows())
    second = fit(training_rows(600), first)
    stored = pa.concat_tables([second, first])
    newest = newest_bin_set(stored, settings_hash="s", as_of_date=DAY)
    assert newest["bin_set_id"][0] == second["bin_set_id"][0]
    assert newest.num_rows == second.num_rows
    before = DAY - datetime.timedelta(days=1)
    assert newest_bin_set(stored, settings_hash="s", as_of_date=before) is None
    assert newest_bin_set(stored, settings_hash="other", as_of_date=DAY) is None


def test_missing_columns_and_incomplete_bins_are_named():
    with pytest.raises(ValueError, match="no column b"):
        fit(training_rows().drop_columns("b"))
    bins = fit(training_rows())
    with pytest.raises(ValueError, match="bins of feature a"):
        bin_set_edges(bins.filter(pc.not_equal(bins["bin"], 2)), ["a"])
    with pytest.raises(ValueError, match="bins of feature c"):
        bin_set_edges(bins, ["c"])


def test_a_weight_is_a_number_of_equal_rows():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=500), rng.poisson(1.0, 500)])
    weight = rng.integers(0, 4, 500)
    weighted = FeatureBinner(n_bins=8).fit(X, sample_weight=weight).bin_edges_
    repeated = FeatureBinner(n_bins=8).fit(np.repeat(X, weight, axis=0)).bin_edges_
    plain = FeatureBinner(n_bins=8).fit(X).bin_edges_
    for left, right in zip(weighted, repeated, strict=True):
        np.testing.assert_array_equal(left, right)
    assert weighted[0].tolist() != plain[0].tolist()
    tenth = FeatureBinner(n_bins=8).fit(X, sample_weight=weight / 10).bin_edges_
    assert [len(edges) for edges in tenth] == [len(edges) for edges in weighted]


@pytest.mark.parametrize("weight", [[1.0], [-1.0, 1.0], [0.0, 0.0], [np.inf, 1.0]])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(ValueError, match="sample_weight"):
        FeatureBinner().fit([[0.0], [1.0]], sample_weight=weight)
