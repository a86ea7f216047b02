"""Customers who buy, spend and leave as the models of lifetime value say; for bench and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Customers:
    """What a shop knows of customers at some age, and what then happens."""

    states: np.ndarray  # float64, shape (n, 3): repeat purchases, age at the last one, age
    mean_spend: np.ndarray  # float64, shape (n,): of the repeat purchases; 0 where there are none
    is_alive: np.ndarray  # bool, shape (n,)
    waiting_time: np.ndarray  # float64, shape (n,): to the next purchase; infinite where none comes
    later_count: np.ndarray  # float64, shape (n,): purchases within the horizon
    later_value: np.ndarray  # float64, shape (n,): what they cost


def simulate_customers(
    model: Any,
    age: np.ndarray,
    *,
    horizon: float = 0.0,
    spend: Any = None,
    seed: int = 0,
) -> Customers:
    """Play the process of the models, purchase by purchase.

    Parameters
    ----------
    model : BetaGeometricNBD or ModifiedBetaGeometricNBD
    age : ndarray of float64, shape (n,)
        When each customer is looked at, in the unit of time of the model.
    horizon : float
        How long they are watched after that; the next purchase is awaited for ever.
    spend : GammaGamma, optional
        Without one each purchase costs 1.
    seed : int
    """
    generator, money = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    count = len(age)
    rate = np.maximum(generator.gamma(model.r_, 1 / model.alpha_, count), 1e-100)
    leaving = generator.beta(model.a_, model.b_, count)
    price = np.ones(count)
    if spend is not None:
        price = 1 / money.gamma(spend.q_, 1 / spend.gamma_, count)
    # Chances to leave at the first purchase: none for BG/NBD, one for MBG/NBD.
    active = np.flatnonzero(generator.random(count) >= leaving * model._first_chances)

    x, t_x, spent = np.zeros(count), np.zeros(count), np.zeros(count)
    waiting_time = np.full(count, np.inf)
    later_count, later_value = np.zeros(count), np.zeros(count)
    time = np.zeros(count)
    while len(active):
        time[active] += generator.exponential(1 / rate[active])
        cost = price[active]
        if spend is not None:
            cost = cost * money.gamma(spend.p_, size=len(active))
        now, seen_at = time[active], age[active]

        is_known = now <= seen_at
        known = active[is_known]
        x[known] += 1
        t_x[known] = now[is_known]
        spent[known] += cost[is_known]

        is_next = ~is_known & np.isinf(waiting_time[active])
        waiting_time[active[is_next]] = (now - seen_at)[is_next]
        is_later = ~is_known & (now <= seen_at + horizon)
        later_count[active[is_later]] += 1
        later_value[active[is_later]] += cost[is_later]

        stays = generator.random(len(active)) >= leaving[active]
        active = active[stays & (now <= seen_at + horizon)]
    return Customers(
        states=np.column_stack([x, t_x, age]),
        mean_spend=spent / np.maximum(x, 1),
        is_alive=np.isfinite(waiting_time),
        waiting_time=waiting_time,
        later_count=later_count,
        later_value=later_value,
    )
