"""The Markov process of each customer, and what it says about the days ahead."""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from coterie.demo.catalogue import (
    DAY_COUNT,
    HORIZON_DAYS,
    MAX_SESSIONS,
    SEASON,
    STARTED_ON,
    VALID_SHARE,
)


def stream(seed: int, name: str, chunk: int = 0) -> np.random.Generator:
    """Return the random stream of one table and one chunk of customers."""
    key = [seed, zlib.crc32(name.encode("ascii")), chunk]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


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

    @classmethod
    def concatenate(cls, parts: Sequence[Process]) -> Process:
        """Return the processes of all parts, in order."""
        names = [f.name for f in fields(cls)]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


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


@functools.cache
def _season(day: int) -> float:
    """Return the demand of a day's season, 1 on average."""
    date = STARTED_ON + day
    month = date.astype("datetime64[M]")
    length = ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(int)
    into_month = ((date - month.astype("datetime64[D]")).astype(int) + 0.5) / length
    index = int(month.astype(int)) % 12
    other = index + (1 if into_month > 0.5 else -1)
    weight = abs(into_month - 0.5)
    season = (1 - weight) * SEASON[index] + weight * SEASON[other % 12]
    return season / SEASON.mean()


def _demand(process: Process, day: int) -> np.ndarray:
    """Return each customer's demand on a day, 1 on average: season times weekday."""
    return _season(day) * process.weekday[:, (day + 6) % 7]


def _gap_scale(process: Process) -> np.ndarray:
    """Return the scale of the gaps, Weibull in demand-weighted days.

    A mission has not started by t with probability S(t) = exp(-(t / scale) ^ regularity).
    """
    shapes, inverse = np.unique(process.regularity, return_inverse=True)
    means = np.array([math.gamma(1 + 1 / shape) for shape in shapes])[inverse]
    return process.gap_days / means


def simulate(
    process: Process,
    state: State,
    days: range,
    rng: np.random.Generator | Sequence[np.random.Generator],
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
    rng : numpy.random.Generator or sequence of them
        The random stream, or those of equal shares of the customers in order; each day takes five
        uniform numbers per customer.

    Returns
    -------
    state : State
        The states at the end of the last day.
    sessions : pandas.DataFrame
        One row per session: ``day``, ``position`` (of the customer), ``mission`` (its number, 0
        outside missions), ``adds_cart``, ``has_cart``, ``is_last``, ``is_order``.
    """
    n = len(process.gap_days)
    streams = [rng] if isinstance(rng, np.random.Generator) else rng
    share = n // len(streams)
    state = state.take(np.arange(n))
    row = np.arange(n)
    scale = _gap_scale(process)
    # What a mission's start has survived so far: -log S(clock), brought forward from day to day.
    hazard = (state.clock / scale) ** process.regularity
    log = []
    for day in days:
        draws = np.concatenate([each.random((5, share)) for each in streams], axis=1)
        u_quit, u_start, u_cart, u_end, u_browse = draws
        demand = _demand(process, day)

        is_known = day >= process.start_day
        quits = state.is_alive & is_known
        quits &= (u_quit < process.quit_chance) | (day >= process.quit_day)
        state.is_alive &= ~quits
        state.quit_on[quits] = day
        state.sessions[quits] = 0

        is_active = state.is_alive & is_known
        idle = np.flatnonzero(is_active & (state.sessions == 0))
        state.clock[idle] += demand[idle]
        ahead = (state.clock[idle] / scale[idle]) ** process.regularity[idle]
        starts = np.zeros(n, dtype=bool)
        starts[idle] = state.is_first[idle]
        starts[idle] |= u_start[idle] < -np.expm1(hazard[idle] - ahead)
        hazard[idle] = ahead
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
        chance = np.where(
            state.is_first, process.first_order_chance[row, cart], process.order_chance[row, cart]
        )
        is_order = is_last & (u_end < end * chance)

        browses = is_known & ~shops
        browses &= u_browse < process.browse_chance * np.where(state.is_alive, 1.0, 0.04)

        position = np.flatnonzero(shops | browses)
        log.append(
            (
                np.full(len(position), day),
                position,
                np.where(shops[position], state.missions[position], 0),
                adds_cart[position],
                (state.has_cart & shops)[position],
                is_last[position],
                is_order[position],
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
        hazard[is_last] = 0.0

    names = ["day", "position", "mission", "adds_cart", "has_cart", "is_last", "is_order"]
    columns = [np.concatenate(values) for values in zip(*log, strict=True)]
    return state, pd.DataFrame(dict(zip(names, columns, strict=True)))


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
    probability = np.zeros(len(process.gap_days))
    alive = np.flatnonzero(state.is_alive)
    process, state = process.take(alive), state.take(alive)
    n = len(alive)
    row = np.arange(n)
    bought = np.zeros(n)
    # Missions under way, by whether it is the one of the start; sessions so far; cart.
    missions = np.zeros((2, MAX_SESSIONS, 2, n))
    is_busy = state.sessions > 0
    missions[0, state.sessions[is_busy], state.has_cart[is_busy].astype(int), row[is_busy]] = 1.0
    # The mass that is idle since before the window, and since each of its days.
    idle = np.zeros((day_count + 1, n))
    idle[0] = ~is_busy
    clock = np.zeros((day_count + 1, n))
    clock[0] = state.clock
    scale = _gap_scale(process)
    hazard = (clock / scale) ** process.regularity
    # Known customers whose first mission is still to come, on its day.
    is_waiting = state.is_first & ~is_busy
    order_chance = np.stack(
        [
            np.where(state.is_first[:, None], process.first_order_chance, process.order_chance).T,
            process.order_chance.T,
        ]
    )
    for ahead in range(day_count):
        day = first_day + ahead
        demand = _demand(process, day)
        stays = np.where(day >= process.quit_day, 0.0, 1 - process.quit_chance)
        stays = np.where(day < process.start_day, 1.0, stays)
        missions *= stays
        shopping = missions * np.minimum(process.session_chance * demand, 1)
        missions -= shopping
        since = slice(0, ahead + 1)
        clock[since] += demand
        later = (clock[since] / scale) ** process.regularity
        chance = -np.expm1(hazard[since] - later)
        chance[0] = np.where(is_waiting, day == process.start_day, chance[0])
        hazard[since] = later
        idle[since] *= stays
        starting = idle[since] * chance
        idle[since] -= starting
        shopping[0, 0, 0] += np.where(is_waiting, starting[0], 0.0)
        starting[0] = np.where(is_waiting, 0.0, starting[0])
        shopping[1, 0, 0] += starting.sum(axis=0)
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
        idle[ahead + 1] = ended
    probability[alive] = bought
    return probability


def orders_per_year(process: Process) -> np.ndarray:
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
