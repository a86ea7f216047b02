import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie import tables

DAY = datetime.date(2024, 3, 31)


def versions(*rows):
    names = ["model_name", "settings_hash", "fitted_as_of"]
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})


def is_due(stored, as_of_date=DAY, interval=30, model_name="m"):
    return tables.fit_is_due(
        stored,
        as_of_date=as_of_date,
        settings_hash="s",
        refit_interval_days=interval,
        model_name=model_name,
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_twice_changes_nothing_and_moves_by_at_most_half_a_digit(value):
    once = tables.round_significant(value)
    assert tables.round_significant(once) == once
    assert abs(once - value) <= 1e-11 * abs(value)


@pytest.mark.parametrize("digits", [1, 6, 12])
def test_many_numbers_are_rounded_as_text_rounds_them(digits):
    rng = np.random.default_rng(digits)
    powers = 10.0 ** np.arange(-300, 300)
    halves = (rng.integers(0, 10**digits, 1000) + 0.5) / 10**digits
    values = np.concatenate(
        [
            rng.normal(size=1000) * 10.0 ** rng.integers(-40, 40, 1000),
            *(halves, -halves, np.nextafter(halves, 1), halves * 1e6),
            *(powers, np.nextafter(powers, 0), np.nextafter(powers, np.inf)),
            [0.0, 5e-324, np.finfo(float).max],
        ]
    )
    expected = [float(f"{value:.{digits}g}") for value in values]
    np.testing.assert_array_equal(tables.round_significant(values, digits), expected)


def test_rounding_keeps_shape_nan_and_infinity_and_drops_the_sign_of_zero():
    rounded = tables.round_significant([[0.1 + 0.2, np.nan], [-np.inf, -0.0]])
    np.testing.assert_array_equal(rounded, [[0.3, np.nan], [-np.inf, 0.0]])
    assert not np.signbit(rounded[1, 1])


def test_version_hash_tells_parts_apart():
    assert tables.version_hash("ab", "c") != tables.version_hash("a", "bc")
    assert tables.version_hash(DAY, {"b": 1, "a": 2}) == tables.version_hash(DAY, {"a": 2, "b": 1})
    assert len(tables.version_hash("a")) == 12


def test_fingerprint_ignores_row_order_and_number_types_but_no_value():
    table = pa.table({"k": ["a", "b", "c"], "v": [1.5, None, -0.0], "d": [DAY, DAY, None]})
    names = ["k", "v", "d"]
    same = pa.table(
        {
            "k": pa.array(["c", "a", "b"], pa.large_string()),
            "v": pa.array([decimal.Decimal("0.0"), decimal.Decimal("1.5"), None]),
            "d": pa.array([None, DAY, DAY]).cast(pa.timestamp("us")),
            "not_counted": [1, 2, 3],
        }
    )
    assert tables.fingerprint(table, names) == tables.fingerprint(same, names)
    for changed in (
        pa.table({"k": ["a", "b", "c"], "v": [1.5, 0.0, 0.0], "d": [DAY, DAY, None]}),
        pa.table({"k": ["a", "b", "d"], "v": [1.5, None, 0.0], "d": [DAY, DAY, None]}),
        table.slice(0, 2),
    ):
        assert tables.fingerprint(table, names) != tables.fingerprint(changed, names)


def test_fingerprint_does_not_confuse_neighbouring_words():
    one = pa.table({"k": ["ab", "c"]})
    other = pa.table({"k": ["a", "bc"]})
    assert tables.fingerprint(one, ["k"]) != tables.fingerprint(other, ["k"])


def test_a_fit_is_due_without_a_version_of_these_settings_and_keys():
    assert is_due(None)
    assert is_due(versions().cast(pa.schema([(n, pa.string()) for n in versions().column_names])))
    assert is_due(versions(("m", "other", DAY), ("other", "s", DAY)))


@pytest.mark.parametrize(
    ("age", "interval", "expected"),
    [
        (0, 30, False),
        (29, 30, False),
        (30, 30, True),
        (-1, 30, False),
        (-400, 30, False),
        (0, 0, False),
        (1, 0, True),
    ],
)
def test_a_fit_is_due_after_the_interval_and_never_before_the_newest_version(
    age, interval, expected
):
    newest = DAY - datetime.timedelta(days=age)
    older = newest - datetime.timedelta(days=300)
    assert is_due(versions(("m", "s", older), ("m", "s", newest)), interval=interval) is expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [("True", True), ("False", False), (True, True), (False, False), (None, False), ("1", True)],
)
def test_a_switch_may_arrive_as_words(words, expected):
    assert tables.is_true(words) is expected


def test_a_switch_in_other_words_is_refused():
    with pytest.raises(ValueError, match="use true or false"):
        tables.is_true("perhaps")


def test_numbers_in_settings_may_arrive_as_text():
    assert tables.read_setting({"n": "32"}, "n", int) == 32
    assert tables.read_setting({"n": "0.5"}, "n", float) == 0.5
    assert tables.read_setting({}, "n", int, 7) == 7


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({}, int), ({"n": "many"}, int), ({"n": 1.5}, int), ({"n": "a, b"}, list)],
)
def test_a_missing_or_unreadable_setting_is_named(settings, kind):
    with pytest.raises(ValueError, match="the setting n "):
        tables.read_setting(settings, "n", kind)


def test_every_numeric_type_becomes_a_double_and_null_becomes_nan():
    table = pa.table(
        {
            "decimal": pa.array([decimal.Decimal("1.25"), None]),
            "integer": pa.array([1, None], pa.int32()),
            "flag": [True, False],
            "nothing": pa.nulls(2),
        }
    )
    np.testing.assert_array_equal(
        tables.feature_matrix(table, table.column_names),
        [[1.25, 1, 1, np.nan], [np.nan, np.nan, 0, np.nan]],
    )


def test_a_feature_that_is_missing_or_no_number_is_named():
    with pytest.raises(ValueError, match="no column b"):
        tables.feature_matrix(pa.table({"a": [1]}), ["a", "b"])
    with pytest.raises(ValueError, match="column a has type string"):
        tables.feature_matrix(pa.table({"a": ["1"]}), ["a"])


def test_dates_are_read_from_dates_timestamps_and_words():
    stamp = datetime.datetime(2024, 3, 31, 12)
    assert [tables.as_date(v) for v in (DAY, stamp, "2024-03-31", None)] == [DAY, DAY, DAY, None]
    column = pa.chunked_array([pa.array([stamp])])
    assert tables.date_array(column)[0] == np.datetime64("2024-03-31")


def test_duplicate_and_null_keys_are_refused():
    with pytest.raises(ValueError, match="several rows of the same k"):
        tables.refuse_duplicates(pa.table({"k": ["a", "a"]}), ["k"], "the table")
    with pytest.raises(ValueError, match="NULL in the key column k"):
        tables.refuse_duplicates(pa.table({"k": ["a", None]}), ["k"], "the table")
    tables.refuse_duplicates(pa.table({"k": ["a", "b"]}), ["k"], "the table")
