"""Say what living customers will order, and what it is worth, for each state that a shop knows.

Given that a customer is alive, the orders to come depend on the number of repeat orders and on age
alone, and their value on the mean spend as a factor only. So a million customers are a few
thousand states; SQL looks each one up, and multiplies with what is the customer's own.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array
from scipy.special import betainc, betaincinv, betaln, expit, polygamma, psi

from coterie import tables
from coterie.lifetime_value.purchases import FAMILIES, MEAN_ROUNDING_WEEKS, PARAMETERS
from coterie.lifetime_value.spend import GAMMA_GAMMA_PARAMETERS, GammaGamma
from coterie.threads import one_thread

STATE_EXPECTATIONS_SCHEMA = pa.schema(
    [
        ("as_of_date", pa.date32()),
        ("repeat_count", pa.int64()),
        ("age_weeks", pa.int64()),
        ("horizon_days", pa.int64()),
        ("expected_orders_alive", pa.float64()),
        ("discount_share", pa.float64()),
        ("no_order_probability_alive", pa.float64()),
        ("is_spend_fixed", pa.bool_()),
        ("level", pa.float64()),
        ("value_quantile", pa.float64()),
    ]
)

LEVEL_COUNT = 41
# The highest level stands for the end of a distribution that has none.
HIGHEST_LEVEL = 0.999
# So that no level reads 0.30000000000000004, a key that SQL could not look up.
LEVELS = np.round(np.linspace(0, 1, LEVEL_COUNT), 3)
LEVELS[-1] = HIGHEST_LEVEL
HORIZON_DAYS = (90, 365)
ANNUAL_DISCOUNT_RATE = 0.1
DAYS_PER_YEAR = 365
# Gauss-Legendre nodes over the logarithm of time, in which expected orders are smooth.
TIME_NODE_COUNT = 10
# A distribution of values is tabulated at so many points to the standard deviation of its logarithm
# and between the points cubic: the probability of a quantile is exact to some 1e-7.
POINTS_PER_DEVIATION = 8
# Values of a number of orders are beyond the table where both are less likely than this.
NO_PROBABILITY = 1e-10
# Values below exp(-700) are 0.
LEAST_LOG_VALUE = -700.0
# Halvings and Newton steps that find a quantile between two points.
SEARCH_STEPS = 12
# What is certain of a quantile, whatever other states there are.
QUANTILE_DIGITS = 6


def state_expectations(
    states: pa.Table,
    purchase_parameters: pa.Table,
    spend_parameters: pa.Table,
    *,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Tabulate orders and their value within some horizons, given that the customer is alive.

    Parameters
    ----------
    states : pa.Table
        Columns as_of_date, repeat_count and age_weeks (rounded up), one row for each date and
        state.
    purchase_parameters, spend_parameters : pa.Table
        As `fit_nbd_parameters` and `fit_gamma_gamma_parameters` give them; of each, a date uses the
        newest that was fitted by it.
    settings : mapping
        Optionally horizon_days (list of int, [90, 365]), annual_discount_rate (0.1),
        rounding_weeks (3/7, as for the fit) and parameters_settings_hash, or else
        settings_hash (parameters of others are ignored).

    Returns
    -------
    pa.Table
        `STATE_EXPECTATIONS_SCHEMA`: one row for each state, horizon and level, sorted by them;
        dates before the first purchase parameters have none. Numbers are never NULL.

        - expected_orders_alive: mean number of orders within the horizon.
        - discount_share: present value of these orders, discounted continuously, over their number;
          exact to 1e-6.
        - no_order_probability_alive: probability that there is none.
        - level: 0, 0.025, ... 0.975, and 0.999 for the end.
        - value_quantile: the value of the orders that is not exceeded with the probability
          ``level``, over ``gamma + x * mean spend`` of the customer.
        - is_spend_fixed: there are no spend parameters (a fallback): value_quantile is of the
          number of orders, each of which counts as the mean spend.

    Raises
    ------
    ValueError
        If a column is missing, a state is NULL, negative or occurs twice at a date, several
        parameters stand for one date, or a setting is out of range.

    Notes
    -----
    Given the state, n orders are worth ``gamma + x m`` times a beta prime variable of the shapes
    p n and q + p x: a sum of n gamma variables over their gamma distributed rate (Fader & Hardie
    2013). The distribution of n is `count_probabilities_alive`.
    """
    horizons, discount_rate, rounding_weeks = _read_settings(settings)
    dates, states_of = _read_states(states)
    purchases = _by_date(
        purchase_parameters, ["family", *PARAMETERS], settings, "the table of purchase parameters"
    )
    spends = _by_date(
        spend_parameters, GAMMA_GAMMA_PARAMETERS, settings, "the table of spend parameters"
    )

    parts = []
    with one_thread():
        for date in np.unique(dates):
            found = _newest(purchases, date.item())
            if found is None:
                continue
            model = FAMILIES[found["family"]].from_parameters(
                **{name: found[name] for name in PARAMETERS}
            )
            found = _newest(spends, date.item())
            spend = None
            if found is not None and found["p"] is not None:
                spend = GammaGamma.from_parameters(
                    **{name: found[name] for name in GAMMA_GAMMA_PARAMETERS}
                )
            x, weeks = states_of[dates == date].T
            age = np.maximum(weeks - rounding_weeks, 0)
            rows = _expectations(model, spend, x, age, np.array(horizons), discount_rate)
            rows |= {"repeat_count": x, "age_weeks": weeks, "is_spend_fixed": spend is None}
            parts.append(_table(date, horizons, rows))
    return pa.concat_tables([STATE_EXPECTATIONS_SCHEMA.empty_table(), *parts])


def _read_settings(settings: Mapping[str, Any]) -> tuple[list[int], float, float]:
    horizons = tables.read_setting(settings, "horizon_days", list, list(HORIZON_DAYS))
    if not horizons or not all(isinstance(days, int) and days > 0 for days in horizons):
        raise ValueError(
            f"the setting horizon_days is {horizons!r}; give a list of whole numbers above 0."
        )
    rate = tables.read_setting(settings, "annual_discount_rate", float, ANNUAL_DISCOUNT_RATE)
    if not 0 <= rate < np.inf:
        raise ValueError(f"the setting annual_discount_rate is {rate}; give a number from 0 on.")
    rounding = tables.read_setting(settings, "rounding_weeks", float, MEAN_ROUNDING_WEEKS)
    if not 0 <= rounding < 1:
        raise ValueError(
            f"the setting rounding_weeks is {rounding}; rounding up to weeks adds 0 to less than 1."
        )
    return sorted(set(horizons)), rate, rounding


def _read_states(states: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Read dates, and repeat counts with ages in weeks, sorted by all three."""
    key = ["as_of_date", "repeat_count", "age_weeks"]
    tables.require_columns(states, key, "the table of states")
    tables.refuse_duplicates(states, key, "the table of states")
    states = states.sort_by([(column, "ascending") for column in key])
    X = tables.feature_matrix(states, key[1:])
    if not (np.isfinite(X) & (X >= 0) & (np.floor(X) == X)).all():
        raise ValueError(
            "the table of states has a repeat_count or age_weeks that is negative or a fraction; "
            "count repeat order days and whole weeks."
        )
    return tables.date_array(states["as_of_date"]), X


def _by_date(
    parameters: pa.Table, columns: Sequence[str], settings: Mapping[str, Any], name: str
) -> dict[datetime.date, dict[str, Any]]:
    """Give the row of each date, of the settings that were asked for."""
    tables.require_columns(parameters, ["fitted_as_of", *columns], name)
    settings_hash = settings.get("parameters_settings_hash") or settings.get("settings_hash")
    if settings_hash is not None:
        kept = tables.matching_rows(parameters, settings_hash=str(settings_hash))
        parameters = parameters.slice(0, 0) if kept is None else kept
    tables.refuse_duplicates(parameters, ["fitted_as_of"], name)
    return {tables.as_date(row["fitted_as_of"]): row for row in parameters.to_pylist()}


def _newest(
    rows: Mapping[datetime.date, dict[str, Any]], date: datetime.date
) -> dict[str, Any] | None:
    fitted = [fitted_as_of for fitted_as_of in rows if fitted_as_of <= date]
    return rows[max(fitted)] if fitted else None


def _expectations(
    model: Any,
    spend: GammaGamma | None,
    x: np.ndarray,
    age: np.ndarray,
    horizons: np.ndarray,
    discount_rate: float,
) -> dict[str, np.ndarray]:
    """Give what the table says of each state (rows) and horizon (columns)."""
    weeks = horizons / 7
    shape = (len(x), len(horizons))
    no_order = np.empty(shape)
    quantiles = np.empty((*shape, LEVEL_COUNT))
    for count in np.unique(x):
        of_count = np.flatnonzero(x == count)
        counts = model.count_probabilities_alive(
            count, np.repeat(age[of_count], len(weeks)), np.tile(weeks, len(of_count))
        )
        if spend is None:
            found = _count_quantiles(counts)
        else:
            found = _value_quantiles(counts, spend.p_, spend.p_ * count + spend.q_)
        no_order[of_count] = counts[:, 0].reshape(-1, len(weeks))
        quantiles[of_count] = found.reshape(-1, len(weeks), LEVEL_COUNT)
    expected = model.expected_purchases_alive(
        x[:, np.newaxis], age[:, np.newaxis], weeks[np.newaxis]
    )
    return {
        "expected_orders_alive": expected,
        "discount_share": _discount_share(model, x, age, weeks, expected, discount_rate),
        "no_order_probability_alive": no_order,
        "value_quantile": quantiles,
    }


def _discount_share(
    model: Any,
    x: np.ndarray,
    age: np.ndarray,
    weeks: np.ndarray,
    expected: np.ndarray,
    discount_rate: float,
) -> np.ndarray:
    """Give the present value of an order, averaged over those to come.

    With E(t) the expected orders until t and d the force of interest, the present value of the
    orders until H is ``exp(-d H) E(H) + d * integral of exp(-d t) E(t)``, by parts.
    """
    force = np.log1p(discount_rate) * 7 / DAYS_PER_YEAR
    node, weight = np.polynomial.legendre.leggauss(TIME_NODE_COUNT)
    # Between the time of one order and the time in which rates become known.
    scale = ((model.alpha_ + age) / np.sqrt(1 + model.r_ + x))[:, np.newaxis, np.newaxis]
    span = np.log1p(weeks[:, np.newaxis] / scale)
    log_time = span * (node + 1) / 2
    time = np.minimum(scale * np.expm1(log_time), weeks[:, np.newaxis])
    until = model.expected_purchases_alive(
        x[:, np.newaxis, np.newaxis], age[:, np.newaxis, np.newaxis], time
    )
    integrand = np.exp(-force * time) * until * (scale + time) * span / 2
    present = np.exp(-force * weeks) * expected + force * (integrand @ weight)
    return np.clip(present / expected, np.exp(-force * weeks), 1)


def _count_quantiles(counts: np.ndarray) -> np.ndarray:
    """Give the numbers of orders at the levels, shape (n, LEVEL_COUNT)."""
    # Sums of probabilities reach a level but for rounding.
    reached = np.cumsum(counts, axis=1) + 1e-12
    return (reached[:, np.newaxis] < LEVELS[:, np.newaxis]).sum(axis=2).astype(np.float64)


def _value_quantiles(counts: np.ndarray, p: float, q: float) -> np.ndarray:
    """Give the values at the levels, of counts of orders, each gamma distributed of the shape p.

    The distribution function and its density are tabulated over the logarithm of the value for
    all rows at once, as each number of orders has one distribution of its own, whose factors are
    `counts`. Between the points it is the cubic of both, on which the quantile is searched.

    Parameters
    ----------
    counts : ndarray of float64, shape (n, m)
        Probabilities of 0, 1, ... orders.
    p, q : float
        Shape of one order, and of the rate.

    Returns
    -------
    ndarray of float64, shape (n, LEVEL_COUNT)
        In units of the scale of the rate.
    """
    no_order, orders = counts[:, :1], counts[:, 1:]
    points, reached, density, done = _tabulated_sums(
        p * np.arange(1.0, counts.shape[1]), q, orders.max(axis=0)
    )
    # Sums of which a point is past all.
    past = np.column_stack([no_order, no_order + np.cumsum(orders, axis=1)])[:, done]
    function = np.minimum(past + (reached.T @ orders.T).T, 1)
    np.maximum.accumulate(function, axis=1, out=function)
    slope = (density.T @ orders.T).T

    # One sorted array of all rows, in which the rows lie apart.
    apart = 2.0 * np.arange(len(counts))[:, np.newaxis]
    place = np.searchsorted((function + apart).ravel(), (LEVELS + apart).ravel())
    place = place.reshape(-1, LEVEL_COUNT) - len(points) * np.arange(len(counts))[:, np.newaxis]
    right = np.clip(place, 1, len(points) - 1)
    width = np.diff(points)[right - 1]
    f0, f1, d0, d1 = (
        np.take_along_axis(values, at, axis=1)
        for values, at in [
            (function, right - 1),
            (function, right),
            (slope, right - 1),
            (slope, right),
        ]
    )
    share = _share_of_step(LEVELS - f0, f1 - f0, width * d0, width * d1)
    values = np.exp(points[right - 1] + share * width)
    values[no_order >= LEVELS] = 0.0
    values[values <= np.exp(LEAST_LOG_VALUE + 1)] = 0.0
    return np.maximum.accumulate(values, axis=1)


def _share_of_step(
    level: np.ndarray, rise: np.ndarray, start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Find where on [0, 1] the cubic from 0 to `rise` with these slopes reaches the level.

    Newton's method, from the straight line, kept inside a bracket that shrinks.
    """
    low, high = np.zeros_like(level), np.ones_like(level)
    c3, c2 = start + end - 2 * rise, 3 * rise - 2 * start - end
    share = np.clip(level / np.maximum(rise, 1e-300), 0, 1)
    for _ in range(SEARCH_STEPS):
        above = ((c3 * share + c2) * share + start) * share - level
        high = np.where(above > 0, share, high)
        low = np.where(above > 0, low, share)
        slope = (3 * c3 * share + 2 * c2) * share + start
        with np.errstate(divide="ignore", invalid="ignore"):
            following = share - above / slope
        is_inside = (following >= low) & (following <= high)
        share = np.where(is_inside, following, (low + high) / 2)
    return share


def _tabulated_sums(
    shapes: np.ndarray, q: float, weight: np.ndarray
) -> tuple[np.ndarray, csr_array, csr_array, np.ndarray]:
    """Tabulate beta prime variables over their logarithm where they are neither 0 nor done.

    Parameters
    ----------
    shapes : ndarray of float64, shape (m,)
        First shapes, rising; the second is q.
    weight : ndarray of float64, shape (m,)
        How likely the variables are at most: what is rare may end sooner.

    Returns
    -------
    points : ndarray of float64, shape (j,)
        Logarithms of values, closer where the variables are narrower.
    reached, density : csr_array of float64, shape (m, j)
        Distribution functions and their slopes, 0 where the first has reached 1.
    done : ndarray of int, shape (j,)
        How many variables have reached 1 by each point.
    """
    ends = NO_PROBABILITY / np.clip(weight, 4 * NO_PROBABILITY, 1)
    with np.errstate(divide="ignore"):
        first, last = betaincinv(shapes, q, ends), betaincinv(q, shapes, ends)
        first = np.maximum(np.log(first) - np.log1p(-first), LEAST_LOG_VALUE)
        last = np.minimum(np.log1p(-last) - np.log(last), -LEAST_LOG_VALUE)
    last = np.maximum(last, first + 1e-9)
    middle = psi(shapes) - psi(q)
    deviation = np.sqrt(polygamma(1, shapes) + polygamma(1, q))
    # Points as dense as the variables of which this is the middle are narrow.
    knots = np.unique(np.concatenate([[first[0], last.max()], middle]))
    knots = knots[(knots >= first[0]) & (knots <= last.max())]
    dense = POINTS_PER_DEVIATION / np.interp(knots, middle, deviation)
    rank = np.concatenate([[0], np.cumsum(np.diff(knots) * (dense[1:] + dense[:-1]) / 2)])
    points = np.interp(np.linspace(0, rank[-1], int(np.ceil(rank[-1])) + 2), rank, knots)

    start = np.searchsorted(points, first)
    stop = np.maximum(np.searchsorted(points, last, side="right"), start)
    stop = np.maximum.accumulate(stop)
    size = stop - start
    column = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    column += np.repeat(start, size)
    shape, at = np.repeat(shapes, size), points[column]
    reached = betainc(shape, q, expit(at))
    log_density = -shape * np.logaddexp(0, -at) - q * np.logaddexp(0, at)
    log_density -= np.repeat(betaln(shapes, q), size)
    row_ends = np.concatenate([[0], np.cumsum(size)])
    form = {"shape": (len(shapes), len(points))}
    done = np.searchsorted(stop, np.arange(len(points)), side="right")
    return (
        points,
        csr_array((reached, column, row_ends), **form),
        csr_array((np.exp(log_density), column, row_ends), **form),
        done,
    )


def _table(date: np.datetime64, horizons: list[int], rows: Mapping[str, Any]) -> pa.Table:
    """Put states, horizons and levels below each other."""
    state_count = len(rows["repeat_count"])
    each = len(horizons) * LEVEL_COUNT
    columns = {
        "as_of_date": np.full(state_count * each, date),
        "repeat_count": np.repeat(rows["repeat_count"].astype(np.int64), each),
        "age_weeks": np.repeat(rows["age_weeks"].astype(np.int64), each),
        "horizon_days": np.tile(np.repeat(np.array(horizons, np.int64), LEVEL_COUNT), state_count),
        "is_spend_fixed": np.full(state_count * each, rows["is_spend_fixed"]),
        "level": np.tile(LEVELS, state_count * len(horizons)),
        "value_quantile": tables.round_significant(rows["value_quantile"].ravel(), QUANTILE_DIGITS),
    }
    for name in ("expected_orders_alive", "discount_share", "no_order_probability_alive"):
        rounded = tables.round_significant(rows[name].ravel())
        columns[name] = np.repeat(rounded, LEVEL_COUNT)
    return pa.table(
        [columns[field.name] for field in STATE_EXPECTATIONS_SCHEMA],
        schema=STATE_EXPECTATIONS_SCHEMA,
    )
