"""Topics are found where they were planted, come back, and a sum of terms scores them."""

from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from threadpoolctl import threadpool_limits

from coterie import demo, interests
from coterie.demo.catalogue import CATEGORY_WORDS

REPOSITORY = Path(__file__).parents[2]
DAY = datetime.date(2025, 10, 1)
SETTINGS = {"settings_hash": "now", "refit_interval_days": 30}


def as_documents(texts: dict[str, str], categories: dict[str, str]) -> pa.Table:
    """Count the words of each product, as `int_coterie__product_terms` does."""
    stop_words = set(pd.read_csv(REPOSITORY / "seeds/coterie__stop_words.csv")["term"])
    rows = [
        (product, "text", term, count)
        for product, text in texts.items()
        for term, count in Counter(interests.tokens(text)).items()
        if term not in stop_words
    ]
    rows += [(product, "category", category, 1) for product, category in categories.items()]
    names = ["product_id", "source_name", "term", "term_count"]
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


@pytest.fixture(scope="module")
def demo_documents() -> pa.Table:
    tables = demo.generate_demo(1_000, inputs=("products", "feedback"))
    products, feedback = tables["products"], tables["feedback"]
    comments = feedback.groupby("product_id")["comment"].agg(" ".join)
    texts = {
        row.product_id: f"{row.product_name} {row.category} {comments.get(row.product_id, '')}"
        for row in products.itertuples()
    }
    return as_documents(texts, dict(zip(products["product_id"], products["category"], strict=True)))


def planted_documents(seed: int = 1, topic_count: int = 9, product_count: int = 400) -> pa.Table:
    """Draw products of one or two topics of 40 words each, and 60 words of all."""
    rng = np.random.default_rng(seed)
    words = [f"w{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}" for i in range(topic_count * 40 + 60)]
    texts = {}
    for product in range(product_count):
        topics = rng.choice(topic_count, 1 + (rng.random() < 0.3), replace=False)
        drawn = [40 * rng.choice(topics) + int(40 * rng.random() ** 2) for _ in range(25)]
        common = topic_count * 40 + rng.integers(0, 60, 8)
        texts[f"p{product:03d}"] = " ".join(words[i] for i in [*drawn, *common])
    return as_documents(texts, dict.fromkeys(texts, "all"))


@pytest.fixture(scope="module")
def planted() -> pa.Table:
    return planted_documents()


@pytest.fixture(scope="module")
def fitted(planted) -> pa.Table:
    return interests.fit_topics(planted, None, as_of_date=DAY, settings=SETTINGS)


def loadings(topics: pa.Table) -> pd.DataFrame:
    """Return topics by terms."""
    frame = topics.to_pandas()
    return frame.pivot_table(index="topic_code", columns="term", values="loading", fill_value=0.0)


def test_words_are_runs_of_three_letters():
    text = "Crème-brûlée SET 2x250ml, Queen's No.7 ÄÖÜ"
    assert interests.tokens(text) == ["crème", "brûlée", "set", "queen", "äöü"]


def test_the_topics_planted_in_the_demo_shop_are_found(demo_documents):
    topics = interests.fit_topics(demo_documents, None, as_of_date=DAY, settings=SETTINGS)
    found = loadings(topics)
    assert len(found) == len(CATEGORY_WORDS)
    idf = topics.to_pandas().drop_duplicates("term").set_index("term")["idf"]
    matched = {}
    for category, words in CATEGORY_WORDS.items():
        # Every word of a category is as likely in a review, and its name is with each product.
        truth = pd.Series(0.0, index=found.columns)
        truth[[*words.split(), category]] = idf[[*words.split(), category]]
        cosines = found @ truth / np.linalg.norm(truth) / np.linalg.norm(found, axis=1)
        assert cosines.max() >= 0.8, (category, cosines.max())
        matched[category] = cosines.idxmax()
    assert len(set(matched.values())) == len(CATEGORY_WORDS)
    scores = interests.score_products(demo_documents, topics).to_pandas()
    categories = demo_documents.filter(pc.equal(demo_documents["source_name"], "category"))
    own = categories.to_pandas().set_index("product_id")["term"].map(matched)
    is_own = scores["topic_code"] == scores["product_id"].map(own)
    assert scores.loc[is_own, "affinity"].min() > 0.6


def test_as_many_topics_are_found_as_were_planted(fitted):
    assert fitted["topic_count"][0].as_py() == 9
    assert fitted["version_stability"][0].as_py() > 0.9
    found = fitted.to_pandas()
    assert found.groupby("topic_code").size().max() <= 150
    assert set(found["topic_code"]) == {f"topic_{i}" for i in range(1, 10)}
    assert found["training_share"].groupby(found["topic_code"]).first().sum() == pytest.approx(1)
    first = found[found["topic_code"] == "topic_1"]
    assert first["topic_name"].iloc[0] == ", ".join(first["term"][:4])
    assert first["loading"].is_monotonic_decreasing


def test_the_table_of_terms_scores_as_the_factorisation_does(planted, fitted):
    texts = planted.filter(pc.equal(planted["source_name"], "text"))
    terms, counts = interests._read_counts(texts, 2_000)
    assert len(terms) > 400  # more than the 150 that a topic keeps
    X = interests.weigh_terms(counts, interests.inverse_document_frequency(counts))
    affinities, components = interests.factorise(X, 9)
    frame = fitted.to_pandas()
    kept = loadings(fitted).reindex(columns=terms, fill_value=0.0)
    order, _ = interests.matched_similarity(kept.to_numpy(), components)
    weights = frame.pivot_table(
        index="topic_code", columns="term", values="score_weight", fill_value=0.0
    ).reindex(columns=terms, fill_value=0.0)
    scores = np.clip(X @ weights.to_numpy().T, 0, None)
    r = np.corrcoef(scores.ravel(), affinities[:, order].ravel())[0, 1]
    assert r >= 0.99
    shares = scores / scores.sum(axis=1, keepdims=True)
    shares = np.where(shares < interests.MIN_AFFINITY, 0, shares)
    shares /= shares.sum(axis=1, keepdims=True)
    published = interests.score_products(planted, fitted).to_pandas()
    published = published.pivot_table(
        index="product_id", columns="topic_code", values="affinity", fill_value=0.0
    )
    assert np.allclose(published[kept.index], shares, atol=1e-6)


def test_rows_and_threads_change_nothing(planted, fitted):
    rows = np.random.default_rng(3).permutation(planted.num_rows)
    for threads in (1, 2):
        with threadpool_limits(threads):
            again = interests.fit_topics(
                planted.take(pa.array(rows)), None, as_of_date=DAY, settings=SETTINGS
            )
        assert again.equals(fitted)


def test_a_fit_waits_for_the_interval(planted, fitted):
    for days, due in ((0, False), (29, False), (30, True), (-1, False)):
        later = DAY + datetime.timedelta(days=days)
        again = interests.fit_topics(planted, fitted, as_of_date=later, settings=SETTINGS)
        assert (again.num_rows > 0) is due, days
    other = SETTINGS | {"settings_hash": "then"}
    assert interests.fit_topics(planted, fitted, as_of_date=DAY, settings=other).num_rows


def test_topics_keep_their_codes_when_they_are_fitted_again(planted, fitted):
    # Another half of the products, among which other topics are the largest.
    is_odd = [int(product[1:]) % 2 == 1 for product in planted["product_id"].to_pylist()]
    half = planted.filter(pa.array(is_odd))
    later = DAY + datetime.timedelta(days=30)
    again = interests.fit_topics(half, fitted, as_of_date=later, settings=SETTINGS)
    assert again["topics_version"][0] != fitted["topics_version"][0]
    frame = again.to_pandas()
    assert frame.drop_duplicates("topic_code")["is_continuation"].sum() >= 8
    then, now = loadings(fitted), loadings(again)
    now = now.reindex(columns=then.columns, fill_value=0.0)
    for code in frame.loc[frame["is_continuation"], "topic_code"].unique():
        assert (then @ now.loc[code]).idxmax() == code


def test_a_new_topic_takes_a_number_that_none_has_had(planted, fitted):
    renamed = planted.to_pandas()
    is_text = renamed["source_name"] == "text"
    first = fitted.to_pandas().query("topic_code == 'topic_1' and loading > 0.05")["term"]
    is_of_first = is_text & renamed["term"].isin(first)
    renamed.loc[is_of_first, "term"] = "new" + renamed["term"]
    again = interests.fit_topics(
        pa.Table.from_pandas(renamed, preserve_index=False),
        fitted,
        as_of_date=DAY + datetime.timedelta(days=30),
        settings=SETTINGS | {"max_topics": 9},
    ).to_pandas()
    codes = again.drop_duplicates("topic_code").set_index("topic_code")
    assert "topic_1" not in codes.index
    assert not codes.loc["topic_10", "is_continuation"]
    assert codes.loc["topic_10", "topic_name"].startswith("new")


def test_without_words_categories_are_the_topics():
    categories = {f"p{i:02d}": f"Group {i % 14:02d}" for i in range(60)}
    documents = as_documents({}, categories)
    topics = interests.fit_topics(documents, None, as_of_date=DAY, settings=SETTINGS)
    assert set(topics["method"].to_pylist()) == {"category"}
    assert topics["topic_name"].to_pylist() == [f"Group {i:02d}" for i in range(12)]
    assert topics["stability"].null_count == 12
    scores = interests.score_products(documents, topics).to_pandas().set_index("product_id")
    assert (scores["affinity"] == 1).all()
    assert scores.loc["p00", "topic_code"] == "topic_1"
    assert "p12" not in scores.index  # of a category that is too small


def test_few_products_get_categories():
    texts = {f"p{i}": "tea pot kettle" if i % 2 else "toy train puzzle" for i in range(19)}
    documents = as_documents(texts, dict.fromkeys(texts, "all"))
    topics = interests.fit_topics(documents, None, as_of_date=DAY, settings=SETTINGS)
    assert topics["method"].to_pylist() == ["category"]


def test_nothing_is_fitted_on_nothing(planted):
    none = planted.slice(0, 0)
    assert interests.fit_topics(none, None, as_of_date=DAY, settings=SETTINGS).num_rows == 0
    assert interests.fit_topics(planted, None, as_of_date=None, settings=SETTINGS).num_rows == 0
    empty = interests.fit_topics(
        planted, None, as_of_date=DAY, settings=SETTINGS | {"is_empty": "True"}
    )
    assert empty.schema == interests.TOPICS_SCHEMA
    assert empty.num_rows == 0
    lonely = as_documents({"p1": "tea"}, {})
    assert interests.fit_topics(lonely, None, as_of_date=DAY, settings=SETTINGS).num_rows == 0


def test_bad_settings_are_refused(planted):
    with pytest.raises(ValueError, match="min_topics is 8 and max_topics 13"):
        interests.fit_topics(planted, None, as_of_date=DAY, settings=SETTINGS | {"max_topics": 13})
    with pytest.raises(ValueError, match="several rows of the same product_id"):
        interests.fit_topics(
            pa.concat_tables([planted, planted]), None, as_of_date=DAY, settings=SETTINGS
        )
