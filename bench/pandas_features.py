"""The features of int_coterie__customer_features as an analyst would write them in pandas.

Like `floor.sql` it reads the raw files, takes the pairs of date and customer as given, and checks
nothing. It is a second, independent way to the same numbers, and a measure of what the models save.

    python bench/pandas_features.py --data DIR --pairs pairs.parquet --out features.parquet
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from common import Clock, timed_features

KEY = ["as_of_date", "customer_id"]
INVALID_STATUSES = ["cancelled", "canceled", "failed", "voided", "pending", "test"]
#: What only other features of orders are made of.
PARTS = ["previous_order_count", "previous_net_amount", "day_count", "first_net_amount"]
EVENT_KINDS = {
    "view": [
        *["view", "page_view", "pageview", "page", "product_view", "view_item"],
        *["product_viewed", "product viewed"],
    ],
    "search": [
        *["search", "searched", "products_searched", "products searched"],
        "view_search_results",
    ],
    "cart": ["cart", "add_to_cart", "added_to_cart", "product_added", "product added"],
    "checkout": ["checkout", "checkout_started", "checkout started", "begin_checkout"],
}


def read_input(folder: Path, name: str, columns: list[str]) -> pd.DataFrame:
    """Read some columns of an input, money as floats."""
    table = pq.read_table(folder / f"{name}.parquet", columns=columns)
    for position, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            table = table.set_column(position, field.name, table[position].cast(pa.float64()))
    return table.to_pandas()


def share(numerator: pd.Series, denominator: pd.Series) -> pd.Series:
    """Divide, with NaN over zero."""
    return numerator / denominator.where(denominator != 0)


def days_before(date: pd.Series, time: pd.Series) -> pd.Series:
    """Count the whole days from the day of a time to a date."""
    return (date - time.dt.normalize()).dt.days


def orders_as_of(pairs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Give one row per pair and order before the date, as it was known then."""
    columns = ["order_id", "customer_id", "ordered_at", "order_amount", "status"]
    columns += ["status_changed_at", "refund_amount", "refunded_at", "discount_amount"]
    columns += ["sales_channel", "coupon_code", "is_test"]
    orders = read_input(folder, "orders", columns)
    orders = orders[~orders["is_test"].fillna(False).astype(bool)]
    orders = pairs.merge(orders, on="customer_id")
    orders = orders[orders["ordered_at"] < orders["as_of_date"]]
    as_of = orders["as_of_date"]
    refunded_at = orders["refunded_at"].fillna(orders["ordered_at"])
    status_changed_at = orders["status_changed_at"].fillna(orders["ordered_at"])
    refund = orders["refund_amount"].abs().fillna(0)
    status = orders["status"].str.strip().str.lower()
    return orders.assign(
        days_ago=days_before(as_of, orders["ordered_at"]),
        ordered_on=orders["ordered_at"].dt.normalize(),
        refund_amount=refund.where(refunded_at < as_of, 0),
        discount_amount=orders["discount_amount"].abs().fillna(0),
        is_cancelled=status.isin(INVALID_STATUSES) & (status_changed_at < as_of),
    )


def order_features(orders: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give what the pairs have ordered, and the valid orders themselves."""
    orders["net_amount"] = (orders["order_amount"] - orders["refund_amount"]).round(2)
    orders["is_valid"] = ~orders["is_cancelled"] & (orders["net_amount"] > 0)
    is_kept = ~orders["is_cancelled"] & (orders["order_amount"] > 0)
    orders["kept_amount"] = orders["order_amount"].where(is_kept, 0)
    orders["kept_refund"] = orders[["refund_amount", "order_amount"]].min(axis=1).where(is_kept, 0)
    orders["kept_discount"] = orders["discount_amount"].where(is_kept, 0)
    placed = orders.groupby(KEY).agg(
        refund_amount=("kept_refund", "sum"),
        kept_amount=("kept_amount", "sum"),
        kept_discount=("kept_discount", "sum"),
        cancelled_order_share=("is_cancelled", "mean"),
    )

    valid = orders[orders["is_valid"]].copy()
    days_ago = valid["days_ago"]
    hour = valid["ordered_at"].dt.hour
    for days in (30, 90, 365):
        valid[f"is_{days}d"] = days_ago <= days
        valid[f"net_{days}d"] = valid["net_amount"].where(days_ago <= days, 0)
    valid["is_previous"] = days_ago.between(91, 180)
    valid["net_previous"] = valid["net_amount"].where(valid["is_previous"], 0)
    valid["has_coupon"] = valid["coupon_code"].notna()
    valid["is_weekend"] = valid["ordered_at"].dt.day_of_week >= 5
    valid["is_morning"] = hour.between(5, 11)
    valid["is_evening"] = hour >= 18
    found = valid.groupby(KEY).agg(
        days_since_last_order=("days_ago", "min"),
        days_since_first_order=("days_ago", "max"),
        order_count=("order_id", "size"),
        order_count_30d=("is_30d", "sum"),
        order_count_90d=("is_90d", "sum"),
        order_count_365d=("is_365d", "sum"),
        previous_order_count=("is_previous", "sum"),
        net_amount=("net_amount", "sum"),
        net_amount_90d=("net_90d", "sum"),
        net_amount_365d=("net_365d", "sum"),
        previous_net_amount=("net_previous", "sum"),
        coupon_order_share=("has_coupon", "mean"),
        weekend_order_share=("is_weekend", "mean"),
        morning_order_share=("is_morning", "mean"),
        evening_order_share=("is_evening", "mean"),
    )

    days = valid.groupby([*KEY, "ordered_on"], as_index=False)["net_amount"].sum()
    days["gap_days"] = days.groupby(KEY)["ordered_on"].diff().dt.days
    rhythm = days.groupby(KEY).agg(
        day_count=("ordered_on", "size"),
        max_gap_days=("gap_days", "max"),
        first_net_amount=("net_amount", "first"),
        last_net_amount=("net_amount", "last"),
    )
    channels = valid.dropna(subset="sales_channel").groupby([*KEY, "sales_channel"]).size()
    channels = channels.groupby(level=[0, 1]).agg(["size", "max", "sum"])

    span = found["days_since_first_order"] - found["days_since_last_order"]
    gaps = rhythm["day_count"] - 1
    found = found.join(rhythm).assign(
        order_count_change_90d=found["order_count_90d"] - found["previous_order_count"],
        net_amount_change_90d=found["net_amount_90d"] - found["previous_net_amount"],
        avg_net_amount=share(found["net_amount"], found["order_count"]),
        avg_repeat_net_amount=share(found["net_amount"] - rhythm["first_net_amount"], gaps),
        avg_gap_days=share(span, gaps),
        overdue_ratio=share(found["days_since_last_order"] * gaps, span),
        days_until_due=share(span, gaps) - found["days_since_last_order"],
        sales_channel_count=channels["size"],
        top_sales_channel_share=share(channels["max"], channels["sum"]),
    )
    placed["refund_share"] = share(placed["refund_amount"], placed["kept_amount"])
    # Of customers with a valid order, like all that is said of valid orders.
    discount_share = share(placed["kept_discount"], placed["kept_amount"] + placed["kept_discount"])
    found["discount_share"] = discount_share
    found = placed[["refund_share", "cancelled_order_share"]].join(found)
    return found, valid[[*KEY, "order_id"]]


def line_features(valid_orders: pd.DataFrame, folder: Path) -> pd.DataFrame:
    columns = ["order_id", "product_id", "quantity", "line_amount"]
    lines = read_input(folder, "order_lines", columns)
    products = read_input(folder, "products", ["product_id", "category"])
    products["category"] = products["category"].fillna("unknown")
    lines = valid_orders.merge(lines, on="order_id")

    bought = lines.groupby([*KEY, "product_id"]).agg(
        order_count=("order_id", "nunique"), line_amount=("line_amount", "sum")
    )
    bought = bought.reset_index().assign(is_repeated=lambda rows: rows["order_count"] > 1)
    found = bought.groupby(KEY).agg(
        product_count=("product_id", "size"), repeat_product_share=("is_repeated", "mean")
    )
    categories = bought.merge(products, on="product_id")
    categories = categories.groupby([*KEY, "category"])["line_amount"].sum()
    categories = categories.groupby(level=[0, 1]).agg(["size", "max", "sum"])
    baskets = lines.groupby(KEY).agg(
        quantity=("quantity", "sum"), order_count=("order_id", "nunique")
    )
    return found.assign(
        avg_item_count=share(baskets["quantity"], baskets["order_count"]),
        category_count=categories["size"],
        top_category_share=share(categories["max"], categories["sum"]),
    )


def event_features(pairs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    columns = ["occurred_at", "event_type", "customer_id", "anonymous_id", "session_id"]
    events = read_input(folder, "events", columns)
    links = read_input(folder, "identities", ["anonymous_id", "customer_id", "linked_at"])
    links = links.sort_values(["linked_at", "customer_id"]).drop_duplicates("anonymous_id")
    links = links.rename(columns={"customer_id": "linked_customer_id"})
    links = links[["anonymous_id", "linked_customer_id", "linked_at"]]
    events = events.merge(links, on="anonymous_id", how="left")
    is_anonymous = events["customer_id"].isna()
    events["customer_id"] = events["customer_id"].fillna(events["linked_customer_id"])
    events = events.dropna(subset="customer_id")
    events["occurred_on"] = events["occurred_at"].dt.normalize()
    linked_on = events["linked_at"].dt.normalize().where(is_anonymous)
    events["known_on"] = events["occurred_on"].where(
        ~(linked_on > events["occurred_on"]), linked_on
    )
    # Where the tracker keeps no sessions, a customer's day is one.
    events["session_id"] = events["session_id"].fillna("")
    event_type = events["event_type"].str.strip().str.lower()
    for kind, words in EVENT_KINDS.items():
        events[f"{kind}_count"] = event_type.isin(words)
    counts = [f"{kind}_count" for kind in EVENT_KINDS]
    events = pairs.merge(events, on="customer_id")
    events = events[events["known_on"] < events["as_of_date"]]
    sessions = events.groupby([*KEY, "occurred_on", "session_id"], as_index=False).agg(
        event_count=("event_type", "size"), **{name: (name, "sum") for name in counts}
    )
    days_ago = (sessions["as_of_date"] - sessions["occurred_on"]).dt.days
    sessions["days_ago"] = days_ago
    for days in (7, 30, 90):
        sessions[f"is_{days}d"] = days_ago <= days
    is_engaged = (sessions["event_count"] >= 2) | (sessions["cart_count"] > 0)
    sessions["is_engaged"] = is_engaged & (days_ago <= 90)
    for kind in EVENT_KINDS:
        count = sessions[f"{kind}_count"]
        sessions[f"days_since_{kind}"] = days_ago.where(count > 0)
        sessions[f"{kind}_count_30d"] = count.where(days_ago <= 30, 0)
    return sessions.groupby(KEY).agg(
        days_since_last_session=("days_ago", "min"),
        session_count_7d=("is_7d", "sum"),
        session_count_30d=("is_30d", "sum"),
        session_count_90d=("is_90d", "sum"),
        engaged_session_count_90d=("is_engaged", "sum"),
        **{f"days_since_last_{kind}": (f"days_since_{kind}", "min") for kind in EVENT_KINDS},
        **{f"{kind}_count_30d": (f"{kind}_count_30d", "sum") for kind in EVENT_KINDS},
    )


def message_features(pairs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    columns = ["customer_id", "sent_at", "opened_at", "clicked_at", "unsubscribed_at"]
    messages = read_input(folder, "messages", columns)
    messages = pairs.merge(messages, on="customer_id")
    messages = messages[messages["sent_at"] < messages["as_of_date"]].copy()
    as_of = messages["as_of_date"]
    messages["days_ago"] = days_before(as_of, messages["sent_at"])
    is_recent = messages["days_ago"] <= 90
    for name in ("opened", "clicked"):
        answered_at = messages[f"{name}_at"].where(messages[f"{name}_at"] < as_of)
        messages[f"days_since_{name}"] = days_before(as_of, answered_at)
        messages[f"is_{name}"] = answered_at.notna() & is_recent
    messages["is_recent"] = is_recent
    messages["is_unsubscribed"] = messages["unsubscribed_at"] < as_of
    found = messages.groupby(KEY).agg(
        days_since_last_message=("days_ago", "min"),
        message_count_90d=("is_recent", "sum"),
        opened_count=("is_opened", "sum"),
        clicked_count=("is_clicked", "sum"),
        days_since_last_open=("days_since_opened", "min"),
        days_since_last_click=("days_since_clicked", "min"),
        is_unsubscribed=("is_unsubscribed", "max"),
    )
    return found.assign(
        open_share_90d=share(found["opened_count"], found["message_count_90d"]),
        click_share_90d=share(found["clicked_count"], found["message_count_90d"]),
    ).drop(columns=["opened_count", "clicked_count"])


def signup_features(pairs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    columns = ["customer_id", "signed_up_at"]
    customers = read_input(folder, "customers", columns)
    customers = customers.groupby("customer_id", as_index=False).min()
    found = pairs.merge(customers, on="customer_id")
    found = found[found["signed_up_at"] < found["as_of_date"]]
    days = days_before(found["as_of_date"], found["signed_up_at"])
    return found.assign(days_since_signup=days).set_index(KEY)[["days_since_signup"]]


def customer_features(folder: Path, pairs: pd.DataFrame) -> pd.DataFrame:
    """Give all features of the pairs, with 0 for counts and sums of nothing."""
    pairs = pairs[KEY].assign(as_of_date=pd.to_datetime(pairs["as_of_date"]))
    orders, valid_orders = order_features(orders_as_of(pairs, folder))
    features = pairs.set_index(KEY).join(
        [
            signup_features(pairs, folder),
            orders.drop(columns=PARTS),
            line_features(valid_orders, folder),
            event_features(pairs, folder),
            message_features(pairs, folder),
        ]
    )
    of_nothing = [name for name in features if name.endswith(("_count", "_7d", "_30d"))]
    of_nothing += [
        f"{name}_{days}d" for name in ("order_count", "net_amount") for days in (90, 365)
    ]
    of_nothing += ["net_amount", "session_count_90d", "engaged_session_count_90d"]
    of_nothing += ["order_count_change_90d", "net_amount_change_90d", "message_count_90d"]
    of_nothing += ["is_unsubscribed"]
    of_nothing.remove("avg_item_count")
    features[of_nothing] = features[of_nothing].fillna(0).astype(float)
    return features.reset_index()


def run_pandas(data: Path, pairs: Path, out: Path, clock: Clock) -> None:
    with clock:
        features = customer_features(data, pd.read_parquet(pairs))
    features.to_parquet(out, index=False)


def main(arguments: Sequence[str] | None = None) -> None:
    timed_features(run_pandas, __doc__, arguments)


if __name__ == "__main__":
    main()
