"""What was planted is found, SQL scores as the library does, and no words are no error."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from harness import REPOSITORY

from coterie.demo.catalogue import CATEGORIES, CATEGORY_WORDS
from coterie.interests import fit_topics, score_products

TERMS = "select product_id, source_name, term, term_count from {{{}}}"


def as_arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def topics_of(host) -> pd.DataFrame:
    return host.query(
        "select topics.* from {int_coterie__interest_topics} as topics "
        "inner join {int_coterie__interest_versions} as versions using (topics_version) "
        "where versions.is_current"
    )


def assert_sql_scores_as_the_library(host):
    documents = as_arrow(host.query(TERMS.format("int_coterie__product_terms")))
    expected = score_products(documents, as_arrow(topics_of(host))).to_pandas()
    found = host.query(
        "select product_id, 'topic_' || topic_number as topic_code, affinity "
        "from {int_coterie__product_interests} where is_current"
    )
    key = ["product_id", "topic_code"]
    both = expected.merge(found, on=key, how="outer", suffixes=("_expected", "_found"))
    assert len(both) == len(expected) == len(found) > 0
    assert (both["affinity_expected"] - both["affinity_found"]).abs().max() < 1e-6


@pytest.fixture(scope="module")
def category_topics(every_input) -> dict[str, str]:
    """Return the topic that each planted category is about, which is like it and no other's."""
    loadings = topics_of(every_input).pivot_table(
        index="topic_code", columns="term", values="loading", fill_value=0.0
    )
    idf = topics_of(every_input).drop_duplicates("term").set_index("term")["idf"]
    matched = {}
    for category, words in CATEGORY_WORDS.items():
        terms = [*words.split(), category]
        truth = pd.Series(0.0, index=loadings.columns)
        truth[terms] = idf[terms]
        cosines = loadings @ truth / np.linalg.norm(truth) / np.linalg.norm(loadings, axis=1)
        assert cosines.max() >= 0.8, (category, cosines.max())
        matched[category] = cosines.idxmax()
    assert len(set(matched.values())) == len(loadings) == len(CATEGORY_WORDS)
    return matched


def test_sql_scores_as_the_library_does(every_input):
    assert_sql_scores_as_the_library(every_input)


def test_topics_do_not_depend_on_the_order_of_rows(every_input):
    documents = every_input.query(TERMS.format("int_coterie__interest_documents"))
    settings = {"settings_hash": "x", "refit_interval_days": 30}
    day = pd.Timestamp("2025-10-01").date()
    first, second = (
        fit_topics(
            as_arrow(documents.sample(frac=1, random_state=seed)),
            None,
            as_of_date=day,
            settings=settings,
        )
        for seed in (1, 2)
    )
    assert first.equals(second)
    stored = topics_of(every_input).sort_values(["topic_number", "term_rank"])
    for column in ("term", "loading", "score_weight", "stability"):
        assert stored[column].tolist() == (
            first.to_pandas().sort_values(["topic_number", "term_rank"])[column].tolist()
        )


def test_customers_are_fondest_of_what_they_were_planted_to_like(every_input, category_topics):
    truth = pd.read_csv(REPOSITORY / "seeds/demo/truth.tsv", sep="\t")
    tastes = {category_topics[category]: taste for category, taste, _ in CATEGORIES}
    segments = every_input.table("int_coterie__customer_interest_segments").merge(truth)
    known = segments[segments["segment_code"] != "none"]
    right = known["segment_code"].map(tastes) == known["taste"]
    # A quarter of all that is bought is of each taste; six times as likely is what one likes.
    assert right.mean() > 0.65
    interests = every_input.table("coterie__customer_interests")
    sure = set(interests.loc[interests["evidence"] >= 3, "customer_id"])
    assert right[known["customer_id"].isin(sure)].mean() > 0.8


def test_every_customer_has_one_segment_and_affinities_that_sum_to_one(every_input):
    segments = every_input.table("int_coterie__customer_interest_segments")
    customers = every_input.table("coterie__customers")
    assert sorted(segments["customer_id"]) == sorted(customers["customer_id"])
    columns = [f"interest_{number}" for number in range(1, 13)]
    sums = segments[columns].sum(axis=1)
    has_evidence = sums > 0
    assert np.allclose(sums[has_evidence], 1, atol=1e-5)
    assert (segments.loc[~has_evidence, "segment_code"] == "none").all()
    assert segments["held_segment_code"].isna().all()
    assert segments["distance"].isna().all()
    long = every_input.table("coterie__customer_interests")
    wide = segments.set_index("customer_id")[columns]
    number = long["topic_code"].str.removeprefix("topic_").astype(int)
    assert np.allclose(
        long["affinity"], wide.to_numpy()[wide.index.get_indexer(long["customer_id"]), number - 1]
    )
    fondest = long[long["interest_rank"] == 1].set_index("customer_id")["topic_code"]
    codes = segments.set_index("customer_id")["segment_code"]
    assert codes[codes != "none"].sort_index().tolist() == fondest.sort_index().tolist()


def test_evidence_is_what_customers_did(every_input):
    """Count the lines, views and reviews of each customer again, in one go and not by topic."""
    expected = every_input.query(
        """
        with day as (select as_of_date from {int_coterie__as_of}),
        actions as (
            select
                orders.customer_id, lines.product_id, orders.ordered_on as happened_on, 1 as weight
            from {int_coterie__order_lines} as lines
            inner join {int_coterie__orders} as orders using (order_id)
            cross join day
            where lines.quantity > 0 and not orders.is_test
                and orders.ordered_on >= day.as_of_date - 540
                and not (orders.has_invalid_status and orders.status_changed_at < day.as_of_date)
                and (orders.order_amount > orders.refund_amount or (
                    orders.order_amount > 0 and orders.refunded_at >= day.as_of_date
                ))
                and orders.ordered_at < day.as_of_date
            union all
            select feedback.customer_id, feedback.product_id, feedback.occurred_at, 1
            from {int_coterie__feedback} as feedback cross join day
            where feedback.occurred_at >= day.as_of_date - 540
                and feedback.occurred_at < day.as_of_date
            union all
            select
                coalesce(events.customer_id, identities.customer_id), product_id, occurred_at, 0.2
            from (select distinct * from {stg_coterie__events}) as events
            cross join day
            left join {int_coterie__identities} as identities
                on events.customer_id is null and events.anonymous_id = identities.anonymous_id
                and identities.linked_at < day.as_of_date
            where event_type in ('page_view', 'product_view', 'add_to_cart')
                and event_id is not null
                and occurred_at >= day.as_of_date - 90 and occurred_at < day.as_of_date
        )
        select
            customer_id,
            sum(weight * power(0.5, date_diff('day', cast(happened_on as date), as_of_date) / 180))
                as evidence
        from actions
        cross join day
        where product_id in (select product_id from {int_coterie__product_interests})
            and customer_id in (select customer_id from {int_coterie__customers})
        group by customer_id
        """
    ).set_index("customer_id")["evidence"]
    found = every_input.query(
        "select customer_id, sum(evidence_units) / 1e8 as evidence "
        "from {int_coterie__customer_interest_evidence} where is_current group by customer_id"
    ).set_index("customer_id")["evidence"]
    assert sorted(found.index) == sorted(expected.index)
    assert np.allclose(found, expected[found.index], rtol=2e-3, atol=2e-3)


def test_topics_add_up(every_input):
    topics = every_input.table("coterie__interest_topics")
    assert topics["evidence_share"].sum() == pytest.approx(1, abs=1e-5)
    assert set(topics["topic_status"]) == {"stable"}
    assert set(topics["method"]) == {"nmf"}
    segments = every_input.table("int_coterie__customer_interest_segments")["segment_code"]
    counts = topics.set_index("topic_code")["customer_count"]
    assert counts.astype(int).to_dict() == segments[segments != "none"].value_counts().to_dict()


def test_a_shop_without_products_has_no_topics_and_says_why(dirty_shop):
    topics = dirty_shop.host.table("coterie__interest_topics")
    assert topics[["topic_code", "topic_status"]].to_numpy().tolist() == [["none", "disabled"]]
    assert "Map product_name or category of the input products" in topics["status_words"].iloc[0]
    assert dirty_shop.host.table("coterie__customer_interests").empty
    segments = dirty_shop.host.table("int_coterie__customer_interest_segments")
    assert len(segments) > 0
    assert set(segments["segment_code"]) == {"none"}


@pytest.mark.real_data
@pytest.mark.skipif(
    not os.environ.get("COTERIE_REAL_DATA"),
    reason="COTERIE_REAL_DATA does not name the folder of the public data sets",
)
def test_a_real_shop_has_topics_that_people_would_name(online_retail):
    assert_sql_scores_as_the_library(online_retail)
    topics = online_retail.table("coterie__interest_topics").set_index("topic_code")
    assert 8 <= len(topics) <= 12
    first_terms = topics["top_terms"].str.split(", ").str[:4]
    for word in ("christmas", "bag", "glass", "sign", "heart", "holder"):
        assert first_terms.map(lambda terms, word=word: word in terms).any(), word
    assert topics["stability"].mean() > 0.7
    # Most of what is sold is about something.
    shares = online_retail.query(
        "select count(interests.product_id) / count(*) as share "
        "from {int_coterie__order_lines} as lines left join ("
        "select distinct product_id from {int_coterie__product_interests}"
        ") as interests using (product_id)"
    )
    assert shares["share"].iloc[0] > 0.55
