import datetime
import functools
import os
import pathlib
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from coterie.segmentation import (
    SEGMENTS_SCHEMA,
    CustomerSegmenter,
    bootstrap_agreement,
    elbow,
    fit_segments,
    fitting,
    segment_description,
    segment_names,
    signed_log1p,
)

DAY = datetime.date(2024, 1, 1)


@pytest.fixture(autouse=True)
def _few_refits(monkeypatch):
    """How stable a fit is does not matter here; two refits in place of twenty save time."""
    few = functools.partial(bootstrap_agreement, refit_count=2)
    monkeypatch.setattr(fitting, "bootstrap_agreement", few)


RFM = ["days_since_last_order", "order_count_365d", "net_amount_365d"]
OF_RUN = {"code_version": "1", "refit_interval_days": "30", "is_empty": "False"}
# days, orders, net amount: loyal, slipping, recent one-time, lapsing one-time
KINDS = [(8, 20, 3000), (120, 9, 900), (15, 1, 60), (280, 1, 40)]


@parametrize_with_checks([CustomerSegmenter()])
def test_the_segmenter_is_a_scikit_learn_cluster_estimator(estimator, check):
    check(estimator)


def shop(count=400, seed=0, noise=0.1):
    """Four well-separated kinds of customers."""
    rng = np.random.default_rng(seed)
    kind = np.arange(count) % 4
    X = np.array(KINDS)[kind] * rng.lognormal(0, noise, (count, 3))
    X[:, :2] = np.maximum(1, X[:, :2].round())
    return X.round(2), kind


def random_shop(count=1500, seed=0):
    """A shop without clear groups."""
    rng = np.random.default_rng(seed)
    orders = 1 + rng.poisson(rng.gamma(0.6, 3, count))
    days = np.ceil(365 * rng.beta(1, 1 + orders / 3))
    return np.column_stack([days, orders, (orders * rng.lognormal(4, 0.8, count)).round(2)])


def test_separated_groups_are_found_and_ordered_by_the_last_feature():
    X, kind = shop()
    segmenter = CustomerSegmenter().fit(X)
    assert segmenter.n_clusters_ == 4
    np.testing.assert_array_equal(segmenter.labels_, kind)
    assert (np.diff(segmenter.cluster_centers_[:, 2]) < 0).all()
    np.testing.assert_array_equal(segmenter.predict(X), segmenter.labels_)


@pytest.mark.parametrize("make", [lambda: shop(noise=0.3)[0], random_shop])
def test_seed_threads_and_row_order_and_repeated_rows_change_nothing(make):
    X = make()
    order = np.random.default_rng(1).permutation(len(X))
    first = CustomerSegmenter().fit(X)
    for seed in range(1, 4):
        other = CustomerSegmenter(random_state=seed).fit(X)
        np.testing.assert_array_equal(other.cluster_centers_, first.cluster_centers_)
        np.testing.assert_array_equal(other.labels_, first.labels_)
    with threadpool_limits(2):
        shuffled = CustomerSegmenter().fit(X[order])
    np.testing.assert_array_equal(shuffled.cluster_centers_, first.cluster_centers_)
    np.testing.assert_array_equal(shuffled.labels_, first.labels_[order])
    assert shuffled.inertia_ == first.inertia_
    for times in (2, 3):
        repeated = CustomerSegmenter().fit(np.repeat(X, times, axis=0))
        np.testing.assert_array_equal(repeated.cluster_centers_, first.cluster_centers_)


def test_repeating_some_rows_leaves_the_codes_of_separable_data():
    X, _ = shop()
    first = CustomerSegmenter().fit(X)
    times = np.random.default_rng(0).integers(1, 4, len(X))
    repeated = CustomerSegmenter().fit(np.repeat(X, times, axis=0))
    np.testing.assert_array_equal(repeated.predict(X), first.labels_)


@settings(max_examples=30, deadline=None)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 25), st.integers(1, 3)),
        elements=st.one_of(st.integers(0, 3).map(float), st.floats(-1e6, 1e6)),
    ),
    st.sampled_from(["robust", "standard"]),
    st.sampled_from([1, 3, "auto"]),
)
def test_any_data_gives_used_segments_and_nearest_centers(X, scaling, n_clusters):
    segmenter = CustomerSegmenter(n_clusters, scaling=scaling, n_init=1).fit(X)
    distances = segmenter.transform(X)
    assert np.isfinite(segmenter.cluster_centers_).all()
    assert np.abs(segmenter.cluster_centers_).max() <= 3
    assert (segmenter.scale_ > 0).all()
    assert segmenter.n_clusters_ <= len(np.unique(X, axis=0))
    assert sorted(set(segmenter.labels_)) == list(range(segmenter.n_clusters_))
    np.testing.assert_array_equal(segmenter.labels_, distances.argmin(axis=1))
    np.testing.assert_allclose(segmenter.inertia_, (distances.min(axis=1) ** 2).sum(), atol=1e-9)


def test_scaling_is_log_median_and_quartiles_with_a_clip():
    X = np.expm1(np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [50.0], [2.0]]))
    segmenter = CustomerSegmenter(n_clusters=1, clip=2.0).fit(X)
    # Half of the sevenths of a value lie below it: 2 is at 3/7, 3 at 4.5/7, and 2 + 1/3 halfway.
    assert segmenter.location_[0] == pytest.approx(2 + 1 / 3)
    assert segmenter.scale_[0] == pytest.approx(3.75 - (1 + 1 / 6))
    scaled = (np.array([0, 1, 2, 2, 3, 4]) - 7 / 3) / (31 / 12)
    assert segmenter.cluster_centers_[0, 0] == pytest.approx(np.mean([*scaled, 2]))
    assert segmenter.transform(np.expm1([[7 / 3]]))[0, 0] == pytest.approx(
        abs(segmenter.cluster_centers_[0, 0])
    )
    standard = CustomerSegmenter(n_clusters=1, scaling="standard").fit(X)
    assert standard.location_[0] == pytest.approx(signed_log1p(X).mean())
    assert standard.scale_[0] == pytest.approx(signed_log1p(X).std())


def test_quartiles_of_a_count_do_not_jump_with_one_customer():
    orders = np.repeat([1.0, 2.0, 3.0], [50, 50, 100])
    scales = [
        CustomerSegmenter(n_clusters=1).fit(np.r_[orders, [extra]][:, np.newaxis]).scale_[0]
        for extra in (1.0, 3.0)
    ]
    assert scales[0] == pytest.approx(scales[1], rel=0.02)


def test_a_sparse_feature_is_scaled_without_its_zeros_alone_and_a_constant_by_1():
    X = np.column_stack([np.repeat([0.0, 5.0], [90, 10]), np.full(100, 7.0)])
    segmenter = CustomerSegmenter(n_clusters=2).fit(X)
    assert segmenter.scale_[0] == pytest.approx(np.log(6) * (0.75 - 0.45) / 0.5)
    assert segmenter.scale_[1] == 1
    assert np.bincount(segmenter.labels_).tolist() == [10, 90]


def test_fewer_distinct_rows_than_clusters_give_fewer_clusters():
    assert CustomerSegmenter().fit(np.ones((60, 2))).n_clusters_ == 1
    assert CustomerSegmenter(5).fit(np.repeat([[1.0], [2.0], [9.0]], 20, axis=0)).n_clusters_ == 3


def test_the_elbow_is_furthest_below_the_chord():
    assert elbow([100, 60, 20, 18, 16, 14, 12, 11, 10]) == 4
    assert elbow([5, 5, 5]) == 2
    assert elbow([5]) == 2
    assert elbow([]) == 2


def test_the_elbow_is_kept_within_its_bounds():
    X, _ = shop()
    assert CustomerSegmenter(min_clusters=5, max_clusters=7).fit(X).n_clusters_ == 5
    assert CustomerSegmenter(min_clusters=2, max_clusters=3).fit(X).n_clusters_ == 3


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_clusters": 0},
        {"n_clusters": "many"},
        {"min_clusters": 7},
        {"scaling": "none"},
        {"clip": 0},
        {"n_init": -1},
    ],
)
def test_parameters_out_of_range_are_named(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        CustomerSegmenter(**parameters).fit(shop()[0])


def sample(X=None, features=RFM):
    X = shop()[0] if X is None else X
    return pa.table(
        {
            "customer_id": [f"c{i}" for i in range(len(X))],
            **{feature: X[:, i] for i, feature in enumerate(features)},
        }
    )


def fit(table, stored=None, as_of_date=DAY, name="default", settings_hash="s", **changed):
    """Fit one segmentation; `changed` are settings of the run or of its own."""
    of_run = {key: changed.pop(key, value) for key, value in OF_RUN.items()}
    settings = {
        **of_run,
        "feature_words": changed.pop("feature_words", {}),
        "settings_hashes": {name: settings_hash},
        "segmentations": {name: {"features": RFM, **changed}},
    }
    return fit_segments(table, stored, as_of_date=as_of_date, settings=settings)


@pytest.fixture
def segments():
    return fit(sample())


def test_segments_have_a_row_for_each_segment_and_feature(segments):
    assert segments.schema == SEGMENTS_SCHEMA
    key = list(
        zip(segments["segment_code"].to_pylist(), segments["feature"].to_pylist(), strict=True)
    )
    assert key == [(f"segment_{k}", feature) for k in (1, 2, 3, 4) for feature in RFM]
    first = segments.filter(pc.equal(segments["feature"], RFM[0])).to_pylist()
    assert [row["training_customer_count"] for row in first] == [100] * 4
    assert [row["training_share"] for row in first] == [0.25] * 4
    assert {row["training_row_count"] for row in first} == {400}
    assert {row["fitted_as_of"] for row in first} == {DAY}
    assert len({row["segmentation_version"] for row in first}) == 1


def test_the_stored_centers_assign_as_the_segmenter(segments):
    X, kind = shop()
    stored = {
        name: np.array(segments[name].to_pylist()).reshape(4, 3)
        for name in ("center", "location", "scale", "clip", "radius", "typical_value")
    }
    scaled = (np.log1p(X) - stored["location"][0]) / stored["scale"][0]
    scaled = np.clip(scaled, -stored["clip"][0], stored["clip"][0])
    distances = np.sqrt(((scaled[:, np.newaxis] - stored["center"]) ** 2).sum(axis=2))
    np.testing.assert_array_equal(distances.argmin(axis=1), kind)
    for k in range(4):
        radius = np.quantile(distances[kind == k, k], 0.75)
        assert stored["radius"][k, 0] == pytest.approx(radius)
        np.testing.assert_allclose(stored["typical_value"][k], np.median(X[kind == k], axis=0))


def test_row_order_changes_nothing(segments):
    table = sample()
    order = np.random.default_rng(1).permutation(table.num_rows)
    assert fit(table.take(order)).equals(segments)


def test_the_version_follows_data_settings_code_name_and_date(segments):
    versions = {
        table["segmentation_version"][0].as_py()
        for table in (
            segments,
            fit(sample(shop(seed=1)[0])),
            fit(sample(), settings_hash="t"),
            fit(sample(), code_version="2"),
            fit(sample(), name="other"),
            fit(sample(), as_of_date=DAY + datetime.timedelta(days=1)),
        )
    }
    assert len(versions) == 6


def test_nothing_to_fit_gives_the_empty_typed_table(segments):
    table = sample()
    for found in (
        fit(table.slice(0, 0)),
        fit(table.slice(0, 49)),
        fit(table, min_customer_count=401),
        fit(table, as_of_date=None),
        fit(table, is_empty="True"),
        fit(table, stored=segments),
        fit(table, stored=segments, as_of_date=DAY + datetime.timedelta(days=29)),
        fit(table, stored=segments, as_of_date=DAY - datetime.timedelta(days=90)),
    ):
        assert found.schema == SEGMENTS_SCHEMA
        assert found.num_rows == 0


def test_a_fit_is_due_after_the_interval_with_new_settings_and_for_another_name(segments):
    table = sample()
    assert fit(table, stored=segments, as_of_date=DAY + datetime.timedelta(days=30)).num_rows
    assert fit(table, stored=segments, settings_hash="new").num_rows
    assert fit(table, stored=segments, name="other").num_rows


def test_wrong_input_is_named():
    table = sample()
    with_null = table.set_column(3, RFM[2], pa.array([None, *[1.0] * 399]))
    with pytest.raises(ValueError, match="net_amount_365d has NULL"):
        fit(with_null)
    with pytest.raises(ValueError, match="no column order_count_365d"):
        fit(table.drop_columns("order_count_365d"))
    with pytest.raises(ValueError, match="several rows of the same customer_id"):
        fit(pa.concat_tables([table, table]))
    with pytest.raises(ValueError, match="setting n_clusters"):
        fit(table, n_clusters="few")


def test_a_number_of_clusters_may_arrive_as_text():
    assert len(set(fit(sample(), n_clusters="3")["segment_code"].to_pylist())) == 3


def test_segments_have_the_names_of_the_trade():
    X, kind = shop()
    mostly_lapsing = np.concatenate([X, X[kind == 3] + [1, 0, 1], X[kind == 3] + [2, 0, 2]])
    segments = fit(sample(mostly_lapsing))
    assert list(dict.fromkeys(segments["segment_name"].to_pylist())) == [
        "Loyal high spenders",
        "Slipping regulars",
        "Recent one-time buyers",
        "Lapsing one-time buyers",
    ]
    assert segments["description"][0].as_py() == (
        "Typically last ordered 8 days ago, with 20 orders and a net amount of 3,003 in the last "
        "365 days; 17 % of active customers."
    )


@pytest.mark.parametrize("n_clusters", ["auto", 2, 6, 9, 14])
@pytest.mark.parametrize("seed", range(3))
def test_names_are_different_and_plain_whatever_the_shop(seed, n_clusters):
    found = fit(sample(random_shop(600, seed)), n_clusters=n_clusters)
    names = dict(
        zip(found["segment_code"].to_pylist(), found["segment_name"].to_pylist(), strict=True)
    )
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r"[A-Z][a-z -]+(, [a-z -]+( \d+)?)?", name) for name in names.values())
    if n_clusters == "auto":
        assert not any(re.search(r"\d", name) for name in names.values())


def test_other_features_name_segments_by_their_nouns():
    X, _ = shop()
    features = ["session_count_90d", "return_rate", "email_opens"]
    words = {"return_rate": {"noun": "returns"}}
    found = fit(sample(X, features), features=features, feature_words=words)
    names = list(dict.fromkeys(found["segment_name"].to_pylist()))
    assert len(names) == 4
    assert names[0] == "High returns, high email opens"
    assert found["description"][0].as_py() == (
        "Typically session count 8, returns 20, email opens 3,003; 25 % of active customers."
    )


def test_alike_segments_are_told_apart_by_their_widest_feature():
    typical = np.array([[200.0, 1, 90], [210, 1, 50], [220, 1, 20], [5, 1, 30]])
    X = np.repeat(typical, [10, 10, 10, 30], axis=0)
    assert segment_names(RFM, typical, X, signed_log1p(typical)) == [
        "Lapsing one-time buyers, higher spend",
        "Lapsing one-time buyers, medium spend",
        "Lapsing one-time buyers, lower spend",
        "Recent one-time buyers",
    ]
    alike = np.ones((3, 2))
    assert segment_names(["a", "b"], alike, alike, alike) == [
        "Average customers, higher a",
        "Average customers, medium a",
        "Average customers, lower a",
    ]


def test_descriptions_count_in_plain_words():
    assert segment_description(RFM, np.array([1.0, 1.0, 9.5]), 0.001) == (
        "Typically last ordered 1 day ago, with 1 order and a net amount of 9.5 in the last "
        "365 days; under 1 % of active customers."
    )
    features = ["days_since_last_order", "order_count", "net_amount", "discount_share"]
    assert segment_description(features, np.array([2.0, 3.0, 1e6, 0.25]), 0.5) == (
        "Typically last ordered 2 days ago, with 3 orders and a net amount of 1,000,000, "
        "discount share 0.25; 50 % of active customers."
    )


@pytest.mark.real_data
@pytest.mark.skipif(
    "COTERIE_REAL_DATA" not in os.environ, reason="COTERIE_REAL_DATA does not name the data folder"
)
def test_real_customers_get_stable_segments_with_sensible_names():
    import pandas as pd

    folder = pathlib.Path(os.environ["COTERIE_REAL_DATA"]) / "online_retail"
    lines = pd.read_parquet(folder / "online_retail_2010_2011.parquet")
    is_sale = ~lines.invoice_no.str.startswith(("C", "A"))
    lines = lines[lines.customer_id.notna() & is_sale & (lines.unit_price > 0)]
    lines = lines[lines.invoice_ts >= "2010-12-10"].drop_duplicates()
    lines["amount"] = lines.quantity * lines.unit_price
    customers = lines.groupby("customer_id").agg(
        days=("invoice_ts", lambda times: (pd.Timestamp("2011-12-10") - times.max()).days),
        orders=("invoice_no", "nunique"),
        amount=("amount", "sum"),
    )
    X = customers.to_numpy(dtype=float)
    # Frequency and monetary value go together: with as much weight as each, recency counts little.
    chosen = {"scaling": "standard", "family_weights": {"days_since_last_order": 1.5}}
    frame = pd.DataFrame(X, columns=RFM)
    segmenter = CustomerSegmenter(**chosen).fit(frame)
    for seed in range(1, 4):
        again = CustomerSegmenter(random_state=seed, **chosen).fit(frame)
        np.testing.assert_array_equal(again.labels_, segmenter.labels_)
    assert bootstrap_agreement(segmenter, X).mean() >= 0.9
    names = dict.fromkeys(fit(sample(X), **chosen)["segment_name"].to_pylist())
    assert list(names) == [
        "Loyal high spenders",
        "Loyal regulars, longer ago",
        "Loyal regulars, more recent",
        "One-time buyers",
        "Lapsing one-time buyers",
    ]
