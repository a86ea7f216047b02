"""A generated shop with a known truth: two years of orders, events and messages.

Customers belong to planted groups. Each one is simulated forward, day by day, as a Markov
process: shopping missions start by a renewal process whose clock runs faster in season and on the
customer's own weekdays; a mission is one to four sessions, may fill a cart, and ends with an
order or without one; customers quit for ever at a rate of their own. All that decides the future
is the state at the end of the last day, so the probability of an order in the next 30 days is
computed exactly (`purchase_probability`) and written beside the data.

Every table draws from its own random stream, keyed by the seed, the name of the stream and the
number of the chunk of 1,000 customers. A new table, or one left out, changes no other; the first
customers do not depend on how many follow.

Run ``python -m coterie.demo --customers 2000 --seed 7 --out seeds/demo`` to write the files.
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = [
    "AS_OF_DATE",
    "GROUPS",
    "INPUTS",
    "STARTED_ON",
    "Process",
    "State",
    "generate_demo",
    "purchase_probability",
    "simulate",
    "write_demo",
]

STARTED_ON = np.datetime64("2023-10-01")
AS_OF_DATE = np.datetime64("2025-10-01")
DAY_COUNT = int((AS_OF_DATE - STARTED_ON).astype(int))
EVENTS_SINCE_DAY = int((np.datetime64("2024-07-01") - STARTED_ON).astype(int))
HORIZON_DAYS = 30
CHUNK_SIZE = 1_000
MAX_SESSIONS = 4
SECONDS_A_DAY = 86_400

INPUTS = ("orders", "customers", "order_lines", "products", "events", "identities", "messages")
"""The tables of the shop; `generate_demo` adds ``truth`` and ``truth_dirty``."""

# Demand by month, January first: a peak before Christmas, a dip in February and in July.
SEASON = np.array([0.92, 0.72, 0.92, 0.97, 1.0, 0.96, 0.76, 0.92, 1.0, 1.06, 1.36, 1.41])

CANCELLED_SHARE = 0.022
PENDING_SHARE = 0.004
TEST_SHARE = 0.003
MISSING_STATUS_SHARE = 0.04
FULL_REFUND_SHARE = 0.012
PARTIAL_REFUND_SHARE = 0.03
INVALID_SHARE = CANCELLED_SHARE + PENDING_SHARE + TEST_SHARE
VALID_SHARE = (1 - INVALID_SHARE) * (1 - FULL_REFUND_SHARE)


@dataclass(frozen=True)
class Group:
    """What the customers of one planted group have in common.

    Parameters
    ----------
    name : str
        The planted group.
    share : float
        Share of all customers.
    gap_days : float
        Mean days from the end of a mission to the start of the next.
    gap_spread : float
        Standard deviation of the logarithm of `gap_days` among customers.
    regularity : float
        Shape of the Weibull gaps; 1 is memoryless, larger is steadier.
    session_chance : float
        Chance of a session on each further day of a mission.
    cart_chance : float
        Chance that a session fills the cart, which then stays full.
    end_chance : float
        Chance that the mission ends with a session; it always ends with the fourth.
    order_chance : tuple of float
        Chance that a mission ends with an order, without and with a cart.
    first_order_chance : tuple of float
        The same for the first mission.
    quits_per_year : float
        Rate at which customers quit for ever.
    quits_after_order : float
        Chance to quit for ever with an order.
    browses_per_day : float
        Chance of a session outside missions.
    early_share : float
        Share of customers who signed up before the first day of the data.
    price_level : float
        The list price that its customers like best.
    price_spread : float
        Standard deviation of the logarithm of the prices they choose.
    extra_lines : float
        Mean number of order lines beyond the first.
    extra_quantity : float
        Mean quantity of a line beyond the first piece.
    coupon_share : float
        Mean share of orders with a coupon.
    store_share : float
        Mean share of orders in a store.
    """

    name: str
    share: float
    gap_days: float
    gap_spread: float
    regularity: float
    session_chance: float
    cart_chance: float
    end_chance: float
    order_chance: tuple[float, float]
    first_order_chance: tuple[float, float]
    quits_per_year: float
    quits_after_order: float
    browses_per_day: float
    early_share: float
    price_level: float
    price_spread: float
    extra_lines: float
    extra_quantity: float
    coupon_share: float
    store_share: float


GROUPS = (
    Group(
        name="regulars",
        share=0.105,
        gap_days=28.0,
        gap_spread=0.15,
        regularity=3.0,
        session_chance=0.35,
        cart_chance=0.45,
        end_chance=0.40,
        order_chance=(0.62, 0.93),
        first_order_chance=(0.80, 0.98),
        quits_per_year=0.075,
        quits_after_order=0.0,
        browses_per_day=0.012,
        early_share=0.60,
        price_level=48.0,
        price_spread=0.55,
        extra_lines=0.9,
        extra_quantity=0.12,
        coupon_share=0.10,
        store_share=0.15,
    ),
    Group(
        name="big_spenders",
        share=0.15,
        gap_days=68.0,
        gap_spread=0.2,
        regularity=2.2,
        session_chance=0.13,
        cart_chance=0.40,
        end_chance=0.30,
        order_chance=(0.40, 0.92),
        first_order_chance=(0.80, 0.98),
        quits_per_year=0.055,
        quits_after_order=0.0,
        browses_per_day=0.008,
        early_share=0.60,
        price_level=122.0,
        price_spread=0.5,
        extra_lines=1.0,
        extra_quantity=0.15,
        coupon_share=0.06,
        store_share=0.10,
    ),
    Group(
        name="bargain_hunters",
        share=0.065,
        gap_days=13.0,
        gap_spread=0.22,
        regularity=1.4,
        session_chance=0.50,
        cart_chance=0.50,
        end_chance=0.40,
        order_chance=(0.45, 0.85),
        first_order_chance=(0.80, 0.98),
        quits_per_year=0.08,
        quits_after_order=0.0,
        browses_per_day=0.014,
        early_share=0.45,
        price_level=11.0,
        price_spread=0.45,
        extra_lines=0.2,
        extra_quantity=0.30,
        coupon_share=0.60,
        store_share=0.05,
    ),
    Group(
        name="one_timers",
        share=0.2,
        gap_days=120.0,
        gap_spread=0.40,
        regularity=1.0,
        session_chance=0.40,
        cart_chance=0.50,
        end_chance=0.45,
        order_chance=(0.20, 0.60),
        first_order_chance=(0.97, 0.99),
        quits_per_year=0.30,
        quits_after_order=0.88,
        browses_per_day=0.008,
        early_share=0.0,
        price_level=50.0,
        price_spread=0.32,
        extra_lines=0.2,
        extra_quantity=0.10,
        coupon_share=0.20,
        store_share=0.15,
    ),
    Group(
        name="drifted",
        share=0.34,
        gap_days=42.0,
        gap_spread=0.40,
        regularity=1.5,
        session_chance=0.50,
        cart_chance=0.50,
        end_chance=0.45,
        order_chance=(0.40, 0.80),
        first_order_chance=(0.97, 0.99),
        quits_per_year=0.10,
        quits_after_order=0.62,
        browses_per_day=0.015,
        early_share=0.55,
        price_level=44.0,
        price_spread=0.6,
        extra_lines=0.4,
        extra_quantity=0.10,
        coupon_share=0.18,
        store_share=0.15,
    ),
    Group(
        name="prospects",
        share=0.14,
        gap_days=50.0,
        gap_spread=0.50,
        regularity=1.0,
        session_chance=0.30,
        cart_chance=0.15,
        end_chance=0.50,
        order_chance=(0.005, 0.03),
        first_order_chance=(0.0, 0.0),
        quits_per_year=0.60,
        quits_after_order=0.20,
        browses_per_day=0.014,
        early_share=0.20,
        price_level=38.0,
        price_spread=0.6,
        extra_lines=0.40,
        extra_quantity=0.10,
        coupon_share=0.20,
        store_share=0.05,
    ),
)

TASTES = ("home", "active", "family", "style")
# Name, taste, popularity.
CATEGORIES = (
    ("kitchen", "home", 1.25),
    ("coffee", "home", 1.15),
    ("fitness", "active", 1.0),
    ("outdoor", "active", 0.9),
    ("garden", "family", 0.9),
    ("kids", "family", 1.05),
    ("beauty", "style", 1.2),
    ("audio", "style", 0.8),
)
# The products of each category with their list prices; no two share a name.
PRODUCTS = {
    "kitchen": (
        "Chopping board 18, Chef's knife 46, Storage jars 15, Cast iron pan 64, "
        "Baking tray 13, Stand mixer 189, Tea towels 9, Salad bowl 24"
    ),
    "coffee": (
        "Coffee grinder 79, Coffee beans 12, Pour-over set 38, "
        "Paper filters 6, Espresso machine 249, Milk jug 16, Travel mug 22"
    ),
    "fitness": (
        "Yoga mat 29, Yoga blocks 14, Kettlebell 42, Resistance bands 17, "
        "Rowing machine 299, Foam roller 25, Skipping rope 11, Weight bench 129"
    ),
    "outdoor": (
        "Two-person tent 159, Tent pegs 9, Sleeping bag 84, "
        "Head torch 27, Rucksack 96, Water bottle 15, Camping stove 49"
    ),
    "garden": (
        "Raised bed 74, Seed box 12, Hand trowel 14, "
        "Watering can 23, Garden bench 179, Plant pots 19, Pruning shears 33"
    ),
    "kids": (
        "Wooden blocks 24, Picture book 10, Train set 58, Train tracks 21, "
        "Balance bike 88, Craft box 17, Play kitchen 139, Night light 20"
    ),
    "beauty": (
        "Face cream 26, Cleansing gel 13, Hand balm 8, Bath salts 11, "
        "Hair dryer 99, Hair brush 16, Gift set 47, Facial steamer 145"
    ),
    "audio": (
        "Headphones 119, Earphones 39, Portable speaker 69, "
        "Phone stand 14, Record player 219, Record brush 10, Charging cable 12"
    ),
}
BRANDS = ("Orrinfold", "Tarnwick", "Lumbrae", "Vestalo", "Fennquil", "Quillane", "Brasko")
# Products that are bought together: the second is added to a basket that holds the first.
COMPANIONS = (
    ("Coffee grinder", "Coffee beans"),
    ("Pour-over set", "Paper filters"),
    ("Espresso machine", "Milk jug"),
    ("Yoga mat", "Yoga blocks"),
    ("Two-person tent", "Tent pegs"),
    ("Raised bed", "Seed box"),
    ("Train set", "Train tracks"),
    ("Face cream", "Cleansing gel"),
    ("Record player", "Record brush"),
    ("Portable speaker", "Charging cable"),
)
COMPANION_CHANCE = 0.4
# New products; until then their buyers take the one before in the list.
LAUNCHES = (
    ("Travel mug", "2024-03-18"),
    ("Water bottle", "2024-05-06"),
    ("Night light", "2024-09-16"),
    ("Charging cable", "2025-01-20"),
    ("Skipping rope", "2025-04-14"),
)

# country, region, city, share, pattern of the phone numbers that are reserved for fiction.
PLACES = (
    ("GB", "London", "London", 0.17, "+44 20 7946 0{:03d}"),
    ("GB", "North West", "Manchester", 0.11, "+44 161 496 0{:03d}"),
    ("GB", "Yorkshire", "Leeds", 0.09, "+44 113 496 0{:03d}"),
    ("GB", "South West", "Bristol", 0.09, "+44 117 496 0{:03d}"),
    ("GB", "Scotland", "Edinburgh", 0.08, "+44 131 496 0{:03d}"),
    ("DE", "Berlin", "Berlin", 0.10, "+49 30 23125 {:03d}"),
    ("DE", "Bavaria", "Munich", 0.09, "+49 89 99998 {:03d}"),
    ("DE", "Hamburg", "Hamburg", 0.06, "+49 40 66969 {:03d}"),
    ("FR", "Ile-de-France", "Paris", 0.12, "+33 1 99 00 1{:03d}"),
    ("FR", "Auvergne-Rhone-Alpes", "Lyon", 0.09, "+33 4 65 71 1{:03d}"),
)
ACTIVE_REGIONS = ("Scotland", "Bavaria", "Auvergne-Rhone-Alpes")
ACQUISITION_CHANNELS = ("organic", "paid_search", "paid_social", "email", "referral", "store")
ACQUISITION_SHARES = {
    "regulars": (0.34, 0.20, 0.10, 0.14, 0.14, 0.08),
    "big_spenders": (0.32, 0.16, 0.06, 0.10, 0.28, 0.08),
    "bargain_hunters": (0.14, 0.26, 0.30, 0.20, 0.08, 0.02),
    "one_timers": (0.20, 0.30, 0.32, 0.06, 0.06, 0.06),
    "drifted": (0.24, 0.28, 0.24, 0.08, 0.08, 0.08),
    "prospects": (0.26, 0.26, 0.34, 0.10, 0.04, 0.00),
}
COUPONS = ("SAVE10", "SAVE15", "SAVE20", "SAVE25")
EVENT_TYPES = ("page_view", "search", "product_view", "add_to_cart", "checkout_started")

# Rows planted in each chunk of 1,000 customers, by input and rule.
DIRTY_ROWS = {
    ("orders", "guest"): 25,
    ("orders", "unknown_customer"): 6,
    ("orders", "duplicate_exact"): 6,
    ("orders", "duplicate_older_state"): 6,
    ("orders", "null_order_id"): 2,
    ("orders", "null_amount"): 3,
    ("orders", "future_date"): 2,
    ("customers", "duplicate_exact"): 2,
    ("customers", "shared_email"): 4,
    ("customers", "implausible_birth_date"): 2,
    ("order_lines", "unknown_order"): 6,
    ("order_lines", "unknown_product"): 4,
    ("order_lines", "null_quantity"): 2,
    ("events", "duplicate_exact"): 8,
    ("events", "null_event_id"): 2,
    ("events", "without_visitor"): 3,
    ("events", "future_date"): 2,
    ("identities", "conflict"): 4,
    ("messages", "unknown_customer"): 3,
    ("messages", "duplicate_exact"): 3,
}
"""Planted rows per chunk of 1,000 customers; ``truth_dirty`` counts those of the whole shop."""

LATE_DAYS = 30
"""Refunds and status changes this long after the order count as late in ``truth_dirty``."""


# Random streams ------------------------------------------------------------------------------


def _stream(seed: int, name: str, chunk: int = 0) -> np.random.Generator:
    """Return the random stream of one table and one chunk of customers."""
    key = [seed, zlib.crc32(name.encode("ascii")), chunk]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


# The process ---------------------------------------------------------------------------------


@dataclass
class Process:
    """The parameters of n customers' processes.

    Parameters
    ----------
    gap_days : ndarray of shape (n,)
        Mean days between missions, in days of average demand.
    regularity : ndarray of shape (n,)
        Shape of the Weibull gaps.
    session_chance, cart_chance, end_chance : ndarray of shape (n,)
        Per day of a mission, per session, per session.
    order_chance, first_order_chance : ndarray of shape (n, 2)
        By cart: without, with.
    quit_chance : ndarray of shape (n,)
        Chance to quit for ever, per day.
    quit_after_order : ndarray of shape (n,)
        Chance to quit for ever, per order.
    browse_chance : ndarray of shape (n,)
        Chance of a session outside missions, per day.
    weekday : ndarray of shape (n, 7)
        Weight of each weekday, Monday first, of mean 1.
    start_day : ndarray of shape (n,)
        Day of the first mission; day 0 is `STARTED_ON`.
    quit_day : ndarray of shape (n,)
        Day on which the customer quits in any case.
    """

    gap_days: np.ndarray
    regularity: np.ndarray
    session_chance: np.ndarray
    cart_chance: np.ndarray
    end_chance: np.ndarray
    order_chance: np.ndarray
    first_order_chance: np.ndarray
    quit_chance: np.ndarray
    quit_after_order: np.ndarray
    browse_chance: np.ndarray
    weekday: np.ndarray
    start_day: np.ndarray
    quit_day: np.ndarray

    def take(self, positions: np.ndarray) -> Process:
        """Return the processes at `positions`."""
        return Process(**{f.name: getattr(self, f.name)[positions] for f in fields(self)})


@dataclass
class State:
    """All that decides the future of n customers, at the end of a day.

    Parameters
    ----------
    is_alive : ndarray of bool
        Whether the customer has not quit.
    sessions : ndarray of int
        Sessions of the mission under way; 0 is none under way.
    has_cart : ndarray of bool
        Whether the mission under way has filled a cart.
    is_first : ndarray of bool
        Whether the first mission has not ended.
    clock : ndarray of float
        Demand-weighted days since the last mission ended.
    missions : ndarray of int
        Missions started so far.
    quit_on : ndarray of int
        Day of quitting, or a day past the data.
    """

    is_alive: np.ndarray
    sessions: np.ndarray
    has_cart: np.ndarray
    is_first: np.ndarray
    clock: np.ndarray
    missions: np.ndarray
    quit_on: np.ndarray

    @classmethod
    def initial(cls, n: int) -> State:
        """Return the state of `n` customers before their first day."""
        return cls(
            is_alive=np.ones(n, dtype=bool),
            sessions=np.zeros(n, dtype=np.int64),
            has_cart=np.zeros(n, dtype=bool),
            is_first=np.ones(n, dtype=bool),
            clock=np.zeros(n),
            missions=np.zeros(n, dtype=np.int64),
            quit_on=np.full(n, 1_000_000, dtype=np.int64),
        )

    def take(self, positions: np.ndarray) -> State:
        """Return a copy of the states at `positions`."""
        return State(**{f.name: getattr(self, f.name)[positions].copy() for f in fields(self)})


def _demand(process: Process, day: int) -> np.ndarray:
    """Return each customer's demand on a day, 1 on average: season times weekday."""
    date = STARTED_ON + day
    month = date.astype("datetime64[M]")
    length = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(int)
    into_month = ((date - month.astype("datetime64[D]")).astype(int) + 0.5) / length
    index = int(month.astype(int)) % 12
    other = index + (1 if into_month > 0.5 else -1)
    weight = abs(into_month - 0.5)
    season = (1 - weight) * SEASON[index] + weight * SEASON[other % 12]
    return season / SEASON.mean() * process.weekday[:, (day + 6) % 7]


def _start_chance(process: Process, clock: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """Return the chance that a mission starts today, given the clock of yesterday.

    The gaps are Weibull in demand-weighted days: S(t) = exp(-(t / scale) ^ regularity).
    """
    k = process.regularity
    scale = process.gap_days / _gamma(1 + 1 / k)
    return -np.expm1((clock / scale) ** k - ((clock + demand) / scale) ** k)


def _gamma(x: np.ndarray) -> np.ndarray:
    values, inverse = np.unique(x, return_inverse=True)
    return np.array([math.gamma(v) for v in values])[inverse]


def simulate(
    process: Process, state: State, days: range, rng: np.random.Generator
) -> tuple[State, pd.DataFrame]:
    """Run the processes forward, day by day.

    Parameters
    ----------
    process : Process
        The parameters of n customers.
    state : State
        The states before the first of `days`; not changed.
    days : range
        The days to run, in order; day 0 is `STARTED_ON`.
    rng : numpy.random.Generator
        The random stream; each day takes five uniform numbers per customer.

    Returns
    -------
    state : State
        The states at the end of the last day.
    sessions : pandas.DataFrame
        One row per session: ``day``, ``position`` (of the customer), ``mission`` (its number, 0
        outside missions), ``adds_cart``, ``has_cart``, ``is_last``, ``is_order``.
    """
    n = len(process.gap_days)
    state = state.take(np.arange(n))
    log = []
    for day in days:
        u_quit, u_start, u_cart, u_end, u_browse = rng.random((5, n))
        demand = _demand(process, day)

        is_known = day >= process.start_day
        quits = state.is_alive & is_known
        quits &= (u_quit < process.quit_chance) | (day >= process.quit_day)
        state.is_alive &= ~quits
        state.quit_on[quits] = day
        state.sessions[quits] = 0

        is_active = state.is_alive & is_known
        is_idle = is_active & (state.sessions == 0)
        first_start = is_idle & state.is_first
        starts = first_start | (is_idle & (u_start < _start_chance(process, state.clock, demand)))
        state.clock = np.where(is_idle, state.clock + demand, state.clock)
        state.missions += starts

        continues = is_active & (state.sessions > 0)
        continues &= u_start < np.minimum(process.session_chance * demand, 1)
        shops = starts | continues
        adds_cart = shops & (u_cart < process.cart_chance)
        state.has_cart |= adds_cart
        state.sessions += shops

        # One uniform number decides both the end and, rescaled within the end, the order.
        end = np.where(state.sessions == MAX_SESSIONS, 1.0, process.end_chance)
        is_last = shops & (u_end < end)
        cart = state.has_cart.astype(np.int64)
        row = np.arange(n)
        chance = np.where(
            state.is_first, process.first_order_chance[row, cart], process.order_chance[row, cart]
        )
        is_order = is_last & (u_end < end * chance)

        browses = is_known & ~shops
        browses &= u_browse < process.browse_chance * np.where(state.is_alive, 1.0, 0.04)

        position = np.flatnonzero(shops | browses)
        log.append(
            np.column_stack(
                [
                    np.full(len(position), day),
                    position,
                    np.where(shops, state.missions, 0)[position],
                    adds_cart[position],
                    (state.has_cart & shops)[position],
                    is_last[position],
                    is_order[position],
                ]
            )
        )

        # The customer quits with the order where the number that is free on this day says so.
        quits = is_order & (u_browse < process.quit_after_order)
        state.is_alive &= ~quits
        state.quit_on[quits] = day
        state.sessions[is_last] = 0
        state.has_cart[is_last] = False
        state.has_cart[~state.is_alive] = False
        state.is_first[is_last] = False
        state.clock[is_last] = 0.0

    names = ["day", "position", "mission", "adds_cart", "has_cart", "is_last", "is_order"]
    sessions = pd.DataFrame(np.concatenate(log), columns=names)
    return state, sessions.astype(dict.fromkeys(names[3:], bool))


def purchase_probability(
    process: Process, state: State, first_day: int = DAY_COUNT, day_count: int = HORIZON_DAYS
) -> np.ndarray:
    """Return the exact probability of a valid order in the days ahead.

    The mass of each customer is followed through the states that can be reached without a valid
    order: idle since before, in the mission under way, in a later mission, idle since one of the
    days ahead. An order is valid with probability `VALID_SHARE`, whatever the customer.

    Parameters
    ----------
    process : Process
        The parameters of n customers.
    state : State
        The states at the end of the day before `first_day`.
    first_day : int
        The first day of the window.
    day_count : int
        The length of the window.

    Returns
    -------
    ndarray of shape (n,)
        The probability of at least one valid order.
    """
    n = len(process.gap_days)
    row = np.arange(n)
    bought = np.zeros(n)
    # Missions under way, by whether it is the one of the start; sessions so far; cart.
    missions = np.zeros((2, MAX_SESSIONS, 2, n))
    is_busy = state.is_alive & (state.sessions > 0)
    missions[0, state.sessions[is_busy], state.has_cart[is_busy].astype(int), row[is_busy]] = 1.0
    idle = [(state.is_alive & ~is_busy).astype(float)]
    clocks = [state.clock.copy()]
    order_chance = np.stack(
        [
            np.where(state.is_first[:, None], process.first_order_chance, process.order_chance).T,
            process.order_chance.T,
        ]
    )
    for day in range(first_day, first_day + day_count):
        demand = _demand(process, day)
        stays = np.where(day >= process.quit_day, 0.0, 1 - process.quit_chance)
        missions *= stays
        shopping = missions * np.minimum(process.session_chance * demand, 1)
        missions -= shopping
        for since in range(len(idle)):
            idle[since] = idle[since] * stays
            starting = idle[since] * _start_chance(process, clocks[since], demand)
            idle[since] = idle[since] - starting
            clocks[since] = clocks[since] + demand
            shopping[1, 0, 0] += starting
        ended = np.zeros(n)
        for which in range(2):
            for count in range(MAX_SESSIONS):
                end = 1.0 if count + 1 == MAX_SESSIONS else process.end_chance
                without = shopping[which, count, 0] * (1 - process.cart_chance)
                with_cart = shopping[which, count, 0] + shopping[which, count, 1] - without
                for cart, mass in enumerate((without, with_cart)):
                    orders = mass * end * order_chance[which, cart]
                    bought += orders * VALID_SHARE
                    ended += mass * end - orders
                    ended += orders * (1 - VALID_SHARE) * (1 - process.quit_after_order)
                    if count + 1 < MAX_SESSIONS:
                        missions[which, count + 1, cart] += mass * (1 - end)
        idle.append(ended)
        clocks.append(np.zeros(n))
    return bought


def _orders_per_year(process: Process) -> np.ndarray:
    """Return the long-run rate of orders of a living customer in average demand."""
    reaches = np.ones_like(process.gap_days)
    no_cart = np.ones_like(process.gap_days)
    sessions = np.zeros_like(reaches)
    orders = np.zeros_like(reaches)
    for count in range(1, MAX_SESSIONS + 1):
        end = 1.0 if count == MAX_SESSIONS else process.end_chance
        no_cart = no_cart * (1 - process.cart_chance)
        sessions += reaches
        chance = process.order_chance[:, 0] * no_cart + process.order_chance[:, 1] * (1 - no_cart)
        orders += reaches * end * chance
        reaches = reaches * (1 - end)
    cycle = process.gap_days + (sessions - 1) / process.session_chance
    return orders / cycle * 365


# One chunk of customers ----------------------------------------------------------------------


@dataclass
class _Chunk:
    """What the tables of one chunk share."""

    seed: int
    number: int
    group: np.ndarray
    ids: np.ndarray
    process: Process
    traits: pd.DataFrame
    product_cdf: np.ndarray
    state: State
    sessions: pd.DataFrame

    def stream(self, name: str) -> np.random.Generator:
        return _stream(self.seed, name, self.number)


def _ids(prefix: str, numbers: np.ndarray, width: int) -> np.ndarray:
    return np.array([f"{prefix}{i:0{width}d}" for i in numbers], dtype=object)


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


def _draw_process(rng: np.random.Generator, group: np.ndarray) -> tuple[Process, np.ndarray]:
    """Draw the processes of customers, and whether each one signed up before the data."""
    n = len(group)
    names = np.array([g.name for g in GROUPS])[group]
    gap = _trait(group, "gap_days") * np.exp(
        _trait(group, "gap_spread") * np.clip(rng.standard_normal(n), -2.2, 2.2)
    )
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
    # Customers of old come back one cycle into the data at the latest, the drifted ones later.
    early_within = np.where(names == "drifted", 160, 1.3 * gap)
    start = np.where(is_early, u * early_within, within * DAY_COUNT).astype(np.int64)
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
    rng: np.random.Generator, group: np.ndarray, process: Process, is_early: np.ndarray
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
    signed_up_day = np.where(is_early, -days_before, process.start_day - days_before)
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


def _products(seed: int) -> pd.DataFrame:
    rng = _stream(seed, "products")
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
    return np.where(_is_out(picked, day, products), picked, picked - 1)


def _is_out(product: np.ndarray, day: np.ndarray, products: pd.DataFrame) -> np.ndarray:
    """Return whether each product is launched on its day; the one before it in the list is."""
    launched = products["launched_at"].to_numpy().astype("datetime64[D]")
    return day >= (launched - STARTED_ON).astype(np.int64)[product]


def _make_chunk(seed: int, number: int, products: pd.DataFrame) -> _Chunk:
    ids = _ids("c", number * CHUNK_SIZE + np.arange(CHUNK_SIZE) + 1, 5)
    rng = _stream(seed, "groups", number)
    shares = np.array([g.share for g in GROUPS])
    group = rng.choice(len(GROUPS), CHUNK_SIZE, p=shares / shares.sum())
    process, is_early = _draw_process(_stream(seed, "process", number), group)
    traits = _draw_traits(_stream(seed, "traits", number), group, process, is_early)
    cdf = _product_cdf(_stream(seed, "tastes", number), traits, products)
    state, sessions = simulate(
        process, State.initial(CHUNK_SIZE), range(DAY_COUNT), _stream(seed, "missions", number)
    )
    # The product a mission is about is the same in its events and in its order.
    rng = _stream(seed, "sessions", number)
    position = sessions["position"].to_numpy()
    hour = traits["hour"].to_numpy()[position] + rng.normal(0, 1.6, len(sessions))
    sessions["second"] = (np.clip(hour, 6.5, 22.6) * 3600).astype(np.int64)
    u = rng.random(len(sessions))
    own = _pick_products(cdf[position], u, sessions["day"].to_numpy(), products)
    first = sessions.groupby(["position", "mission"], sort=False)
    start_row = first.cumcount().to_numpy() == 0
    mission_key = position * 100_000 + sessions["mission"].to_numpy()
    main = pd.Series(own[start_row], index=mission_key[start_row])
    in_mission = sessions["mission"].to_numpy() > 0
    sessions["product"] = np.where(in_mission, main.reindex(mission_key).to_numpy(), own)
    return _Chunk(seed, number, group, ids, process, traits, cdf, state, sessions)


def _customers(chunk: _Chunk) -> pd.DataFrame:
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
    sharers, dirty = dirty[:4], dirty[4:]
    emails[sharers] = [emails[i].upper() for i in dirty[:4]]
    dirty = dirty[4:]
    birth_date[dirty[:2]] = np.datetime64("1900-01-01", "s")
    twins = dirty[2:4]

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
        }
    )
    frame.loc[sharers, "rule"] = "shared_email"
    frame.loc[dirty[:2], "rule"] = "implausible_birth_date"
    return _append(frame, frame.loc[twins].assign(rule="duplicate_exact"), "customer_id")


def _append(frame: pd.DataFrame, extra: pd.DataFrame, key: str) -> pd.DataFrame:
    return pd.concat([frame, extra]).sort_values(key, kind="stable").reset_index(drop=True)


def _plant(rng: np.random.Generator, chunk: _Chunk, input_name: str, rule: str) -> np.ndarray:
    """Return the customers' positions for the rows that `rule` plants."""
    return rng.integers(0, CHUNK_SIZE, DIRTY_ROWS[input_name, rule])


def _baskets(chunk: _Chunk, products: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
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
        day = rng.integers(0, DAY_COUNT, len(owner))
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
    traits = chunk.traits.iloc[owner]

    has_coupon = rng.random(n) < traits["coupon_share"].to_numpy()
    coupon = _choice(rng, np.tile([0.4, 0.25, 0.25, 0.1], (n, 1)))
    is_sale = rng.random(n) < 0.05
    orders["coupon"] = np.where(has_coupon, coupon, -1)
    percent = np.where(has_coupon, 10 + 5 * coupon, np.where(is_sale, 10, 0))

    line_count = 1 + np.minimum(rng.poisson(traits["extra_lines"].to_numpy()), 4)
    order = np.repeat(np.arange(n), line_count)
    is_main = np.r_[True, order[1:] != order[:-1]]
    day = orders["day"].to_numpy()[order]
    picked = _pick_products(chunk.product_cdf[owner[order]], rng.random(len(order)), day, products)
    product = np.where(is_main, orders["product"].to_numpy()[order], picked)
    names = {name: i for i, name in enumerate(products["product_name"])}
    companion = np.full(len(products), -1)
    for name, other in COMPANIONS:
        companion[names[name]] = names[other]
    joins = (companion[product] >= 0) & (rng.random(len(order)) < COMPANION_CHANCE)
    joins &= _is_out(companion[product], day, products)
    quantity = 1 + rng.poisson(traits["extra_quantity"].to_numpy()[order])
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
    orders["order_id"] = _ids("o", chunk.number * 100_000 + np.arange(n) + 1, 7)
    customer_id = chunk.ids[owner].copy()
    rule = orders["rule"].to_numpy()
    customer_id[rule == "guest"] = ""
    unknown = np.flatnonzero(rule == "unknown_customer")
    customer_id[unknown] = _ids("x", chunk.number * 100 + np.arange(len(unknown)) + 1, 5)
    orders["customer_id"] = customer_id
    is_store = rng.random(n) < traits["store_share"].to_numpy()
    is_app = traits["is_app_user"].to_numpy() & (rng.random(n) < 0.8)
    orders["channel"] = np.where(is_store, "store", np.where(is_app, "app", "web"))
    return orders, lines


def _orders(chunk: _Chunk, baskets: pd.DataFrame) -> pd.DataFrame:
    rng = chunk.stream("orders")
    n = len(baskets)
    end = AS_OF_DATE.astype("datetime64[s]")
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
    is_known = is_changed & (changed_at < end)
    status[is_changed & ~is_known & (kind == 0)] = "completed"
    changed_at = np.where(is_known, changed_at, np.datetime64("NaT"))

    u_refund = np.where(kind >= 3, rng.random(n), 1.0)
    is_full = u_refund < FULL_REFUND_SHARE
    is_refund = u_refund < FULL_REFUND_SHARE + PARTIAL_REFUND_SHARE
    part = cents * rng.integers(15, 70, n) // 100
    refunded_at = later(9.0, 0.10)
    is_refund &= refunded_at < end
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
        }
    )

    clean = frame.index[(frame["rule"] == "") & (frame["status"] == "completed")].to_numpy()
    count = {rule: k for (name, rule), k in DIRTY_ROWS.items() if name == "orders"}
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
    fresh = chunk.number * 100_000 + 90_001 + np.arange(len(no_amount) + len(future))
    fresh = _ids("o", fresh, 7)
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
                ordered_at=np.datetime64("2099-01-01T12:00:00"),
                **blank,
            ),
        ]
    )
    return frame.sort_values("ordered_at", kind="stable").reset_index(drop=True)


def _order_lines(
    chunk: _Chunk, baskets: pd.DataFrame, lines: pd.DataFrame, products: pd.DataFrame
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
        }
    )
    count = {rule: k for (name, rule), k in DIRTY_ROWS.items() if name == "order_lines"}
    rows = rng.choice(len(frame), sum(count.values()), replace=False)
    unknown, rows = rows[: count["unknown_order"]], rows[count["unknown_order"] :]
    product, rows = rows[: count["unknown_product"]], rows[count["unknown_product"] :]
    stray = _ids("o", chunk.number * 100_000 + 95_001 + np.arange(len(unknown)), 7)
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


def _web_sessions(chunk: _Chunk, baskets: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Draw how each session looks from the web shop: device, log-in, whether it is seen at all."""
    rng = chunk.stream("web_sessions")
    frame = chunk.sessions.copy()
    n = len(frame)
    position = frame["position"].to_numpy()
    traits = chunk.traits.iloc[position]
    by_row = baskets[baskets["session_row"] >= 0].set_index("session_row")["channel"]
    channel = by_row.reindex(np.arange(n)).to_numpy(dtype=object)
    is_order = frame["is_order"].to_numpy()
    is_app = traits["is_app_user"].to_numpy() & (rng.random(n) < 0.6)
    frame["channel"] = np.where(is_order, channel, np.where(is_app, "app", "web"))
    second_device = traits["has_second_device"].to_numpy() & (rng.random(n) < 0.35)
    frame["device"] = second_device.astype(np.int64)
    frame["is_first"] = (~frame["position"].duplicated()).to_numpy()
    frame["is_logged_in"] = (
        (rng.random(n) < 0.72)
        | is_order
        | frame["is_first"].to_numpy()
        | (frame["channel"] == "app").to_numpy()
    )
    frame["is_seen"] = rng.random(n) < traits["tracked_share"].to_numpy()
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
    since = (STARTED_ON + EVENTS_SINCE_DAY).astype("datetime64[s]")
    frame = frame[frame["at"] >= since].sort_values(["at", "position"], kind="stable")
    frame = frame.reset_index(drop=True)
    anonymous = (chunk.number * CHUNK_SIZE + frame["position"].to_numpy() + 1) * 2
    frame["anonymous_id"] = _ids("a", anonymous + frame["device"].to_numpy(), 6)
    frame["is_seen"] &= frame["channel"] != "store"

    # A device is linked by the first log-in on it after a visit without one.
    is_anonymous = (frame["is_seen"] & ~frame["is_logged_in"]).to_numpy()
    seen = pd.Series(np.where(is_anonymous, frame["at"], np.datetime64("NaT")))
    known_since = seen.groupby(frame["anonymous_id"]).transform("min")
    links = frame["is_logged_in"] & known_since.notna() & (frame["at"] > known_since)
    first_link = frame["at"].where(links).groupby(frame["anonymous_id"]).transform("min")
    frame["linked_at"] = first_link
    frame["is_link"] = links & (frame["at"] == first_link)
    return frame


def _events(chunk: _Chunk, web: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
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
    session, slot = np.nonzero(happens)
    types = np.array([*EVENT_TYPES[:3], EVENT_TYPES[2], *EVENT_TYPES[3:]], dtype=object)
    gap = rng.integers(8, 110, len(session))
    total = np.cumsum(gap)
    is_new = np.r_[True, session[1:] != session[:-1]]
    offset = total - np.maximum.accumulate(np.where(is_new, total, 0))
    offset = np.minimum(offset, 230)  # the checkout comes before its order
    at = web["at"].to_numpy().astype("datetime64[s]")[session] + offset

    position = web["position"].to_numpy()[session]
    day = (at.astype("datetime64[D]") - STARTED_ON).astype(np.int64)
    other = _pick_products(chunk.product_cdf[position], rng.random(len(session)), day, products)
    is_main = (slot != 3) & (rng.random(len(session)) < np.where(slot == 2, 0.75, 0.9))
    product = np.where(is_main, web["product"].to_numpy()[session], other).astype(np.int64)
    product = np.where(_is_out(product, day, products), product, product - 1)
    has_product = (slot >= 2) & (slot <= 4)
    product_id = np.where(has_product, products["product_id"].to_numpy()[product], "")

    logged_in = web["is_logged_in"].to_numpy()[session]
    with_device = ~logged_in | web["is_link"].to_numpy()[session]
    device_of = np.array(["mobile", "desktop", "tablet"], dtype=object)
    first_device = (chunk.number * CHUNK_SIZE + position) * 7 % 10
    device = np.where(web["device"].to_numpy()[session] == 1, 1, np.digitize(first_device, [6, 9]))
    device = np.where(web["channel"].to_numpy()[session] == "app", 0, device)
    frame = pd.DataFrame(
        {
            "event_id": "",
            "occurred_at": at,
            "event_type": types[slot],
            "customer_id": np.where(logged_in, chunk.ids[position], ""),
            "anonymous_id": np.where(with_device, web["anonymous_id"].to_numpy()[session], ""),
            "session_id": _ids("s", chunk.number * 100_000 + session + 1, 6),
            "product_id": product_id,
            "channel": web["channel"].to_numpy()[session],
            "device_type": device_of[device],
            "owner": position,
            "rule": "",
        }
    )
    frame = frame.sort_values(["occurred_at", "session_id"], kind="stable")
    frame = frame.reset_index(drop=True)
    frame["event_id"] = _ids("e", chunk.number * 100_000 + np.arange(len(frame)) + 1, 6)

    count = {rule: k for (name, rule), k in DIRTY_ROWS.items() if name == "events"}
    rows = rng.choice(len(frame), sum(count.values()), replace=False)
    parts = np.split(rows, np.cumsum(list(count.values()))[:-1])
    picked = {
        rule: frame.loc[part].assign(rule=rule) for rule, part in zip(count, parts, strict=True)
    }
    fresh = _ids("e", chunk.number * 100_000 + 90_001 + np.arange(sum(count.values())), 6)
    lost, future = picked["without_visitor"], picked["future_date"]
    picked["null_event_id"]["event_id"] = ""
    picked["without_visitor"] = lost.assign(
        event_id=fresh[: len(lost)], customer_id="", anonymous_id=""
    )
    picked["future_date"] = future.assign(
        event_id=fresh[len(lost) : len(lost) + len(future)],
        occurred_at=np.datetime64("2099-01-01T12:00:00"),
    )
    frame = pd.concat([frame, *picked.values()])
    return frame.sort_values("occurred_at", kind="stable").reset_index(drop=True)


def _identities(chunk: _Chunk, web: pd.DataFrame) -> pd.DataFrame:
    rng = chunk.stream("identities")
    links = web[web["is_link"]].drop_duplicates("anonymous_id")
    position = links["position"].to_numpy()
    frame = pd.DataFrame(
        {
            "anonymous_id": links["anonymous_id"].to_numpy(),
            "customer_id": chunk.ids[position],
            "linked_at": links["at"].to_numpy().astype("datetime64[s]"),
            "owner": position,
            "rule": "",
        }
    )
    # Two people at one device: the second link is newer, and of another customer.
    count = DIRTY_ROWS["identities", "conflict"]
    last = np.datetime64(AS_OF_DATE, "s") - 40 * SECONDS_A_DAY
    early = frame.index[(frame["linked_at"] < last) & (frame["owner"] > 0)].to_numpy()
    rows = frame.loc[rng.choice(early, count, replace=False)]
    days = rng.integers(2, 35, count) * SECONDS_A_DAY
    rows = rows.assign(
        customer_id=chunk.ids[rows["owner"].to_numpy() - 1],
        linked_at=rows["linked_at"].to_numpy().astype("datetime64[s]") + days,
        rule="conflict",
    )
    return _append(frame, rows, "anonymous_id")


def _messages(chunk: _Chunk, customers: pd.DataFrame) -> pd.DataFrame:
    rng = chunk.stream("messages")
    n = CHUNK_SIZE
    traits = chunk.traits
    end = AS_OF_DATE.astype("datetime64[s]")
    signed_up = customers.drop_duplicates("owner").sort_values("owner")["signed_up_at"]
    signed_up_day = signed_up.to_numpy().astype("datetime64[D]")
    visits = np.zeros((n, DAY_COUNT), dtype=np.int64)
    visits[chunk.sessions["position"], chunk.sessions["day"]] = 1
    visits = np.cumsum(visits, axis=1)
    listens = traits["is_subscriber"].to_numpy().copy()
    opens = traits["opens"].to_numpy()
    frames = []
    for month in range(12):
        first = (np.datetime64("2024-10") + month).astype("datetime64[D]")
        send_on = first + (1 - (int(first.astype(int)) + 3)) % 7  # the first Tuesday
        day = int((send_on - STARTED_ON).astype(int))
        # Whatever is sent, each customer takes the same random numbers.
        u_open, u_click, u_unsubscribe, u_bounce, u_second = rng.random((5, n))
        hours = rng.exponential(7.0, (2, n))
        engaged = visits[:, day - 1] - visits[:, day - 150] > 0
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
        stamps = {
            "opened_at": np.where(opened & (opened_at < end), opened_at, np.datetime64("NaT")),
            "clicked_at": np.where(clicked & (clicked_at < end), clicked_at, np.datetime64("NaT")),
            "unsubscribed_at": np.where(
                unsubscribed & (left_at < end), left_at, np.datetime64("NaT")
            ),
            "bounced_at": np.where(bounced, bounced_at, np.datetime64("NaT")),
        }
        frame = pd.DataFrame(
            {
                "message_id": "",
                "customer_id": chunk.ids,
                "sent_at": sent_at,
                "channel": "email",
                "campaign_id": f"n{str(first)[:7]}",
                **stamps,
                "owner": np.arange(n),
                "rule": "",
            }
        )
        frames.append(frame[sent].sort_values("sent_at", kind="stable"))
        listens &= ~(sent & (unsubscribed | bounced))
    frame = pd.concat(frames).reset_index(drop=True)
    frame["message_id"] = _ids("m", chunk.number * 100_000 + np.arange(len(frame)) + 1, 6)

    count = DIRTY_ROWS["messages", "unknown_customer"]
    rows = rng.choice(len(frame), count + DIRTY_ROWS["messages", "duplicate_exact"], replace=False)
    stray = frame.loc[rows[:count]].assign(
        rule="unknown_customer",
        message_id=_ids("m", chunk.number * 100_000 + 90_001 + np.arange(count), 6),
        customer_id=_ids("x", chunk.number * 100 + 51 + np.arange(count), 5),
    )
    twins = frame.loc[rows[count:]].assign(rule="duplicate_exact")
    return _append(frame, pd.concat([stray, twins]), "sent_at")


def _truth(chunk: _Chunk) -> pd.DataFrame:
    names = np.array([g.name for g in GROUPS], dtype=object)
    probability = purchase_probability(chunk.process, chunk.state)
    return pd.DataFrame(
        {
            "customer_id": chunk.ids,
            "group": names[chunk.group],
            "taste": np.array(TASTES, dtype=object)[chunk.traits["taste"]],
            "is_alive": chunk.state.is_alive,
            "true_orders_per_year": np.round(_orders_per_year(chunk.process), 3),
            "true_purchase_probability_30d": np.round(probability, 6),
            "owner": np.arange(CHUNK_SIZE),
            "rule": "",
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


# The shop ------------------------------------------------------------------------------------


def generate_demo(
    customer_count: int = 2_000, seed: int = 7, inputs: Collection[str] = INPUTS
) -> dict[str, pd.DataFrame]:
    """Generate the demo shop.

    Parameters
    ----------
    customer_count : int
        Number of customers; the first ones do not depend on it.
    seed : int
        Seed of all random streams.
    inputs : collection of str
        The tables to generate, of `INPUTS`; leaving one out changes no other.

    Returns
    -------
    dict of str to pandas.DataFrame
        One table per input; ``truth``, one row per customer: the planted ``group``, ``taste``,
        ``is_alive``, ``true_orders_per_year`` (of a living customer) and
        ``true_purchase_probability_30d`` (of a valid order in the 30 days from `AS_OF_DATE`, given
        the state of the process at that date); and ``truth_dirty``: planted rows by input and
        rule, and the orders that are cancelled, refunded and the like, planted rows included.

    Raises
    ------
    ValueError
        If `customer_count` is below 1 or `inputs` names an unknown table.
    """
    if customer_count < 1:
        raise ValueError(f"customer_count is {customer_count}: ask for at least 1 customer")
    unknown = sorted(set(inputs) - set(INPUTS))
    if unknown:
        raise ValueError(f"unknown inputs {unknown}: choose among {list(INPUTS)}")
    products = _products(seed)
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in (*INPUTS, "truth")}
    for number in range(-(-customer_count // CHUNK_SIZE)):
        kept = min(CHUNK_SIZE, customer_count - number * CHUNK_SIZE)
        chunk = _make_chunk(seed, number, products)
        customers = _customers(chunk)
        baskets, lines = _baskets(chunk, products)
        web = _web_sessions(chunk, baskets, customers)
        makers = {
            "orders": lambda c=chunk, b=baskets: _orders(c, b),
            "customers": lambda f=customers: f,
            "order_lines": lambda c=chunk, b=baskets, x=lines: _order_lines(c, b, x, products),
            "events": lambda c=chunk, w=web: _events(c, w, products),
            "identities": lambda c=chunk, w=web: _identities(c, w),
            "messages": lambda c=chunk, f=customers: _messages(c, f),
            "truth": lambda c=chunk: _truth(c),
        }
        for name, make in makers.items():
            if name in inputs or name == "truth":
                frame = make()
                parts[name].append(frame[frame["owner"] < kept])
    tables = {}
    planted = []
    for name in INPUTS:
        if name == "products" or name not in inputs:
            continue
        frame = pd.concat(parts[name], ignore_index=True)
        counts = frame.loc[frame["rule"] != "", "rule"].value_counts()
        planted += [(name, rule, int(counts.get(rule, 0))) for at, rule in DIRTY_ROWS if at == name]
        tables[name] = frame.drop(columns=["owner", "rule"])
        if name == "orders":
            planted += [(name, rule, count) for rule, count in _order_states(frame).items()]
    if "products" in inputs:
        tables["products"] = products.drop(columns=["price", "popularity"])
    tables = {name: tables[name] for name in INPUTS if name in tables}
    truth = pd.concat(parts["truth"], ignore_index=True)
    tables["truth"] = truth.drop(columns=["owner", "rule"])
    tables["truth_dirty"] = pd.DataFrame(planted, columns=["input", "rule", "row_count"])
    return tables


DATE_COLUMNS = ("birth_date",)
DECIMALS = {"true_orders_per_year": 3, "true_purchase_probability_30d": 6}


def _text(column: pd.Series) -> np.ndarray:
    """Return a column as the text of a file: the same on every platform, empty where null."""
    name, kind = column.name, column.dtype.kind
    if kind == "M":
        unit = "D" if name in DATE_COLUMNS else "s"
        text = np.datetime_as_string(column.to_numpy().astype(f"datetime64[{unit}]"))
    elif kind == "f":
        text = np.array([f"{x:.{DECIMALS.get(name, 2)}f}" for x in column], dtype=object)
    elif kind == "b":
        text = np.where(column.to_numpy(), "true", "false")
    else:
        text = column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=object)
        for mark in (",", '"', "\t", "\n"):
            if any(mark in x for x in np.unique(text.astype(str))):
                raise ValueError(f"column {name} holds {mark!r}, which these files do not quote")
    return np.where(column.isna().to_numpy(), "", text)


def write_demo(tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write the tables of `generate_demo` to a folder.

    Inputs become ``coterie__demo_<input>.csv``, the truth tab-separated ``truth.tsv`` and
    ``truth_dirty.tsv``, which dbt does not take for seeds.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        The result of `generate_demo`.
    folder : pathlib.Path
        Where to write; made if missing.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in tables.items():
        is_truth = name.startswith("truth")
        separator = "\t" if is_truth else ","
        path = folder / (f"{name}.tsv" if is_truth else f"coterie__demo_{name}.csv")
        columns = [_text(frame[column]) for column in frame]
        lines = [separator.join(frame.columns)]
        lines += [separator.join(row) for row in zip(*columns, strict=True)]
        path.write_bytes(("\n".join(lines) + "\n").encode("utf-8"))
        paths.append(path)
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the demo shop from the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments; those of the command line where left out.
    """
    parser = argparse.ArgumentParser(prog="python -m coterie.demo", description=__doc__)
    parser.add_argument("--customers", type=int, default=2_000, help="number of customers")
    parser.add_argument("--seed", type=int, default=7, help="seed of the random streams")
    parser.add_argument("--out", type=Path, default=Path("seeds/demo"), help="folder to write to")
    options = parser.parse_args(arguments)
    tables = generate_demo(options.customers, options.seed)
    for path in write_demo(tables, options.out):
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
