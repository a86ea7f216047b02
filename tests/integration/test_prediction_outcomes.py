"""Probabilities that were published as of three dates, and what came of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from harness import differences
from scenarios import PUBLISHING_DATES

FIRST, SECOND, FIRST_AGAIN, LAST = range(4)


@pytest.fixture(scope="module")
def published(publishing_shop):
    return [built["int_coterie__published_predictions"] for built in publishing_shop.built]


@pytest.fixture(scope="module")
def outcomes(publishing_shop):
    return [built["coterie__prediction_outcomes"] for built in publishing_shop.built]


def dates_of(rows: pd.DataFrame) -> list[str]:
    return sorted({str(date)[:10] for date in rows["as_of_date"]})


def purchases(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["prediction_name"] == "purchase_30d"]


def test_each_date_is_kept_and_no_date_is_written_again(published):
    assert dates_of(published[FIRST]) == [PUBLISHING_DATES[FIRST]]
    assert dates_of(published[LAST]) == sorted(set(PUBLISHING_DATES))
    assert differences({"rows": published[SECOND]}, {"rows": published[FIRST_AGAIN]}) == []
    for earlier, later in ((FIRST, SECOND), (FIRST_AGAIN, LAST)):
        kept = published[later][published[later]["as_of_date"].isin(published[earlier].as_of_date)]
        assert differences({"rows": published[earlier]}, {"rows": kept}) == []


def test_as_many_as_the_setting_says_are_kept_as_they_were_published(publishing_shop, published):
    rows = purchases(published[LAST])
    assert set(rows.groupby("as_of_date").size()) == {1500}
    assert not rows["is_complement"].any()
    newest = rows[rows["as_of_date"] == rows["as_of_date"].max()]
    scores = purchases(publishing_shop.last_scores)
    both = newest.merge(scores, on="customer_id", suffixes=("", "_mart"), validate="one_to_one")
    assert len(both) == 1500
    for column in ("probability", "band", "model_version", "horizon_days", "as_of_date"):
        assert (both[column] == both[f"{column}_mart"]).all(), column


def test_the_same_customers_are_followed_from_date_to_date(published):
    rows = purchases(published[LAST])
    customers = rows.groupby("as_of_date")["customer_id"].agg(set).tolist()
    # New customers come and others are no longer scored, but a sample anew would share few.
    assert len(customers[0] & customers[1]) > 1200


def test_a_date_is_judged_once_its_window_has_closed(outcomes):
    # The window from the first date ends on the second.
    assert dates_of(outcomes[FIRST]) == []
    assert dates_of(outcomes[SECOND]) == [PUBLISHING_DATES[FIRST]]
    assert dates_of(outcomes[FIRST_AGAIN]) == []
    assert dates_of(purchases(outcomes[LAST])) == [
        PUBLISHING_DATES[FIRST],
        PUBLISHING_DATES[SECOND],
    ]


def test_rates_are_those_of_the_orders_in_the_window(publishing_shop, published, outcomes):
    rows = purchases(published[LAST])
    orders = publishing_shop.orders[["customer_id", "ordered_at"]]
    found = rows.merge(orders, on="customer_id", how="left")
    days = (found["ordered_at"] - found["as_of_date"]) / pd.Timedelta(days=1)
    found["outcome"] = (days >= 0) & (days < 30)
    keys = ["as_of_date", "band"]
    judged = found.groupby([*keys, "customer_id"], as_index=False).agg(
        outcome=("outcome", "max"), probability=("probability", "first")
    )
    expected = judged.groupby(keys).agg(
        customer_count=("outcome", "size"),
        predicted_rate=("probability", "mean"),
        observed_rate=("outcome", "mean"),
    )
    told = purchases(outcomes[LAST]).set_index(keys).sort_index()
    expected = expected.loc[told.index]
    assert len(told) >= 4
    for column in expected:
        np.testing.assert_allclose(told[column], expected[column].astype(float), atol=1e-6)


def test_what_was_published_came_true(outcomes):
    told = purchases(outcomes[LAST])
    told = told[told["outcome_status"] != "too_few"]
    assert (told["outcome_status"] == "as_predicted").mean() >= 0.7
    assert (
        told["observed_rate"]
        .between(told["observed_rate_lower"], told["observed_rate_upper"])
        .all()
    )
    rates = told.groupby("band")["observed_rate"].mean()
    assert rates["very_low"] < rates["medium"]
