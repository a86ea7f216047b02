"""The tables of the shop, chunk by chunk of 1,000 customers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from coterie.demo.catalogue import (
    ACQUISITION_CHANNELS,
    ACQUISITION_SHARES,
    ACTIVE_REGIONS,
    AS_OF_DATE,
    BRANDS,
    CANCELLED_SHARE,
    CATEGORIES,
    CATEGORY_WORDS,
    CHUNK_SIZE,
    CLOSINGS,
    COMPANION_CHANCE,
    COMPANIONS,
    CONSENT_SHARES,
    COUPONS,
    DAY_COUNT,
    DIRTY_ROWS,
    ERASED_COUNT,
    ESPRESSO_DAYS,
    ESPRESSO_PRODUCTS,
    ESPRESSO_SHARE,
    EVENT_TYPES,
    FULL_REFUND_SHARE,
    GROUPS,
    INPUTS,
    LATE_DAYS,
    LAUNCHES,
    LISTS,
    MISSING_STATUS_SHARE,
    OPENINGS,
    PARTIAL_REFUND_SHARE,
    PENDING_SHARE,
    PLACES,
    PRODUCTS,
    QUIET,
    REGRANT_SHARE,
    REVIEW_SHARE,
    SECONDS_A_DAY,
    SHOP_ANSWER_SHARE,
    SHOP_COMMENTS,
    STARTED_ON,
    TASTES,
    TEST_SHARE,
    VIP_SHARE,
    WITHDRAWAL_SHARE,
    WORDLESS_SHARE,
    Shop,
)
from coterie.demo.process import (
    Process,
    State,
    orders_per_year,
    purchase_probability,
    simulate,
    stream,
)

HIDDEN = ("owner", "rule", "arrived_at")
"""Columns of the chunks' tables that are not in the files: whose row it is, the `DIRTY_ROWS` rule
that planted it, and since when it is in the warehouse."""

# A chunk's rows are numbered from here to ID_SPACE; planted rows with ids of their own from
# FIRST_PLANTED on.
ID_SPACE = 100_000
FIRST_PLANTED = 90_001
FIRST_STRAY = 95_001
FUTURE = np.datetime64("2099-01-01T12:00:00")


@dataclass
class Chunk:
    """What the tables of one chunk share.

    Parameters
    ----------
    shop : Shop
        How much happens.
    seed : int
        Seed of all random streams.
    number : int
        The chunk; its customers are numbered from ``number * CHUNK_SIZE + 1`` on.
    group : ndarray of int
        The planted groups, as positions in `GROUPS`.
    ids : ndarray of str
        The customers' ids.
    process : Process
        The parameters of their processes.
    traits : pandas.DataFrame
        Who they are and what they like.
    product_cdf : ndarray of shape (CHUNK_SIZE, product_count)
        Their cumulated chances of the products.
    state, state_then : State
        The states at `AS_OF_DATE`, and at ``until``.
    until : numpy.datetime64
        The date as of which the tables are.
    sessions : pandas.DataFrame
        All sessions, those after ``until`` included.
    """

    shop: Shop
    seed: int
    number: int
    group: np.ndarray
    ids: np.ndarray
    process: Process
    traits: pd.DataFrame
    product_cdf: np.ndarray
    state: State
    state_then: State
    until: np.datetime64
    sessions: pd.DataFrame

    def stream(self, name: str) -> np.random.Generator:
        """Return the random stream of a table."""
        return stream(self.seed, name, self.number)

    def planted_count(self, input_name: str, rule: str) -> int:
        """Return how many rows a rule plants in this chunk."""
        return DIRTY_ROWS[input_name, rule] * self.shop.dirt

    def number_rows(self, count: int, first: int = 1) -> np.ndarray:
        """Return numbers for a table's rows that no other chunk gives."""
        if first == 1 and count >= FIRST_PLANTED:
            raise ValueError(
                f"{count:,} rows of one table for {CHUNK_SIZE:,} customers are more than the "
                "numbers of a chunk: ask for less pace, basket or extra_views"
            )
        return self.number * ID_SPACE + first + np.arange(count)


def _id_text(prefix: str, numbers: np.ndarray, width: int) -> pa.Array:
    digits = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def _ids(prefix: str, numbers: np.ndarray, width: int) -> np.ndarray:
    return _id_text(prefix, numbers, width).to_numpy(zero_copy_only=False)


def _coded(values: Sequence[str] | np.ndarray, codes: np.ndarray) -> pa.Array:
    """Return the text of each code, empty for those below 0."""
    texts = pa.array([*values, ""], pa.string())
    return texts.take(pa.array(np.where(codes < 0, len(texts) - 1, codes)))


def _blank_unless(keep: np.ndarray, texts: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(keep), texts, "")


def _times(day: np.ndarray, second: np.ndarray) -> np.ndarray:
    seconds = np.asarray(day, dtype=np.int64) * SECONDS_A_DAY + np.asarray(second, dtype=np.int64)
    return STARTED_ON.astype("datetime64[s]") + seconds


def _choice(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """Draw one column per row of `weights`."""
    cdf = np.cumsum(weights, axis=1)
    u = rng.random(len(weights)) * cdf[:, -1]
    return np.minimum((cdf <= u[:, None]).sum(axis=1), weights.shape[1] - 1)


def _trait(group: np.ndarray, name: str) -> np.ndarray:
    return np.array([getattr(g, name) for g in GROUPS])[group]


def _draw_process(
    rng: np.random.Generator, group: np.ndarray, shop: Shop = QUIET
) -> tuple[Process, np.ndarray]:
    """Draw the processes of customers, and whether each one signed up before the data."""
    n = len(group)
    day_count = DAY_COUNT - shop.first_day
    names = np.array([g.name for g in GROUPS])[group]
    gap = _trait(group, "gap_days") * np.exp(
        _trait(group, "gap_spread") * np.clip(rng.standard_normal(n), -2.2, 2.2)
    )
    gap = gap / shop.pace
    weekend = rng.random(n) < 0.35
    weekday = np.where(weekend[:, None], [0.64] * 5 + [1.9] * 2, [1.1] * 5 + [0.75] * 2)
    weekday = weekday * np.exp(0.15 * rng.standard_normal((n, 7)))
    weekday = 7 * weekday / weekday.sum(axis=1, keepdims=True)

    is_early = rng.random(n) < _trait(group, "early_share")
    u = rng.random(n)
    within = np.select(
        [names == "one_timers", names == "drifted", names == "prospects"],
        [
            np.where(u < 0.55, 0.55 + 0.2 * u, np.sqrt(np.maximum(u - 0.55, 0) / 0.45) * 0.98),
            u * 0.36,
            u**0.8 * 0.97,
        ],
        u * 0.70,
    )
    within = within * (shop.joining_share / QUIET.joining_share)
    # Customers of old come back one cycle into the data at the latest, the drifted ones later.
    early_within = np.where(names == "drifted", 160 * day_count / DAY_COUNT, 1.3 * gap)
    start = np.where(is_early, u * early_within, within * day_count).astype(np.int64)
    start = np.minimum(start + shop.first_day, DAY_COUNT - 1)
    drifting = np.minimum(start + 24 + rng.exponential(90, n), 350).astype(np.int64)
    u_fond = np.clip(rng.standard_normal(n), -2, 2)
    fond = 1 / (1 + np.exp(-0.8 * u_fond)) - 0.5

    def chance(name: str, spread: float) -> np.ndarray:
        base = np.array([getattr(g, name) for g in GROUPS])[group]
        shift = spread * fond if base.ndim == 1 else spread * fond[:, None]
        return base * np.exp(shift) / (1 - base + base * np.exp(shift))

    process = Process(
        gap_days=gap,
        regularity=_trait(group, "regularity"),
        session_chance=_trait(group, "session_chance"),
        cart_chance=_trait(group, "cart_chance"),
        end_chance=_trait(group, "end_chance"),
        order_chance=chance("order_chance", 1.2),
        first_order_chance=_trait(group, "first_order_chance"),
        quit_chance=-np.expm1(-_trait(group, "quits_per_year") / 365 * rng.gamma(2.0, 0.5, n)),
        quit_after_order=_trait(group, "quits_after_order"),
        browse_chance=np.minimum(_trait(group, "browses_per_day") * rng.gamma(2.0, 0.5, n), 0.5),
        weekday=weekday,
        start_day=start,
        quit_day=np.where(names == "drifted", drifting, 1_000_000),
    )
    return process, is_early


def _draw_traits(
    rng: np.random.Generator,
    group: np.ndarray,
    process: Process,
    is_early: np.ndarray,
    first_day: int,
) -> pd.DataFrame:
    """Draw who the customers are and what they like."""
    n = len(group)
    names = np.array([g.name for g in GROUPS])[group]
    place = rng.choice(len(PLACES), n, p=np.array([p[3] for p in PLACES]))
    age = np.clip(18 + rng.gamma(3.2, 8.0, n), 18, 88)
    gender = np.array(["female", "male", "other"])[
        _choice(rng, np.tile([0.53, 0.44, 0.03], (n, 1)))
    ]
    region = np.array([p[1] for p in PLACES])[place]
    is_active_region = np.isin(region, ACTIVE_REGIONS)
    # Log-odds of home, active, family, style.
    fondness = np.column_stack(
        [
            0.3 + 0.05 * (age - 42) - 0.5 * is_active_region,
            0.2 - 0.035 * (age - 40) + 1.6 * is_active_region + 0.4 * (gender == "male"),
            0.3 - 0.004 * (age - 42) ** 2 + 0.5,
            0.5 - 0.06 * (age - 34) + 0.7 * (gender == "female"),
        ]
    )
    weights = np.exp(np.clip(fondness, -6, 6))
    taste = _choice(rng, weights)
    days_before = np.where(
        is_early,
        1 + rng.random(n) * 730,
        np.where(rng.random(n) < 0.7, 0, 1 + rng.exponential(9, n)),
    ).astype(np.int64)
    signed_up_day = np.where(is_early, first_day, process.start_day) - days_before
    acquisition = np.array([ACQUISITION_SHARES[name] for name in names])
    return pd.DataFrame(
        {
            "place": place,
            "gender": np.where(rng.random(n) < 0.12, "", gender),
            "age": age,
            "taste": taste,
            "signed_up_day": signed_up_day,
            "acquisition": _choice(rng, acquisition),
            "hour": np.where(rng.random(n) < 0.55, 20.0, 12.5) + rng.normal(0, 0.8, n),
            "price_level": _trait(group, "price_level") * np.exp(rng.normal(0, 0.15, n)),
            "price_spread": _trait(group, "price_spread"),
            "extra_lines": _trait(group, "extra_lines") * np.exp(rng.normal(0, 0.2, n)),
            "extra_quantity": _trait(group, "extra_quantity"),
            "coupon_share": np.clip(
                _trait(group, "coupon_share") * np.exp(rng.normal(0, 0.4, n)), 0, 0.95
            ),
            "store_share": np.clip(
                _trait(group, "store_share") * np.exp(rng.normal(0, 0.8, n)), 0, 0.95
            ),
            "is_app_user": rng.random(n) < 0.3,
            "has_second_device": rng.random(n) < 0.3,
            "payment": _choice(rng, np.tile([0.55, 0.27, 0.12, 0.06], (n, 1))),
            "tracked_share": np.clip(0.52 + 0.18 * rng.standard_normal(n), 0.15, 0.95),
            "is_subscriber": rng.random(n) < 0.62,
            "opens": 1 / (1 + np.exp(-(-0.5 + 0.8 * rng.standard_normal(n)))),
        }
    )


def make_products(seed: int) -> pd.DataFrame:
    """Return the products, with the ``price`` and ``popularity`` that no table shows."""
    rng = stream(seed, "products")
    launches = dict(LAUNCHES)
    rows = []
    for category, _taste, _popularity in CATEGORIES:
        for item in PRODUCTS[category].split(", "):
            name, text = item.rsplit(" ", 1)
            price = int(text)
            launched = launches.get(name)
            if launched is None:
                launched = str(np.datetime64("2020-01-06") + 7 * int(rng.integers(0, 180)))
            rows.append(
                {
                    "product_id": f"p{len(rows) + 1:03d}",
                    "product_name": name,
                    "category": category,
                    "brand": BRANDS[int(rng.integers(len(BRANDS)))],
                    "unit_cost": round(price * float(rng.uniform(0.42, 0.68)), 2),
                    "launched_at": np.datetime64(launched, "s"),
                    "price": price,
                    "popularity": float(np.exp(rng.normal(0, 0.35))),
                }
            )
    return pd.DataFrame(rows)


def _product_cdf(
    rng: np.random.Generator, traits: pd.DataFrame, products: pd.DataFrame
) -> np.ndarray:
    """Return each customer's cumulated chances of the products."""
    taste_of = {category: TASTES.index(taste) for category, taste, _ in CATEGORIES}
    popularity = {category: weight for category, _, weight in CATEGORIES}
    category_taste = products["category"].map(taste_of).to_numpy()
    base = (products["popularity"] * products["category"].map(popularity)).to_numpy()
    price = np.log(products["price"].to_numpy())
    level = np.log(traits["price_level"].to_numpy())[:, None]
    distance = (price - level) / traits["price_spread"].to_numpy()[:, None]
    likes = category_taste[None, :] == traits["taste"].to_numpy()[:, None]
    categories = {category: i for i, (category, _, _) in enumerate(CATEGORIES)}
    mix = rng.gamma(2.0, 0.5, (len(traits), len(categories)))
    weights = base * np.where(likes, 6.0, 1.0) * np.exp(-0.5 * distance**2)
    weights = weights * mix[:, products["category"].map(categories).to_numpy()]
    cdf = np.cumsum(weights, axis=1)
    return cdf / cdf[:, -1:]


def _pick_products(
    cdf: np.ndarray, u: np.ndarray, day: np.ndarray, products: pd.DataFrame
) -> np.ndarray:
    """Draw a product that is out on its day per row, by the numbers `u` and the chances `cdf`."""
    picked = np.minimum((cdf <= u[:, None]).sum(axis=1), len(products) - 1)
    return _in_stock(picked, day, products)


def _in_stock(product: np.ndarray, day: np.ndarray, products: pd.DataFrame) -> np.ndarray:
    """Return each product, or where it is not launched on its day the next before it that is."""
    product = product.copy()
    waiting = np.flatnonzero(~_is_out(product, day, products))
    while len(waiting):
        product[waiting] = (product[waiting] - 1) % len(products)
        waiting = waiting[~_is_out(product[waiting], day[waiting], products)]
    return product


def _is_out(product: np.ndarray, day: np.ndarray, products: pd.DataFrame) -> np.ndarray:
    """Return whether each product is launched on its day."""
    launched = products["launched_at"].to_numpy().astype("datetime64[D]")
    return day >= (launched - STARTED_ON).astype(np.int64)[product]


def make_chunk(
    seed: int,
    number: int,
    products: pd.DataFrame,
    shop: Shop = QUIET,
    until: np.datetime64 = AS_OF_DATE,
) -> Chunk:
    """Draw the customers of one chunk and all their sessions."""
    return next(make_chunks(seed, [number], products, shop, until))


def make_chunks(
    seed: int,
    numbers: Sequence[int],
    products: pd.DataFrame,
    shop: Shop = QUIET,
    until: np.datetime64 = AS_OF_DATE,
) -> Iterator[Chunk]:
    """Draw the customers of a few chunks and all their sessions.

    The chunks run through the days together, which is faster, each on its own random stream.
    """
    shares = np.array([g.share for g in GROUPS])
    groups, processes, all_early = [], [], []
    for number in numbers:
        rng = stream(seed, "groups", number)
        groups.append(rng.choice(len(GROUPS), CHUNK_SIZE, p=shares / shares.sum()))
        process, is_early = _draw_process(stream(seed, "process", number), groups[-1], shop)
        processes.append(process)
        all_early.append(is_early)
    everybody = Process.concatenate(processes)
    streams = [stream(seed, "missions", number) for number in numbers]
    until_day = int((until - STARTED_ON).astype(int))
    state = State.initial(len(numbers) * CHUNK_SIZE)
    state, all_sessions = simulate(everybody, state, range(shop.first_day, until_day), streams)
    state_then = state
    if until_day < DAY_COUNT:
        state, later = simulate(everybody, state_then, range(until_day, DAY_COUNT), streams)
        all_sessions = pd.concat([all_sessions, later], ignore_index=True)
    chunk_of = all_sessions["position"].to_numpy() // CHUNK_SIZE
    for i, (number, process) in enumerate(zip(numbers, processes, strict=True)):
        mine = np.arange(i * CHUNK_SIZE, (i + 1) * CHUNK_SIZE)
        rng = stream(seed, "traits", number)
        traits = _draw_traits(rng, groups[i], process, all_early[i], shop.first_day)
        cdf = _product_cdf(stream(seed, "tastes", number), traits, products)
        sessions = all_sessions[chunk_of == i].reset_index(drop=True)
        sessions["position"] -= i * CHUNK_SIZE
        chunk = Chunk(
            shop=shop,
            seed=seed,
            number=number,
            group=groups[i],
            ids=_ids("c", number * CHUNK_SIZE + 1 + np.arange(CHUNK_SIZE), 5),
            process=process,
            traits=traits,
            product_cdf=cdf,
            state=state.take(mine),
            state_then=state_then.take(mine),
            until=until,
            sessions=sessions,
        )
        _draw_times_and_products(chunk, products)
        yield chunk


def _draw_times_and_products(chunk: Chunk, products: pd.DataFrame) -> None:
    """Draw when in its day each session is, and the product it is about."""
    rng = chunk.stream("sessions")
    sessions = chunk.sessions
    position = sessions["position"].to_numpy()
    hour = chunk.traits["hour"].to_numpy()[position] + rng.normal(0, 1.6, len(sessions))
    sessions["second"] = (np.clip(hour, 6.5, 22.6) * 3600).astype(np.int64)
    u = rng.random(len(sessions))
    day = sessions["day"].to_numpy()
    product = _pick_products(chunk.product_cdf[position], u, day, products)
    # The product a mission is about is the same in its events and in its order.
    mission = sessions["mission"].to_numpy()
    _, first, which = np.unique(
        position * 100_000 + mission, return_index=True, return_inverse=True
    )
    sessions["product"] = np.where(mission > 0, product[first][which], product)


def _customers(chunk: Chunk) -> pd.DataFrame:
    rng = chunk.stream("customers")
    n = CHUNK_SIZE
    traits = chunk.traits
    place = traits["place"].to_numpy()
    number = chunk.number * CHUNK_SIZE + np.arange(n)
    emails = np.array([f"shopper{i + 1:05d}@example.com" for i in number], dtype=object)
    phones = np.array(
        [PLACES[p][4].format(int(i) % 1000) for p, i in zip(place, number, strict=True)],
        dtype=object,
    )
    phones[rng.random(n) < 0.35] = ""

    # Within the data the sign-up is a little before the first session of its day.
    first = chunk.sessions.drop_duplicates("position").set_index("position")["second"]
    first_second = first.reindex(np.arange(n), fill_value=12 * 3600).to_numpy()
    second = first_second - rng.integers(60, 1_800, n)
    signed_up_at = _times(traits["signed_up_day"].to_numpy(), second)

    birth_year_days = (traits["age"].to_numpy() * 365.25).astype(np.int64)
    birth_date = (AS_OF_DATE - birth_year_days).astype("datetime64[s]")
    birth_date = np.where(rng.random(n) < 0.18, np.datetime64("NaT"), birth_date)

    dirty = rng.permutation(n)
    rules = ("shared_email", "shared_email", "implausible_birth_date", "duplicate_exact")
    ends = np.cumsum([chunk.planted_count("customers", rule) for rule in rules])
    sharers, shared, implausible, twins = np.split(dirty[: ends[-1]], ends[:-1])
    emails[sharers] = [emails[i].upper() for i in shared]
    birth_date[implausible] = np.datetime64("1900-01-01", "s")

    frame = pd.DataFrame(
        {
            "customer_id": chunk.ids,
            "email": emails,
            "phone": phones,
            "signed_up_at": signed_up_at,
            "birth_date": birth_date,
            "gender": traits["gender"].to_numpy(),
            "country_code": np.array([p[0] for p in PLACES], dtype=object)[place],
            "region": np.array([p[1] for p in PLACES], dtype=object)[place],
            "city": np.array([p[2] for p in PLACES], dtype=object)[place],
            "acquisition_channel": np.array(ACQUISITION_CHANNELS)[traits["acquisition"]],
            "owner": np.arange(n),
            "rule": "",
            "arrived_at": signed_up_at,
        }
    )
    frame.loc[sharers, "rule"] = "shared_email"
    frame.loc[implausible, "rule"] = "implausible_birth_date"
    return _append(frame, frame.loc[twins].assign(rule="duplicate_exact"), "customer_id")


def _append(frame: pd.DataFrame, extra: pd.DataFrame, key: str) -> pd.DataFrame:
    return pd.concat([frame, extra]).sort_values(key, kind="stable").reset_index(drop=True)


def _plant(rng: np.random.Generator, chunk: Chunk, input_name: str, rule: str) -> np.ndarray:
    """Return the customers' positions for the rows that `rule` plants."""
    return rng.integers(0, CHUNK_SIZE, chunk.planted_count(input_name, rule))


def _baskets(chunk: Chunk, products: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw all orders with lines: who, when, what, at which price."""
    rng = chunk.stream("baskets")
    sessions = chunk.sessions
    rows = np.flatnonzero(sessions["is_order"].to_numpy())
    orders = pd.DataFrame(
        {
            "owner": sessions["position"].to_numpy()[rows],
            "day": sessions["day"].to_numpy()[rows],
            "second": sessions["second"].to_numpy()[rows] + rng.integers(240, 1_500, len(rows)),
            "product": sessions["product"].to_numpy()[rows],
            "session_row": rows,
            "rule": "",
        }
    )
    planted = []
    for rule in ("guest", "unknown_customer"):
        owner = _plant(rng, chunk, "orders", rule)
        day = rng.integers(chunk.shop.first_day, DAY_COUNT, len(owner))
        if rule == "guest":  # so that even the smallest shop sells on its last day
            owner[0], day[0] = 0, DAY_COUNT - 1
        product = _pick_products(chunk.product_cdf[owner], rng.random(len(owner)), day, products)
        second = rng.integers(8 * 3600, 22 * 3600, len(owner))
        planted.append(
            pd.DataFrame(
                {
                    "owner": owner,
                    "day": day,
                    "second": second,
                    "product": product,
                    "session_row": -1,
                    "rule": rule,
                }
            )
        )
    orders = pd.concat([orders, *planted]).sort_values(["day", "second", "owner"], kind="stable")
    orders = orders.reset_index(drop=True)
    n = len(orders)
    owner = orders["owner"].to_numpy()
    traits = chunk.traits

    has_coupon = rng.random(n) < traits["coupon_share"].to_numpy()[owner]
    coupon = _choice(rng, np.tile([0.4, 0.25, 0.25, 0.1], (n, 1)))
    is_sale = rng.random(n) < 0.05
    orders["coupon"] = np.where(has_coupon, coupon, -1)
    percent = np.where(has_coupon, 10 + 5 * coupon, np.where(is_sale, 10, 0))

    basket = chunk.shop.basket
    extra_lines = rng.poisson(traits["extra_lines"].to_numpy()[owner] * basket)
    line_count = 1 + np.minimum(extra_lines, round(4 * max(basket, 1)))
    order = np.repeat(np.arange(n), line_count)
    is_main = np.r_[True, order[1:] != order[:-1]]
    day = orders["day"].to_numpy()[order]
    u = rng.random(len(order))
    product = orders["product"].to_numpy()[order]
    more = np.flatnonzero(~is_main)
    product[more] = _pick_products(
        chunk.product_cdf[owner[order[more]]], u[more], day[more], products
    )
    names = {name: i for i, name in enumerate(products["product_name"])}
    companion = np.full(len(products), -1)
    for name, other in COMPANIONS:
        companion[names[name]] = names[other]
    joins = (companion[product] >= 0) & (rng.random(len(order)) < COMPANION_CHANCE)
    joins &= _is_out(companion[product], day, products)
    quantity = 1 + rng.poisson(traits["extra_quantity"].to_numpy()[owner[order]])
    lines = pd.DataFrame(
        {
            "order": np.r_[order, order[joins]],
            "product": np.r_[product, companion[product[joins]]],
            "quantity": np.r_[quantity, np.ones(joins.sum(), dtype=np.int64)],
        }
    ).drop_duplicates(["order", "product"])
    lines = lines.sort_values(["order", "product"], kind="stable").reset_index(drop=True)
    price = products["price"].to_numpy()[lines["product"]] * 100 - 10
    gross = lines["quantity"].to_numpy() * price
    discount = (gross * percent[lines["order"].to_numpy()] + 50) // 100
    lines["line_cents"] = gross - discount
    lines["discount_cents"] = discount
    sums = lines.groupby("order")[["line_cents", "discount_cents"]].sum()
    orders["cents"] = sums["line_cents"].to_numpy()
    orders["discount_cents"] = sums["discount_cents"].to_numpy()
    orders["order_id"] = _ids("o", chunk.number_rows(n), 7)
    customer_id = chunk.ids[owner].copy()
    rule = orders["rule"].to_numpy()
    customer_id[rule == "guest"] = ""
    unknown = np.flatnonzero(rule == "unknown_customer")
    customer_id[unknown] = _ids("x", chunk.number * 100 + 1 + np.arange(len(unknown)), 5)
    orders["customer_id"] = customer_id
    is_store = rng.random(n) < traits["store_share"].to_numpy()[owner]
    is_app = traits["is_app_user"].to_numpy()[owner] & (rng.random(n) < 0.8)
    orders["channel"] = np.where(is_store, "store", np.where(is_app, "app", "web"))
    return orders, lines


def _orders(chunk: Chunk, baskets: pd.DataFrame) -> pd.DataFrame:
    rng = chunk.stream("orders")
    n = len(baskets)
    owner = baskets["owner"].to_numpy()
    ordered_at = _times(baskets["day"].to_numpy(), baskets["second"].to_numpy())
    cents = baskets["cents"].to_numpy()

    # The guest who keeps the last day open completes the order.
    u = np.where(baskets["rule"] == "guest", 1.0, rng.random(n))
    cuts = np.cumsum([CANCELLED_SHARE, PENDING_SHARE, TEST_SHARE, MISSING_STATUS_SHARE])
    kind = np.searchsorted(cuts, u, side="right")
    status = np.array(["cancelled", "pending", "completed", "", "completed"], dtype=object)[kind]
    is_test = kind == 2
    status[is_test & (rng.random(n) < 0.5)] = "test"

    def later(mean_days: float, late_share: float) -> np.ndarray:
        days = 0.05 + rng.exponential(mean_days, n)
        days = np.where(rng.random(n) < late_share, 30 + rng.random(n) * 90, days)
        return ordered_at + (days * SECONDS_A_DAY).astype(np.int64)

    changed_at = later(1.5, 0.12)
    is_shipped = (kind == 4) & (rng.random(n) < 0.12)
    is_changed = (kind == 0) | is_shipped
    changed_at = np.where(is_changed, changed_at, np.datetime64("NaT"))

    u_refund = np.where(kind >= 3, rng.random(n), 1.0)
    is_full = u_refund < FULL_REFUND_SHARE
    is_refund = u_refund < FULL_REFUND_SHARE + PARTIAL_REFUND_SHARE
    part = cents * rng.integers(15, 70, n) // 100
    refunded_at = later(9.0, 0.10)
    refund = np.where(is_full, cents, part) / 100

    place = chunk.traits["place"].to_numpy()[owner]
    country = np.array([p[0] for p in PLACES], dtype=object)[place]
    abroad = rng.random(n) < 0.012
    shipping = np.where(abroad, np.array(["IE", "AT", "BE"], dtype=object)[owner % 3], country)
    payment = np.array(["card", "wallet", "invoice", "bank_transfer"], dtype=object)
    habit = chunk.traits["payment"].to_numpy()[owner]
    habit = np.where(rng.random(n) < 0.15, rng.integers(0, 4, n), habit)
    coupon = np.array([*COUPONS, ""], dtype=object)[baskets["coupon"].to_numpy()]
    frame = pd.DataFrame(
        {
            "order_id": baskets["order_id"],
            "customer_id": baskets["customer_id"],
            "ordered_at": ordered_at,
            "order_amount": cents / 100,
            "status": status,
            "status_changed_at": changed_at,
            "refund_amount": np.where(is_refund, refund, np.nan),
            "refunded_at": np.where(is_refund, refunded_at, np.datetime64("NaT")),
            "discount_amount": baskets["discount_cents"].to_numpy() / 100,
            "sales_channel": baskets["channel"],
            "coupon_code": coupon,
            "payment_method": payment[habit],
            "billing_country_code": country,
            "shipping_country_code": shipping,
            "is_test": is_test,
            "owner": owner,
            "rule": baskets["rule"],
            "arrived_at": ordered_at,
        }
    )
    frame = _orders_as_of(frame, AS_OF_DATE)

    clean = frame.index[(frame["rule"] == "") & (frame["status"] == "completed")].to_numpy()
    count = {rule: chunk.planted_count("orders", rule) for at, rule in DIRTY_ROWS if at == "orders"}
    exact = frame.loc[rng.choice(clean, count["duplicate_exact"], replace=False)]
    changed = frame.index[frame["status_changed_at"].notna() & (frame["rule"] == "")].to_numpy()
    changed = np.setdiff1d(changed, exact.index)
    older = frame.loc[rng.choice(changed, count["duplicate_older_state"], replace=False)]
    older = older.assign(
        status="pending",
        status_changed_at=older["ordered_at"],
        refund_amount=np.nan,
        refunded_at=np.datetime64("NaT"),
    )
    no_id = frame.loc[rng.choice(clean, count["null_order_id"], replace=False)]
    no_amount = frame.loc[rng.choice(clean, count["null_amount"], replace=False)]
    future = frame.loc[rng.choice(clean, count["future_date"], replace=False)]
    fresh = _ids("o", chunk.number_rows(len(no_amount) + len(future), FIRST_PLANTED), 7)
    blank = {"refund_amount": np.nan, "refunded_at": np.datetime64("NaT")}
    blank["status_changed_at"] = np.datetime64("NaT")
    frame = pd.concat(
        [
            frame,
            exact.assign(rule="duplicate_exact"),
            older.assign(rule="duplicate_older_state"),
            no_id.assign(rule="null_order_id", order_id="", **blank),
            no_amount.assign(
                rule="null_amount",
                order_id=fresh[: len(no_amount)],
                order_amount=np.nan,
                discount_amount=np.nan,
                **blank,
            ),
            future.assign(
                rule="future_date",
                order_id=fresh[len(no_amount) :],
                ordered_at=FUTURE,
                **blank,
            ),
        ]
    )
    return frame.sort_values("ordered_at", kind="stable").reset_index(drop=True)


def _orders_as_of(orders: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """Return the orders as they stood before a date."""
    end = until.astype("datetime64[s]")
    is_unchanged = ~(orders["status_changed_at"] >= end)
    # Where the warehouse holds an older state of an order too, it is all there was until then.
    is_older = orders["rule"] == "duplicate_older_state"
    is_newer = orders["order_id"].isin(orders.loc[is_older, "order_id"]) & ~is_older
    orders = orders[(orders["arrived_at"] < end) & (is_unchanged | ~is_newer)]
    is_unchanged = is_unchanged[orders.index]
    is_refunded = ~(orders["refunded_at"] >= end)
    return orders.assign(
        status=orders["status"].mask(
            ~is_unchanged & (orders["status"] == "cancelled"), "completed"
        ),
        status_changed_at=orders["status_changed_at"].where(is_unchanged),
        refund_amount=orders["refund_amount"].where(is_refunded),
        refunded_at=orders["refunded_at"].where(is_refunded),
    )


def _order_lines(
    chunk: Chunk, baskets: pd.DataFrame, lines: pd.DataFrame, products: pd.DataFrame
) -> pd.DataFrame:
    rng = chunk.stream("order_lines")
    order = lines["order"].to_numpy()
    frame = pd.DataFrame(
        {
            "order_id": baskets["order_id"].to_numpy()[order],
            "product_id": products["product_id"].to_numpy()[lines["product"]],
            "quantity": lines["quantity"].astype("Int64"),
            "line_amount": lines["line_cents"] / 100,
            "discount_amount": lines["discount_cents"] / 100,
            "owner": baskets["owner"].to_numpy()[order],
            "rule": "",
            "arrived_at": _times(baskets["day"].to_numpy(), baskets["second"].to_numpy())[order],
        }
    )
    rules = [rule for at, rule in DIRTY_ROWS if at == "order_lines"]
    count = {rule: chunk.planted_count("order_lines", rule) for rule in rules}
    rows = rng.choice(len(frame), sum(count.values()), replace=False)
    unknown, rows = rows[: count["unknown_order"]], rows[count["unknown_order"] :]
    product, rows = rows[: count["unknown_product"]], rows[count["unknown_product"] :]
    stray = _ids("o", chunk.number_rows(len(unknown), FIRST_STRAY), 7)
    free = {"line_amount": 0.0, "discount_amount": 0.0}
    frame = pd.concat(
        [
            frame,
            frame.loc[unknown].assign(rule="unknown_order", order_id=stray),
            frame.loc[product].assign(rule="unknown_product", product_id="p999", **free),
            frame.loc[rows].assign(rule="null_quantity", quantity=pd.NA, product_id="p998", **free),
        ]
    )
    return frame.sort_values("order_id", kind="stable").reset_index(drop=True)


def _web_sessions(chunk: Chunk, baskets: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Draw how each session looks from the web shop: device, log-in, whether it is seen at all."""
    rng = chunk.stream("web_sessions")
    frame = chunk.sessions.copy()
    n = len(frame)
    position = frame["position"].to_numpy()
    traits = chunk.traits
    is_order = frame["is_order"].to_numpy()
    is_app = traits["is_app_user"].to_numpy()[position] & (rng.random(n) < 0.6)
    channel = np.where(is_app, "app", "web").astype(object)
    bought = baskets[baskets["session_row"] >= 0]
    channel[bought["session_row"]] = bought["channel"]
    frame["channel"] = channel
    second_device = traits["has_second_device"].to_numpy()[position] & (rng.random(n) < 0.35)
    frame["device"] = second_device.astype(np.int64)
    frame["is_first"] = (~frame["position"].duplicated()).to_numpy()
    frame["is_logged_in"] = (
        (rng.random(n) < 0.72)
        | is_order
        | frame["is_first"].to_numpy()
        | (frame["channel"] == "app").to_numpy()
    )
    frame["is_seen"] = rng.random(n) < traits["tracked_share"].to_numpy()[position]
    frame["at"] = _times(frame["day"].to_numpy(), frame["second"].to_numpy())

    # Visits before the sign-up, when nobody knows yet who it is.
    sign_up = customers.drop_duplicates("owner").sort_values("owner")["signed_up_at"].to_numpy()
    visits = np.repeat(np.arange(CHUNK_SIZE), rng.poisson(0.6, CHUNK_SIZE))
    before = (rng.exponential(5, len(visits)) * SECONDS_A_DAY).astype(np.int64) + 3_600
    early = pd.DataFrame(
        {
            "position": visits,
            "mission": 0,
            "adds_cart": False,
            "has_cart": False,
            "is_last": False,
            "is_order": False,
            "product": chunk.sessions["product"].to_numpy()[
                rng.integers(0, n, len(visits))  # what anybody looks at
            ],
            "channel": "web",
            "device": 0,
            "is_first": False,
            "is_logged_in": False,
            "is_seen": rng.random(len(visits)) < 0.7,
            "at": sign_up[visits].astype("datetime64[s]") - before,
        }
    )
    frame = pd.concat([frame.drop(columns=["day", "second"]), early])
    since = chunk.shop.events_since.astype("datetime64[s]")
    frame = frame[frame["at"] >= since].sort_values(["at", "position"], kind="stable")
    frame = frame.reset_index(drop=True)
    device_number = (chunk.number * CHUNK_SIZE + frame["position"] + 1) * 2 + frame["device"]
    frame["device_number"] = device_number
    frame["is_seen"] &= frame["channel"] != "store"

    # A device is linked by the first log-in on it after a visit without one.
    is_anonymous = (frame["is_seen"] & ~frame["is_logged_in"]).to_numpy()
    seen = pd.Series(np.where(is_anonymous, frame["at"], np.datetime64("NaT")))
    known_since = seen.groupby(device_number).transform("min")
    links = frame["is_logged_in"] & known_since.notna() & (frame["at"] > known_since)
    first_link = frame["at"].where(links).groupby(device_number).transform("min")
    frame["is_link"] = links & (frame["at"] == first_link)
    return frame


def _events(chunk: Chunk, web: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    rng = chunk.stream("events")
    web = web[web["is_seen"]].reset_index(drop=True)
    n = len(web)
    in_mission = (web["mission"] > 0).to_numpy()
    adds_cart = web["adds_cart"].to_numpy()
    is_order = web["is_order"].to_numpy()
    lost_cart = (web["is_last"] & web["has_cart"]).to_numpy() & ~is_order
    u = rng.random((6, n))
    # Slots in the order of a visit: page, search, product, another product, cart, checkout.
    happens = np.column_stack(
        [
            u[0] < np.where(in_mission, 0.08, 0.40),
            u[1] < np.where(in_mission, 0.18, 0.12),
            u[2] < np.where(in_mission, 0.82, 0.55),
            u[3] < np.where(in_mission, 0.12, 0.08),
            np.where(in_mission, adds_cart, u[4] < 0.03),
            is_order | (lost_cart & (u[5] < 0.35)),
        ]
    )
    happens[happens.sum(axis=1) == 0, 0] = True
    views = happens.astype(np.int64)
    if chunk.shop.extra_views:
        views[:, 3] += chunk.stream("extra_views").poisson(chunk.shop.extra_views, n)
    session, slot = np.nonzero(views)
    session, slot = (np.repeat(x, views[session, slot]) for x in (session, slot))
    gap = rng.integers(8, 110, len(session))
    total = np.cumsum(gap)
    is_new = np.r_[True, session[1:] != session[:-1]]
    offset = total - np.maximum.accumulate(np.where(is_new, total, 0))
    if chunk.shop.extra_views:  # a long visit is a hasty one
        is_last = np.r_[is_new[1:], True]
        length = np.maximum(offset[is_last], 230)[np.cumsum(is_new) - 1]
        offset = offset * 230 // length
    offset = np.minimum(offset, 230)  # the checkout comes before its order
    at = web["at"].to_numpy().astype("datetime64[s]")[session] + offset

    position = web["position"].to_numpy()[session]
    day = (at.astype("datetime64[D]") - STARTED_ON).astype(np.int64)
    u = rng.random(len(session))
    is_main = (slot != 3) & (rng.random(len(session)) < np.where(slot == 2, 0.75, 0.9))
    has_product = (slot >= 2) & (slot <= 4)
    product = np.where(has_product, web["product"].to_numpy()[session], -1).astype(np.int64)
    other = np.flatnonzero(has_product & ~is_main)
    product[other] = _pick_products(
        chunk.product_cdf[position[other]], u[other], day[other], products
    )
    product[has_product] = _in_stock(product[has_product], day[has_product], products)

    # From here on the columns are made for the rows as the table has them: sorted, with those
    # that are planted.
    by_time = np.lexsort((session, at))
    rules = [rule for at_input, rule in DIRTY_ROWS if at_input == "events"]
    count = [chunk.planted_count("events", rule) for rule in rules]
    planted = rng.choice(len(by_time), sum(count), replace=False)
    row = np.r_[np.arange(len(by_time)), planted]
    rule = np.r_[np.full(len(by_time), -1), np.repeat(np.arange(len(rules)), count)]
    is_rule = {name: rule == i for i, name in enumerate(rules)}
    number = chunk.number_rows(len(by_time))[row]
    is_fresh = is_rule["without_visitor"] | is_rule["future_date"]
    number[is_fresh] = chunk.number_rows(is_fresh.sum(), FIRST_PLANTED)
    arrived_at = at[by_time][row]
    occurred_at = np.where(is_rule["future_date"], FUTURE, arrived_at)
    final = np.argsort(occurred_at, kind="stable")
    row, rule, number = row[final], rule[final], number[final]
    is_rule = {name: rows[final] for name, rows in is_rule.items()}
    event = by_time[row]
    session = session[event]
    position = position[event]

    logged_in = web["is_logged_in"].to_numpy()
    with_device = (~logged_in | web["is_link"].to_numpy())[session]
    with_device &= ~is_rule["without_visitor"]
    logged_in = logged_in[session] & ~is_rule["without_visitor"]
    first_device = (chunk.number * CHUNK_SIZE + position) * 7 % 10
    is_second_device = web["device"].to_numpy()[session] == 1
    device = np.where(is_second_device, 1, np.digitize(first_device, [6, 9]))
    is_app = (web["channel"] == "app").to_numpy()[session]
    device = np.where(is_app, 0, device)
    types = (*EVENT_TYPES[:3], EVENT_TYPES[2], *EVENT_TYPES[3:])
    devices = _id_text("a", web["device_number"].to_numpy()[session], 6)
    columns = {
        "event_id": _blank_unless(~is_rule["null_event_id"], _id_text("e", number, 6)),
        "occurred_at": occurred_at[final],
        "event_type": _coded(types, slot[event]),
        "customer_id": _coded(chunk.ids, np.where(logged_in, position, -1)),
        "anonymous_id": _blank_unless(with_device, devices),
        "session_id": _id_text("s", chunk.number_rows(n)[session], 6),
        "product_id": _coded(products["product_id"], product[event]),
        "channel": _coded(("web", "app"), is_app.astype(np.int64)),
        "device_type": _coded(("mobile", "desktop", "tablet"), device),
        "owner": position,
        "rule": _coded(rules, rule),
        "arrived_at": arrived_at[final],
    }
    return pa.table(columns).to_pandas()


def _identities(chunk: Chunk, web: pd.DataFrame) -> pd.DataFrame:
    rng = chunk.stream("identities")
    links = web[web["is_link"]].drop_duplicates("device_number")
    position = links["position"].to_numpy()
    frame = pd.DataFrame(
        {
            "anonymous_id": _ids("a", links["device_number"].to_numpy(), 6),
            "customer_id": chunk.ids[position],
            "linked_at": links["at"].to_numpy().astype("datetime64[s]"),
            "owner": position,
            "rule": "",
            "arrived_at": links["at"].to_numpy().astype("datetime64[s]"),
        }
    )
    # Two people at one device: the second link is newer, and of another customer.
    count = chunk.planted_count("identities", "conflict")
    last = np.datetime64(AS_OF_DATE, "s") - 40 * SECONDS_A_DAY
    early = frame.index[(frame["linked_at"] < last) & (frame["owner"] > 0)].to_numpy()
    rows = frame.loc[rng.choice(early, count, replace=False)]
    days = rng.integers(2, 35, count) * SECONDS_A_DAY
    linked_at = rows["linked_at"].to_numpy().astype("datetime64[s]") + days
    rows = rows.assign(
        customer_id=chunk.ids[rows["owner"].to_numpy() - 1],
        linked_at=linked_at,
        rule="conflict",
        arrived_at=linked_at,
    )
    return _append(frame, rows, "anonymous_id")


def _messages(chunk: Chunk, customers: pd.DataFrame) -> pd.DataFrame:
    rng = chunk.stream("messages")
    n = CHUNK_SIZE
    traits = chunk.traits
    first_day = chunk.shop.first_day
    signed_up = customers.drop_duplicates("owner").sort_values("owner")["signed_up_at"]
    signed_up_day = signed_up.to_numpy().astype("datetime64[D]")
    visits = np.zeros((n, DAY_COUNT - first_day), dtype=np.int16)
    visits[chunk.sessions["position"], chunk.sessions["day"] - first_day] = 1
    visits = np.cumsum(visits, axis=1, dtype=np.int16)
    listens = traits["is_subscriber"].to_numpy().copy()
    opens = traits["opens"].to_numpy()
    parts = []
    this_month = AS_OF_DATE.astype("datetime64[M]")
    months = this_month + np.arange(-chunk.shop.newsletter_count, 0)
    for campaign, month in enumerate(months):
        first = month.astype("datetime64[D]")
        send_on = first + (1 - (int(first.astype(int)) + 3)) % 7  # the first Tuesday
        day = int((send_on - STARTED_ON).astype(int))
        # Whatever is sent, each customer takes the same random numbers.
        u_open, u_click, u_unsubscribe, u_bounce, u_second = rng.random((5, n))
        hours = rng.exponential(7.0, (2, n))
        engaged = visits[:, day - first_day - 1] > visits[:, day - first_day - 150]
        sent = listens & engaged & (signed_up_day < send_on)
        alive = chunk.state.quit_on > day
        bounced = u_bounce < 0.004
        opened = ~bounced & (u_open < opens * np.where(alive, 1.0, 0.3))
        clicked = opened & (u_click < np.where(alive, 0.30, 0.08))
        unsubscribed = ~bounced & (u_unsubscribe < np.where(alive, 0.008, 0.03))
        sent_at = _times(np.full(n, day), 8 * 3600 + (u_second * 1_800).astype(np.int64))
        opened_at = sent_at + 60 + (hours[0] * 3600).astype(np.int64)
        clicked_at = opened_at + 5 + (hours[1] * 30).astype(np.int64)
        left_at = np.where(opened, opened_at + 40, sent_at + 7_200)
        bounced_at = sent_at + 20
        never = np.datetime64("NaT", "s")
        columns = {
            "owner": np.arange(n),
            "campaign": np.full(n, campaign),
            "sent_at": sent_at,
            "opened_at": np.where(opened, opened_at, never),
            "clicked_at": np.where(clicked, clicked_at, never),
            "unsubscribed_at": np.where(unsubscribed, left_at, never),
            "bounced_at": np.where(bounced, bounced_at, never),
        }
        to = np.flatnonzero(sent)
        to = to[np.argsort(sent_at[to], kind="stable")]
        parts.append({name: values[to] for name, values in columns.items()})
        listens &= ~(sent & (unsubscribed | bounced))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    owner, sent_at = columns.pop("owner"), columns.pop("sent_at")
    table = {
        "message_id": _id_text("m", chunk.number_rows(len(owner)), 6),
        "customer_id": _coded(chunk.ids, owner),
        "sent_at": sent_at,
        "channel": _coded(["email"], np.zeros(len(owner), dtype=np.int64)),
        "campaign_id": _coded([f"n{month}" for month in months], columns.pop("campaign")),
        **columns,
        "owner": owner,
        "rule": _coded([], np.full(len(owner), -1)),
        "arrived_at": sent_at,
    }
    frame = _messages_as_of(pa.table(table).to_pandas(), AS_OF_DATE)

    count = chunk.planted_count("messages", "unknown_customer")
    twin_count = chunk.planted_count("messages", "duplicate_exact")
    rows = rng.choice(len(frame), count + twin_count, replace=False)
    stray = frame.loc[rows[:count]].assign(
        rule="unknown_customer",
        message_id=_ids("m", chunk.number_rows(count, FIRST_PLANTED), 6),
        customer_id=_ids("x", chunk.number * 100 + 51 + np.arange(count), 5),
    )
    twins = frame.loc[rows[count:]].assign(rule="duplicate_exact")
    return _append(frame, pd.concat([stray, twins]), "sent_at")


def _messages_as_of(messages: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """Return the messages as they stood before a date."""
    end = until.astype("datetime64[s]")
    messages = messages[messages["arrived_at"] < end]
    stamps = ("opened_at", "clicked_at", "unsubscribed_at", "bounced_at")
    known = {name: messages[name].where(messages[name] < end) for name in stamps}
    return messages.assign(**known)


def _seed_audiences(
    chunk: Chunk, baskets: pd.DataFrame, lines: pd.DataFrame, products: pd.DataFrame
) -> pd.DataFrame:
    """Draw who is in the espresso club, and who is on the list of important customers."""
    rng = chunk.stream("seed_audiences")
    order = lines["order"].to_numpy()
    owner, day = baskets["owner"].to_numpy()[order], baskets["day"].to_numpy()[order]
    names = products["product_name"].to_numpy()[lines["product"]]
    is_ours = (baskets["rule"].to_numpy() == "")[order]
    is_early = day < chunk.shop.first_day + ESPRESSO_DAYS
    bought_on = (
        pd.Series(day)[np.isin(names, ESPRESSO_PRODUCTS) & is_ours & is_early]
        .groupby(owner[np.isin(names, ESPRESSO_PRODUCTS) & is_ours & is_early])
        .min()
        .reindex(np.arange(CHUNK_SIZE))
    )
    is_in_club = bought_on.notna().to_numpy() & (rng.random(CHUNK_SIZE) < ESPRESSO_SHARE)
    # Somebody puts big spenders on the list a while after their first order.
    is_big = np.array([g.name == "big_spenders" for g in GROUPS])[chunk.group]
    first_day = pd.Series(baskets["day"].to_numpy()).groupby(baskets["owner"].to_numpy()).min()
    first_day = first_day.reindex(np.arange(CHUNK_SIZE))
    is_important = is_big & first_day.notna().to_numpy() & (rng.random(CHUNK_SIZE) < VIP_SHARE)
    parts = []
    for code, chosen, listed_on in (
        ("espresso_club", is_in_club, bought_on),
        ("vip", is_important, first_day + 60),
    ):
        position = np.flatnonzero(chosen)
        parts.append(
            pd.DataFrame(
                {
                    "audience_code": code,
                    "customer_id": chunk.ids[position],
                    "owner": position,
                    "rule": "",
                    "arrived_at": _times(listed_on.to_numpy()[position], 0),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _consents(chunk: Chunk, customers: pd.DataFrame) -> pd.DataFrame:
    """Draw what customers grant on the day they sign up, withdraw later and grant again."""
    rng = chunk.stream("consents")
    signed_up = customers.drop_duplicates("owner").sort_values("owner")["signed_up_at"]
    signed_up_at = signed_up.to_numpy().astype("datetime64[s]")
    end = AS_OF_DATE.astype("datetime64[s]")
    parts = []
    for purpose, share in CONSENT_SHARES.items():
        u_grant, u_withdraw, u_again, u_first, u_second = rng.random((5, CHUNK_SIZE))
        granted = u_grant < share
        withdrawn = granted & (u_withdraw < WITHDRAWAL_SHARE)
        again = withdrawn & (u_again < REGRANT_SHARE)
        seconds = (end - signed_up_at).astype(np.int64)
        withdrawn_at = signed_up_at + (seconds * u_first).astype(np.int64)
        seconds = (end - withdrawn_at).astype(np.int64)
        for chosen, is_granted, at in (
            (granted, True, signed_up_at),
            (withdrawn, False, withdrawn_at),
            (again, True, withdrawn_at + (seconds * u_second).astype(np.int64)),
        ):
            position = np.flatnonzero(chosen & (at < end))
            columns = {
                "customer_id": chunk.ids[position],
                "purpose": purpose,
                "is_granted": is_granted,
                "changed_at": at[position],
                "owner": position,
                "rule": "",
                "arrived_at": at[position],
            }
            parts.append(pd.DataFrame(columns))
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values(["owner", "changed_at", "purpose"], kind="stable", ignore_index=True)


def _erasure_requests(chunk: Chunk) -> pd.DataFrame:
    """Draw who has asked to be erased: former customers of whom nothing else is left."""
    rng = chunk.stream("erasure_requests")
    days = chunk.shop.first_day + 200 + rng.integers(0, 300, ERASED_COUNT)
    requested_at = _times(days, 36_000 + rng.integers(0, 28_800, ERASED_COUNT))
    return pd.DataFrame(
        {
            "customer_id": _ids("z", chunk.number * ERASED_COUNT + 1 + np.arange(ERASED_COUNT), 5),
            "requested_at": requested_at,
            "owner": np.arange(ERASED_COUNT),
            "rule": "",
            "arrived_at": requested_at,
        }
    )


def _feedback(
    chunk: Chunk, baskets: pd.DataFrame, lines: pd.DataFrame, products: pd.DataFrame
) -> pd.DataFrame:
    """Draw reviews of products that were bought, and answers about the shop."""
    rng = chunk.stream("feedback")
    is_known = (baskets["rule"] == "").to_numpy()
    order = lines["order"].to_numpy()
    reviewed = np.flatnonzero((rng.random(len(lines)) < REVIEW_SHARE) & is_known[order])
    answered = np.flatnonzero((rng.random(len(baskets)) < SHOP_ANSWER_SHARE) & is_known)
    order = np.r_[order[reviewed], answered]
    product = np.r_[lines["product"].to_numpy()[reviewed], np.full(len(answered), -1)]
    n = len(order)
    days = 2 + rng.exponential(9.0, n)
    occurred_at = _times(baskets["day"].to_numpy()[order], baskets["second"].to_numpy()[order])
    occurred_at = occurred_at + (days * SECONDS_A_DAY).astype(np.int64)
    rating = 1 + _choice(rng, np.tile([0.04, 0.06, 0.14, 0.34, 0.42], (n, 1)))
    has_rating = rng.random(n) >= 0.03
    has_words = rng.random(n) >= WORDLESS_SHARE
    frame = pd.DataFrame(
        {
            "feedback_id": _ids("f", chunk.number_rows(n), 6),
            "customer_id": chunk.ids[baskets["owner"].to_numpy()[order]],
            "occurred_at": occurred_at,
            "rating": pd.array(np.where(has_rating, rating, 0), dtype="Int64"),
            "comment": np.where(has_words, _comments(rng, product, products), ""),
            "product_id": np.append(products["product_id"].to_numpy(), "")[product],
            "owner": baskets["owner"].to_numpy()[order],
            "rule": "",
            "arrived_at": occurred_at,
        }
    )
    frame.loc[~has_rating, "rating"] = pd.NA
    frame = frame[frame["occurred_at"] < AS_OF_DATE.astype("datetime64[s]")]

    rules = ("unknown_customer", "duplicate_exact", "null_feedback_id")
    ends = np.cumsum([chunk.planted_count("feedback", rule) for rule in rules])
    rows = rng.choice(frame.index.to_numpy(), ends[-1], replace=False)
    stray, twins, nameless = np.split(rows, ends[:-1])
    fresh = _ids("f", chunk.number_rows(len(stray), FIRST_PLANTED), 6)
    strangers = _ids("x", chunk.number * 100 + 76 + np.arange(len(stray)), 5)
    planted = [
        frame.loc[stray].assign(rule="unknown_customer", feedback_id=fresh, customer_id=strangers),
        frame.loc[twins].assign(rule="duplicate_exact"),
        frame.loc[nameless].assign(rule="null_feedback_id", feedback_id=""),
    ]
    return _append(frame, pd.concat(planted), "occurred_at")


def _comments(rng: np.random.Generator, product: np.ndarray, products: pd.DataFrame) -> np.ndarray:
    """Write one comment per product, or for those below 0 about the shop."""
    names = products["product_name"].str.lower().to_numpy()
    category_words = {name: words.split() for name, words in CATEGORY_WORDS.items()}
    words = np.array([category_words[name] for name in products["category"]], dtype=object)
    opening = rng.integers(0, len(OPENINGS), len(product))
    closing = rng.integers(0, len(CLOSINGS), len(product))
    # The first few of a shuffled list: no word twice in a comment.
    order = rng.random((len(product), words.shape[1])).argsort(axis=1, kind="stable")
    count = rng.integers(2, 5, len(product))
    comments = np.empty(len(product), dtype=object)
    for row, item in enumerate(product):
        if item < 0:
            comments[row] = SHOP_COMMENTS[opening[row] % len(SHOP_COMMENTS)]
            continue
        said = " ".join(words[item][order[row, : count[row]]])
        start = OPENINGS[opening[row]].format(names[item])
        comments[row] = f"{start}: {said}: {CLOSINGS[closing[row]]}"
    return comments


def _truth(chunk: Chunk, customers: pd.DataFrame) -> pd.DataFrame:
    names = np.array([g.name for g in GROUPS], dtype=object)
    until_day = int((chunk.until - STARTED_ON).astype(int))
    probability = purchase_probability(chunk.process, chunk.state_then, until_day)
    return pd.DataFrame(
        {
            "customer_id": chunk.ids,
            "group": names[chunk.group],
            "taste": np.array(TASTES, dtype=object)[chunk.traits["taste"]],
            "is_alive": chunk.state_then.is_alive,
            "true_orders_per_year": np.round(orders_per_year(chunk.process), 3),
            "true_purchase_probability_30d": np.round(probability, 6),
            "owner": np.arange(CHUNK_SIZE),
            "rule": "",
            "arrived_at": customers["signed_up_at"].to_numpy(),
        }
    )


def _order_states(orders: pd.DataFrame) -> dict[str, int]:
    """Count the orders whose state is not plain, over all rows of the table."""
    refund = orders["refund_amount"] / orders["order_amount"]
    late = np.timedelta64(LATE_DAYS, "D")
    states = {
        "cancelled": orders["status"] == "cancelled",
        "pending": orders["status"] == "pending",
        "missing_status": orders["status"] == "",
        "test": orders["is_test"],
        "partly_refunded": refund < 1,
        "fully_refunded": refund >= 1,
        "late_refund": orders["refunded_at"] - orders["ordered_at"] > late,
        "late_status_change": orders["status_changed_at"] - orders["ordered_at"] > late,
    }
    return {rule: int(rows.sum()) for rule, rows in states.items()}


def count_planted(name: str, frame: pd.DataFrame) -> dict[str, int]:
    """Count the planted rows of a chunk's table by rule, and its orders that are not plain."""
    counts = frame["rule"].value_counts()
    planted = {rule: int(counts.get(rule, 0)) for at, rule in DIRTY_ROWS if at == name}
    return planted | (_order_states(frame) if name == "orders" else {})


def chunk_tables(
    chunk: Chunk,
    products: pd.DataFrame,
    kept: int = CHUNK_SIZE,
    inputs: Collection[str] = (*INPUTS, *LISTS),
) -> dict[str, pd.DataFrame]:
    """Make the tables of one chunk, and its ``truth``, as of ``chunk.until``.

    Parameters
    ----------
    chunk : Chunk
        The customers and their sessions.
    products : pandas.DataFrame
        The result of `make_products`.
    kept : int
        Rows of the first customers only, as many as this.
    inputs : collection of str
        The tables to make; ``products`` is not among them.

    Returns
    -------
    dict of str to pandas.DataFrame
        The tables with their `HIDDEN` columns.
    """
    customers = _customers(chunk)
    baskets, lines = _baskets(chunk, products)
    web = _web_sessions(chunk, baskets, customers)
    makers = {
        "orders": lambda: _orders(chunk, baskets),
        "customers": lambda: customers,
        "order_lines": lambda: _order_lines(chunk, baskets, lines, products),
        "events": lambda: _events(chunk, web, products),
        "identities": lambda: _identities(chunk, web),
        "messages": lambda: _messages(chunk, customers),
        "seed_audiences": lambda: _seed_audiences(chunk, baskets, lines, products),
        "consents": lambda: _consents(chunk, customers),
        "erasure_requests": lambda: _erasure_requests(chunk),
        "feedback": lambda: _feedback(chunk, baskets, lines, products),
        "truth": lambda: _truth(chunk, customers.drop_duplicates("owner").sort_values("owner")),
    }
    tables = {}
    for name, make in makers.items():
        if name not in inputs and name != "truth":
            continue
        frame = make()
        if chunk.until < AS_OF_DATE:
            if name == "orders":
                frame = _orders_as_of(frame, chunk.until)
            elif name == "messages":
                frame = _messages_as_of(frame, chunk.until)
            frame = frame[frame["arrived_at"] < chunk.until.astype("datetime64[s]")]
        if kept < CHUNK_SIZE:
            frame = frame[frame["owner"] < kept]
        tables[name] = frame
    return tables


def listed_products(products: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """Return the products as the shop's table lists them before a date."""
    is_listed = products["launched_at"] < until.astype("datetime64[s]")
    return products[is_listed].drop(columns=["price", "popularity"])


def check_request(
    customer_count: int, inputs: Collection[str], shop: Shop, until: np.datetime64
) -> None:
    """Refuse what cannot be generated; see `generate_demo`."""
    if customer_count < 1:
        raise ValueError(f"customer_count is {customer_count}: ask for at least 1 customer")
    unknown = sorted(set(inputs) - {*INPUTS, *LISTS})
    if unknown:
        raise ValueError(f"unknown inputs {unknown}: choose among {[*INPUTS, *LISTS]}")
    if not shop.started_on < until <= AS_OF_DATE:
        raise ValueError(
            f"until is {until}: choose a day after {shop.started_on}, {AS_OF_DATE} at the latest"
        )


def generate_demo(
    customer_count: int = 2_000,
    seed: int = 7,
    inputs: Collection[str] = (*INPUTS, *LISTS),
    shop: Shop = QUIET,
    until: np.datetime64 = AS_OF_DATE,
) -> dict[str, pd.DataFrame]:
    """Generate the demo shop in memory.

    Parameters
    ----------
    customer_count : int
        Number of customers; the first ones do not depend on it.
    seed : int
        Seed of all random streams.
    inputs : collection of str
        The tables to generate, of `INPUTS` and `LISTS`; leaving one out changes no other.
    shop : Shop
        How much happens in the shop.
    until : numpy.datetime64
        The tables as they stood before this day: rows of what had happened, with the statuses,
        refunds, opens and clicks of then.

    Returns
    -------
    dict of str to pandas.DataFrame
        One table per input; ``truth``, one row per customer: the planted ``group``, ``taste``,
        ``is_alive``, ``true_orders_per_year`` (of a living customer) and
        ``true_purchase_probability_30d`` (of a valid order in the 30 days from `until`, given
        the state of the process at that date); and ``truth_dirty``: planted rows by input and
        rule, and the orders that are cancelled, refunded and the like, planted rows included.

    Raises
    ------
    ValueError
        If `customer_count` is below 1, `inputs` names an unknown table or `until` is not in the
        time of the shop.
    """
    check_request(customer_count, inputs, shop, until)
    products = make_products(seed)
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in (*INPUTS, *LISTS, "truth")}
    for number in range(-(-customer_count // CHUNK_SIZE)):
        kept = min(CHUNK_SIZE, customer_count - number * CHUNK_SIZE)
        chunk = make_chunk(seed, number, products, shop, until)
        for name, frame in chunk_tables(chunk, products, kept, inputs).items():
            parts[name].append(frame)
    tables = {}
    planted = []
    for name in (*INPUTS, *LISTS, "truth"):
        if name == "products" and name in inputs:
            tables[name] = listed_products(products, until)
        elif parts[name]:
            frame = pd.concat(parts[name], ignore_index=True)
            planted += [(name, *count) for count in count_planted(name, frame).items()]
            tables[name] = frame.drop(columns=list(HIDDEN))
    tables["truth_dirty"] = pd.DataFrame(planted, columns=["input", "rule", "row_count"])
    return tables
