import pytest

from coterie.lifetime_value import FAMILIES, GammaGamma

PURCHASES = {"r": 1.5, "alpha": 8.0, "a": 0.8, "b": 1.6}
SPENDS = {"p": 6.0, "q": 4.0, "gamma": 15.0}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_simulated_customers_are_recovered_and_their_intervals_hold_what_they_promise(family):
    from value_coverage import CLASSES, coverage, intervals, observe

    model = FAMILIES[family].from_parameters(**PURCHASES)
    customers = observe(model, GammaGamma.from_parameters(**SPENDS), 20_000, seed=1)
    frame, found = intervals(customers, family)

    for name, value in (PURCHASES | SPENDS).items():
        assert found[name] == pytest.approx(value, rel=0.1)
    assert found["fallback_reason"] is None
    told = coverage(frame).set_index("customers")
    assert told.loc[list(CLASSES), "count"].min() > 300
    # Intervals of 80 %, of all customers whose year is not 0 anyway.
    for customers in (*CLASSES[:2], "the first two"):
        assert 0.75 < told.loc[customers, "value_inside"] < 0.85
    for customers in told.index:
        assert 0.75 < told.loc[customers, "wait_inside"] < 0.85
    assert told.loc[CLASSES[2], "value_inside"] > 0.8
    # The expected values are those of the year, in all and by class.
    assert told["mean_expected"].to_numpy() == pytest.approx(told["mean_value"].to_numpy(), rel=0.1)


def test_intervals_follow_the_rule_of_the_mart():
    from value_coverage import CLASSES, intervals, observe

    model = FAMILIES["mbg_nbd"].from_parameters(**PURCHASES)
    frame, _ = intervals(observe(model, GammaGamma.from_parameters(**SPENDS), 5000, 2), "mbg_nbd")
    certain = frame["no_order_probability"] < 0.1
    assert ((frame["customer_class"] == CLASSES[0]) == certain).all()
    assert (frame.loc[certain, "lower"] > 0).all()
    assert (frame.loc[~certain, "lower"] == 0).all()
    assert (frame["upper"] >= frame["lower"]).all()
    assert (frame.loc[~certain, "upper"] >= frame.loc[~certain, "expected_value"]).all()
    # Who orders with less than the level has nothing but the mean above 0.
    rare = frame[frame["no_order_probability"] > 0.8]
    assert (rare["upper"] == rare["expected_value"]).all()
