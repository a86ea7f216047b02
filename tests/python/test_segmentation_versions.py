"""Segments that stay: algorithms, categories, versions, lineage and quality."""

import datetime
import functools
import logging

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from coterie.segmentation import (
    ALGORITHMS,
    SEGMENT_LINEAGE_SCHEMA,
    SEGMENTATION_QUALITY_SCHEMA,
    SEGMENTS_SCHEMA,
    CustomerSegmenter,
    SegmentDefinitions,
    bootstrap_agreement,
    choose_segmenter,
    explained_share,
    feature_weights,
    fit_segments,
    fitting,
    jaccard,
    lineage_rows,
    match_segments,
    segment_lineage,
    segmentation_quality,
    stored_definitions,
)

DAY = datetime.date(2024, 1, 1)


@pytest.fixture(autouse=True)
def _few_refits(monkeypatch):
    """Four refits in place of twenty tell what is stable here, and save time."""
    few = functools.partial(bootstrap_agreement, refit_count=4)
    monkeypatch.setattr(fitting, "bootstrap_agreement", few)


MONTH = datetime.timedelta(days=30)
RFM = ["days_since_last_order", "order_count_365d", "net_amount_365d"]
# days, orders, net amount: loyal, slipping, recent one-time, lapsing one-time
KINDS = np.array([(8, 20, 3000), (120, 9, 900), (15, 1, 60), (280, 1, 40)])


def shop(count=400, seed=0, noise=0.1, kinds=KINDS):
    """Well-separated kinds of customers, in turn."""
    rng = np.random.default_rng(seed)
    kind = np.arange(count) % len(kinds)
    X = kinds[kind] * rng.lognormal(0, noise, (count, 3))
    X[:, :2] = np.maximum(1, X[:, :2].round())
    return X.round(2), kind


def table(X, first=0, **columns):
    return pa.table(
        {
            "customer_id": [f"c{first + k:05d}" for k in range(len(X))],
            **{feature: X[:, k] for k, feature in enumerate(RFM)},
            **columns,
        }
    )


def settings(**own):
    return {
        "segmentations": {"default": {"features": RFM, **own}},
        "settings_hashes": {"default": "s"},
        "refit_interval_days": 30,
        "is_empty": False,
        "code_version": "1",
    }


def fit(sample, stored=None, day=DAY, **own):
    return fit_segments(sample, stored, as_of_date=day, settings=settings(**own))


def codes(fitted, sample):
    definitions = SegmentDefinitions(fitted)
    return np.array([*definitions.codes, "unassigned"])[definitions.assign(sample)]


def names_of(fitted):
    return dict(
        zip(fitted["segment_code"].to_pylist(), fitted["segment_name"].to_pylist(), strict=True)
    )


def lineage(centers, sample, stored=None, day=DAY, **own):
    return segment_lineage(centers, sample, stored, as_of_date=day, settings=settings(**own))


def changes(found):
    return {
        (row["from_segment_code"], row["to_segment_code"]): row["change"]
        for row in found.to_pylist()
    }


# ---- algorithms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_finds_separated_groups(algorithm):
    X, kind = shop()
    segmenter = CustomerSegmenter(algorithm=algorithm, n_clusters=4).fit(X)
    is_in = segmenter.labels_ >= 0
    assert is_in.mean() >= (0.85 if algorithm == "hdbscan" else 1)
    np.testing.assert_array_equal(segmenter.labels_[is_in], kind[is_in])
    assert np.isinf(segmenter.max_distances_).all() == (algorithm != "hdbscan")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_row_order_seed_threads_and_doubling_change_no_assignment(algorithm):
    X, _ = shop(300, noise=0.5)
    order = np.random.default_rng(1).permutation(len(X))
    first = CustomerSegmenter(algorithm=algorithm).fit(X)
    with threadpool_limits(2):
        other = CustomerSegmenter(algorithm=algorithm, random_state=5).fit(X[order])
    np.testing.assert_array_equal(other.labels_, first.labels_[order])
    doubled = CustomerSegmenter(algorithm=algorithm).fit(np.repeat(X, 2, axis=0))
    np.testing.assert_array_equal(doubled.predict(X), first.labels_)


def test_a_mixture_weighs_by_precision_and_prefers_large_groups_between_two():
    rng = np.random.default_rng(0)
    X = np.expm1(
        np.vstack(
            [rng.normal((2, 5), (0.1, 0.1), (900, 2)), rng.normal((4, 5), (0.6, 0.1), (100, 2))]
        )
    )
    segmenter = CustomerSegmenter(n_clusters=2, algorithm="gaussian_mixture", scaling="standard")
    segmenter.fit(X)
    narrow = int(segmenter.predict(np.expm1([[2.0, 5.0]]))[0])
    weights = segmenter.center_weights_
    assert weights[narrow, 0] > 2 * weights[1 - narrow, 0]
    assert segmenter.score_offsets_[narrow] < segmenter.score_offsets_[1 - narrow]


def test_an_unknown_algorithm_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"algorithm is 'dbscan'.*kmeans.*hdbscan"):
        CustomerSegmenter(algorithm="dbscan").fit(shop()[0])


# ---- families and categories --------------------------------------------------------------------


def test_a_family_counts_as_its_weight_says_whatever_the_number_of_its_features():
    families = {"a": "one", "b": "one", "c": "other"}
    weights = feature_weights(["a", "b", "c", "d"], families, {"other": 4})
    np.testing.assert_allclose(weights, [np.sqrt(0.5), np.sqrt(0.5), 2, 1])
    with pytest.raises(ValueError, match="families names z"):
        feature_weights(["a"], {"z": "one"}, {})
    with pytest.raises(ValueError, match="family_weights names one"):
        feature_weights(["a"], {}, {"one": 2})
    with pytest.raises(ValueError, match="weight of a is 0"):
        feature_weights(["a"], {}, {"a": 0})


def test_a_heavy_family_decides():
    rng = np.random.default_rng(0)
    kinds = np.array(list(np.ndindex(2, 2)))[rng.integers(0, 4, 400)]
    frame = pd.DataFrame(kinds + rng.normal(0, 0.02, kinds.shape), columns=["a", "b"])
    for heavy, position in (("a", 0), ("b", 1)):
        segmenter = CustomerSegmenter(n_clusters=2, family_weights={heavy: 3.0}).fit(frame)
        assert adjusted_rand_score(kinds[:, position], segmenter.labels_) == 1


def with_gender(count=400):
    X, kind = shop(count)
    gender = np.where(np.arange(count) // 4 % 2 == 0, "female", "male").astype(object)
    gender[:3] = ["x", None, "y"]
    return table(X, gender=pa.array(gender, pa.string())), kind, gender


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sql_assigns_from_the_table_as_the_library(algorithm):
    sample, _, _ = with_gender()
    own = {"features": [*RFM, "gender"], "algorithm": algorithm, "family_weights": {"gender": 2.0}}
    fitted = fit(sample, **own)
    later = sample.set_column(4, "gender", pa.array(["new", "male"] * 200, pa.string()))
    connection = duckdb.connect()
    connection.register("centers", fitted)
    for customers in (sample, later):
        connection.register("customers", customers)
        found = connection.sql(
            """
            with

            numbers as (

                unpivot customers on days_since_last_order, order_count_365d, net_amount_365d
                into name feature value x

            ),

            parts as (

                select
                    numbers.customer_id,
                    centers.segment_code,
                    centers.score_offset,
                    centers.max_distance,
                    power(
                        (
                            least(greatest(
                                (sign(x) * ln(1 + abs(x)) - location) / scale, -clip), clip)
                            - center
                        ) * weight,
                        2
                    ) as part

                from numbers

                inner join centers
                    on numbers.feature = centers.feature

                union all

                select
                    customers.customer_id,
                    centers.segment_code,
                    centers.score_offset,
                    centers.max_distance,
                    centers.center as part

                from customers

                inner join centers
                    on
                        centers.feature = 'gender'
                        and centers.level = case
                            when customers.gender in (
                                select level from centers where feature = 'gender'
                            ) then customers.gender
                            else ''
                        end

            ),

            scores as (

                select
                    customer_id,
                    segment_code,
                    score_offset,
                    max_distance,
                    score_offset + sum(part) as score
                from parts
                group by customer_id, segment_code, score_offset, max_distance

            )

            select
                customer_id,
                case
                    when sqrt(greatest(score - score_offset, 0)) > max_distance then 'unassigned'
                    else segment_code
                end as segment_code,
                round(sqrt(greatest(score - score_offset, 0)), 9) as distance
            from scores
            qualify row_number() over (
                partition by customer_id order by round(score, 9), segment_code) = 1
            order by customer_id
            """
        ).fetchnumpy()
        assert found["segment_code"].tolist() == codes(fitted, customers).tolist()
        definitions = SegmentDefinitions(fitted)
        scores = definitions.scores(customers)
        nearest = np.round(scores, 9).argmin(axis=1)
        distances = definitions.distances(scores)[np.arange(len(nearest)), nearest]
        np.testing.assert_allclose(found["distance"], distances, atol=2e-9)


def test_rare_levels_are_folded_and_stand_for_unseen_and_missing_texts():
    sample, _, gender = with_gender()
    fitted = fit(sample, features=[*RFM, "gender"], n_clusters=4)
    levels = fitted.filter(pc.equal(fitted["feature"], "gender"))["level"].to_pylist()
    assert levels == ["female", "male", ""] * 4 or levels == ["male", "female", ""] * 4
    shares = pd.DataFrame(fitted.to_pylist()).dropna(subset="level")
    np.testing.assert_allclose(shares.groupby("segment_code")["typical_value"].sum(), 1)
    unseen = sample.set_column(4, "gender", pa.array(["zz"] * 400, pa.string()))
    none = sample.set_column(4, "gender", pa.nulls(400, pa.string()))
    assert codes(fitted, unseen).tolist() == codes(fitted, none).tolist()
    kept = CustomerSegmenter(categories=["g"], max_levels=1).fit(
        pd.DataFrame({"g": gender[3:], "x": np.arange(397.0)})
    )
    assert len(kept.levels_[0]) == 2


def test_a_category_with_many_levels_does_not_drown_the_numbers():
    X, kind = shop()
    towns = pa.array([f"town {k % 8}" for k in range(7, 407)], pa.string())
    rng = np.random.default_rng(3)
    sample = table(X, town=pa.array(rng.choice(towns.to_pylist(), 400), pa.string()))
    fitted = fit(sample, features=[*RFM, "town"], n_clusters=4)
    assert adjusted_rand_score(kind, codes(fitted, sample)) == 1


def test_a_segment_of_a_category_is_named_by_its_level():
    gender = ["female", "male"] * 100
    sample = pa.table(
        {
            "customer_id": [str(k) for k in range(200)],
            "gender": gender,
            "visits": np.random.default_rng(0).integers(4, 6, 200).astype(float),
        }
    )
    own = {"features": ["gender", "visits"], "n_clusters": 2, "family_weights": {"gender": 9.0}}
    fitted = fit(sample, **own)
    assert adjusted_rand_score(gender, codes(fitted, sample)) == 1
    assert any("gender female" in name for name in names_of(fitted).values())


# ---- the number of segments ---------------------------------------------------------------------


def test_an_unstable_number_gives_way_to_the_next_stable_one(monkeypatch):
    # Four round groups: with 8 segments each is cut, on every resample in another direction.
    kind = np.arange(400) % 4
    center = np.array([(1, 1, 1), (1, 3, 3), (3, 1, 3), (3, 3, 1)])[kind]
    logs = center + np.random.default_rng(0).normal(0, 0.1, (400, 3))
    frame = pd.DataFrame(np.expm1(logs), columns=RFM)
    cut = CustomerSegmenter(n_clusters=8).fit(frame)
    assert bootstrap_agreement(cut, cut.code(frame)).mean() < 0.85
    monkeypatch.setattr(CustomerSegmenter, "elbow_order", lambda *_: [8, 4, 3])
    choice = choose_segmenter(CustomerSegmenter(min_clusters=3, max_clusters=8), frame)
    assert choice.is_fit
    assert choice.segmenter.n_clusters_ == 4
    np.testing.assert_array_equal(adjusted_rand_score(kind, choice.segmenter.labels_), 1)


def test_where_none_is_stable_the_most_stable_is_kept():
    X = np.random.default_rng(0).uniform(1, 2, (300, 3))
    choice = choose_segmenter(CustomerSegmenter(), pd.DataFrame(X, columns=RFM))
    assert 4 <= choice.segmenter.n_clusters_ <= 6
    assert not choice.is_fit


# ---- versions that follow each other ------------------------------------------------------------


@pytest.fixture
def first():
    sample = table(shop(noise=0.3)[0])
    return sample, fit(sample)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_refit_on_the_same_data_changes_nobody(algorithm):
    sample = table(shop(300, noise=0.4)[0])
    before = fit(sample, algorithm=algorithm)
    after = fit(sample, before, DAY + MONTH, algorithm=algorithm)
    assert after.num_rows
    assert codes(after, sample).tolist() == codes(before, sample).tolist()
    assert names_of(after) == names_of(before)
    assert set(after["is_continuation"].to_pylist()) == {True}
    assert set(before["is_continuation"].to_pylist()) == {False}
    assert after["previous_version"][0].as_py() == before["segmentation_version"][0].as_py()


def test_a_month_later_segments_go_on_in_the_stored_scaling(first):
    _, before = first
    X, _ = shop(noise=0.3, seed=1)
    later = table(X * [1.1, 1, 1.2])
    after = fit(later, before, DAY + MONTH)
    for column in ("location", "scale"):
        assert set(after[column].to_pylist()) == set(before[column].to_pylist())
    assert set(codes(after, later)) == set(codes(before, later))
    is_same = codes(after, later) == codes(before, later)
    assert is_same.mean() > 0.97
    assert set(
        changes(lineage(pa.concat_tables([before, after]), later, day=DAY + MONTH)).values()
    ) == {"kept"}


def test_a_first_version_is_new(first):
    sample, before = first
    found = lineage(before, sample)
    assert found.schema == SEGMENT_LINEAGE_SCHEMA
    assert changes(found) == {(None, f"segment_{k}"): "new" for k in (1, 2, 3, 4)}
    assert lineage(before, sample, stored=found).num_rows == 0


def test_a_group_that_falls_apart_is_a_split_and_codes_are_never_used_again():
    three = KINDS[[0, 1, 3]]
    X, _ = shop(600, kinds=three)
    sample = table(X)
    before = fit(sample, n_clusters=3)
    four = np.vstack([three, (280, 9, 3000)])
    Y = X.copy()
    moved = np.arange(600) % 6 == 2  # half of the third kind
    Y[moved] = (four[3] * np.random.default_rng(0).lognormal(0, 0.1, (600, 3)))[moved].round(2)
    later = table(Y)
    # Other settings: what goes on is known by members and centers alone.
    changed = settings(n_clusters=4)
    changed["settings_hashes"] = {"default": "t"}
    after = fit_segments(later, before, as_of_date=DAY + MONTH, settings=changed)
    assert set(after["segment_code"].to_pylist()) == {
        "segment_1", "segment_2", "segment_3", "segment_4",
    }  # fmt: skip
    both = pa.concat_tables([before, after])
    found = segment_lineage(both, later, None, as_of_date=DAY + MONTH, settings=changed)
    kept = [change for change in changes(found).values() if change == "kept"]
    assert len(kept) == 3
    # Under the version before, those who moved would now be nearest to the second kind.
    assert changes(found)["segment_2", "segment_4"] == "split"

    # A third version without the new group retires its code; a fourth must not use it again.
    changed["settings_hashes"] = {"default": "s"}
    changed["segmentations"]["default"]["n_clusters"] = 3
    third = fit_segments(sample, both, as_of_date=DAY + 2 * MONTH, settings=changed)
    assert set(third["segment_code"].to_pylist()) <= {"segment_1", "segment_2", "segment_3"}
    changed["settings_hashes"] = {"default": "u"}
    changed["segmentations"]["default"]["n_clusters"] = 4
    stored = pa.concat_tables([both, third])
    fourth = fit_segments(later, stored, as_of_date=DAY + 3 * MONTH, settings=changed)
    assert "segment_5" in fourth["segment_code"].to_pylist()
    assert "segment_4" not in fourth["segment_code"].to_pylist()


def test_matching_needs_near_centers_and_common_members():
    before = np.repeat([0, 1, 2], [10, 10, 10])
    after = np.repeat([1, 0, 2, 0], [10, 10, 4, 6])
    overlap = jaccard(before, after, 3, 3)
    np.testing.assert_allclose(overlap, [[0, 1, 0], [10 / 16, 0, 0], [6 / 20, 0, 0.4]])
    assert match_segments(1 - overlap, overlap) == {1: 0, 0: 1}


def test_lineage_says_merge_split_new_and_retired():
    shared = np.array([[10, 0, 0, 0], [6, 0, 2, 0], [0, 8, 8, 0], [1, 1, 1, 0]])
    sizes_before, sizes_after = np.array([10, 8, 16, 6]), np.array([17, 9, 11, 5])
    found = lineage_rows(
        shared / 20, np.ones((4, 4)), shared, ["a", "b", "c", "d"], ["a", "e", "c", "f"],
        sizes_before, sizes_after,
    )  # fmt: skip
    assert {(r["from_segment_code"], r["to_segment_code"]): r["change"] for r in found} == {
        ("a", "a"): "kept",
        ("b", "a"): "merge",
        ("c", "c"): "kept",
        ("c", "e"): "split",
        ("d", None): "retired",
        (None, "f"): "new",
    }
    assert {r["change"]: r["customer_count"] for r in found if r["change"] != "kept"} == {
        "merge": 6, "split": 8, "retired": 6, "new": 5,
    }  # fmt: skip


def test_clearly_better_clusters_end_the_old_ones():
    before = fit(table(shop(noise=0.1)[0]))
    elsewhere = np.array([(1, 40, 90), (2, 2, 9000), (300, 30, 20), (300, 1, 9000)])
    later = table(shop(noise=0.1, kinds=elsewhere)[0])
    after = fit(later, before, DAY + MONTH)
    assert len(set(codes(after, later))) == 4
    kind = np.arange(400) % 4
    assert adjusted_rand_score(kind, codes(after, later)) == 1


def test_names_stay_until_a_center_has_moved_by_a_clear_margin():
    X, _ = shop(noise=0.1)
    stored = fit(table(X))
    names = names_of(stored)
    assert "Recent one-time buyers" in names.values()
    # The recent one-time buyers of KINDS get older month by month; the words would change at once.
    seen = []
    for month in range(1, 8):
        Y = X.copy()
        Y[2::4, 0] += 15 * month
        stored = pa.concat_tables([stored, fit(table(Y), stored, DAY + month * MONTH)])
        newest = stored.filter(pc.equal(stored["fitted_as_of"], DAY + month * MONTH))
        seen.append(set(names_of(newest).values()))
    assert "Recent one-time buyers" in seen[0]
    assert "Recent one-time buyers" not in seen[-1]
    assert all(len(found) == 4 for found in seen)


def test_versions_stored_before_there_were_weights_go_on(first):
    sample, before = first
    old = before.drop_columns(
        [
            "previous_version",
            "algorithm",
            "is_continuation",
            "max_distance",
            "score_offset",
            "level",
            "weight",
        ]
    )
    after = fit(sample, old, DAY + MONTH)
    assert after["is_continuation"][0].as_py()
    assert codes(after, sample).tolist() == codes(before, sample).tolist()


# ---- several segmentations ----------------------------------------------------------------------


def test_each_segmentation_has_its_own_settings_versions_and_due_dates(first):
    sample, before = first
    both = settings()
    both["segmentations"]["value"] = {"features": RFM[1:], "algorithm": "ward", "n_clusters": 3}
    both["segmentations"]["none"] = None
    both["settings_hashes"]["value"] = "v"
    found = fit_segments(sample, before, as_of_date=DAY, settings=both)
    assert set(found["segmentation_name"].to_pylist()) == {"value"}
    assert set(found["algorithm"].to_pylist()) == {"ward"}
    assert set(found["settings_hash"].to_pylist()) == {"v"}
    assert set(found["feature"].to_pylist()) == set(RFM[1:])
    assert set(found["segment_code"].to_pylist()) == {"segment_1", "segment_2", "segment_3"}
    del both["settings_hashes"]["value"]
    with pytest.raises(ValueError, match="settings_hashes has no hash of the segmentation value"):
        fit_segments(sample, before, as_of_date=DAY, settings=both)


@pytest.mark.parametrize("name", ["rfm", "interest", "demographic"])
def test_names_of_other_segmentations_are_refused(name):
    asked = {
        **settings(),
        "segmentations": {name: {"features": RFM}},
        "settings_hashes": {name: "s"},
    }
    with pytest.raises(ValueError, match=f"must not be called {name}"):
        fit_segments(table(shop()[0]), None, as_of_date=DAY, settings=asked)


# ---- quality ------------------------------------------------------------------------------------


def quality(centers, sample, stored=None, day=DAY, outcomes=None):
    return segmentation_quality(
        centers, sample, stored, as_of_date=day, settings=settings(), outcomes=outcomes
    )


def values(found):
    return {row["metric_name"]: row["metric_value"] for row in found.to_pylist()}


def test_quality_of_separated_groups(first):
    sample, centers = first
    _, kind = shop()
    noise = np.random.default_rng(0).normal(0, 1, 400)
    amounts = np.expm1(np.array([6.0, 4, 2, 0])[kind] + noise)
    found = quality(centers, sample, outcomes=sample.append_column("next_amount_90d", [amounts]))
    assert found.schema == SEGMENTATION_QUALITY_SCHEMA
    metrics = values(found)
    assert metrics["bootstrap_ari"] > 0.95
    assert metrics["silhouette"] > 0.5
    assert metrics["smallest_share"] == pytest.approx(0.25, abs=0.02)
    assert metrics["n_clusters"] == 4
    assert 0.7 < metrics["share_explained"] < 0.9
    assert metrics["continuation_share"] is None
    explained = next(r for r in found.to_pylist() if r["metric_name"] == "share_explained")
    assert explained["interval_lower"] < explained["metric_value"] < explained["interval_upper"]
    assert quality(centers, sample, stored=found).num_rows == 0
    shuffled = sample.take(np.random.default_rng(0).permutation(400))
    assert values(quality(centers, shuffled))["bootstrap_ari"] == metrics["bootstrap_ari"]


def test_without_outcomes_nothing_is_explained(first):
    sample, centers = first
    assert values(quality(centers, sample))["share_explained"] is None
    lacking = sample.drop_columns(RFM[0]).append_column("next_amount_90d", [np.ones(400)])
    assert values(quality(centers, sample, outcomes=lacking))["share_explained"] is None
    same = sample.append_column("next_amount_90d", [np.ones(400)])
    assert values(quality(centers, sample, outcomes=same))["share_explained"] is None


def test_a_second_version_says_who_kept_the_code(first):
    sample, centers = first
    both = pa.concat_tables([centers, fit(sample, centers, DAY + MONTH)])
    assert values(quality(both, sample, day=DAY + MONTH))["continuation_share"] == 1


def test_chance_explains_nothing_and_the_group_itself_all():
    rng = np.random.default_rng(0)
    labels, noise = rng.integers(0, 4, 4000), rng.normal(size=4000)
    assert explained_share(labels, noise) < 0.01
    assert explained_share(labels, labels.astype(float)) == pytest.approx(1)
    assert np.isnan(explained_share(labels, np.ones(4000)))


def test_groups_that_are_not_there_do_not_agree():
    X = np.random.default_rng(0).uniform(1, 1.5, (500, 3))
    segmenter = CustomerSegmenter(n_clusters=6).fit(X)
    assert bootstrap_agreement(segmenter, X).mean() < 0.85


# ---- too little to learn from -------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_too_little_to_tell_apart_fits_nothing_or_little_and_says_so(algorithm, caplog):
    caplog.set_level(logging.INFO, logger="coterie")
    few = table(shop(40)[0])
    assert fit(few, algorithm=algorithm).schema == SEGMENTS_SCHEMA
    assert fit(few, algorithm=algorithm).num_rows == 0
    assert "default: 40 customers are too few, no fit" in caplog.text
    alike = table(np.full((100, 3), 5.0))
    assert fit(alike, algorithm=algorithm).num_rows == 0
    assert "default: 100 customers do not differ, no fit" in caplog.text


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_order_each_and_a_constant_feature_still_give_segments(algorithm):
    X, _ = shop(noise=0.5)
    X[:, 1] = 1
    sample = table(X)
    fitted = fit(sample, algorithm=algorithm)
    if fitted.num_rows == 0:
        assert algorithm == "hdbscan"
        return
    orders = fitted.filter(pc.equal(fitted["feature"], RFM[1]))
    assert set(orders["center"].to_pylist()) == {0.0}
    assert set(orders["scale"].to_pylist()) == {1.0}
    measured = quality(fitted, sample) if algorithm == "kmeans" else None
    assert measured is None or measured.num_rows == 7
    assert lineage(fitted, sample).num_rows == len(set(fitted["segment_code"].to_pylist()))


def test_nothing_stored_is_no_version():
    assert stored_definitions(None, "v") is None
    assert stored_definitions(SEGMENTS_SCHEMA.empty_table(), "v") is None
    for day, asked in ((None, settings()), (DAY, {**settings(), "is_empty": True})):
        for function in (segmentation_quality, segment_lineage):
            found = function(
                SEGMENTS_SCHEMA.empty_table(),
                table(shop()[0]),
                None,
                as_of_date=day,
                settings=asked,
            )
            assert found.num_rows == 0
