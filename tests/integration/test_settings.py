"""What the vars about predictions take and what they refuse, in words that name the remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import yaml
from harness import REPOSITORY

PREDICTIONS = "coterie.predictions()"
PROPENSITY_FEATURES = "coterie.propensity_features()"
REASON_FEATURES = "coterie.reason_features()"
LIFETIME_VALUE = 'coterie.settings("lifetime_value")'
RFM = 'coterie.settings("rfm")'
INTERESTS = 'coterie.settings("interests")'
AUDIENCES = "coterie.all_audiences()"
FIT_INTERESTS = 'fromjson(coterie.fit_settings("interests"))'

#: Reads [call of a macro, vars] pairs and writes what each call returns, or the refusal. The
#: macros are parsed once; a compile leaves its traces in the manifest, so each has a copy.
ASK = """
import json, sys
from dbt.cli.main import dbtRunner

options = ["--quiet", "--project-dir", ".", "--profiles-dir", "."]
manifest = dbtRunner().invoke(["parse", *options]).result
answers = []
for call, given in json.load(sys.stdin):
    done = dbtRunner(manifest=manifest.deepcopy()).invoke(
        ["compile", "--inline", "{{ tojson(" + call + ") }}", "--vars", json.dumps(given), *options]
    )
    if done.success:
        answers.append([json.loads(done.result.results[0].node.compiled_code), None])
    else:
        answers.append([None, str(done.exception)])
with open("answers.json", "w", encoding="utf-8") as file:
    json.dump(answers, file)
"""

Given = dict[str, object]


def predictions(**specs: object) -> Given:
    return {"coterie__predictions": specs}


CUT_POINTS = {
    "recency_days": [30, 60, 120, 240],
    "order_count": [2, 3, 5, 10],
    "net_amount": [50, 99.999, 250, 1000],
}


def fixed(**changed: object) -> Given:
    return {"coterie__rfm": {"mode": "fixed", "cut_points": CUT_POINTS | changed}}


#: What is asked: the macro, the vars, and words of the refusal.
REFUSED: dict[str, tuple[str, Given, tuple[str, ...]]] = {
    "no map": (
        PREDICTIONS,
        {"coterie__predictions": ["answer_30d"]},
        ("coterie__predictions must be a map", "{answer_30d: {outcome: answered"),
    ),
    "a prediction that is no map": (
        PREDICTIONS,
        predictions(purchase_7d=7),
        ("must give a map for 'purchase_7d'", "or null to leave the prediction out", "gives: 7"),
    ),
    "unknown key": (
        PREDICTIONS,
        predictions(purchase_30d={"horizon": 7}),
        ("unknown key 'horizon' under 'purchase_30d'", "It takes: outcome, horizon_days"),
    ),
    "bad name": (
        PREDICTIONS,
        predictions(**{"Purchase 7d": {"outcome": "purchase", "horizon_days": 7}}),
        ("names a prediction 'Purchase 7d'", "small letters, digits and underscores"),
    ),
    "name that breaks quotes": (
        PREDICTIONS,
        predictions(**{"a'; drop table b; --": {"outcome": "purchase", "horizon_days": 7}}),
        ("small letters, digits and underscores",),
    ),
    "unknown eligibility": (
        PREDICTIONS,
        predictions(purchase_7d={"outcome": "purchase", "horizon_days": 7, "eligibility": "vip"}),
        ("'purchase_7d'", "unknown eligibility 'vip'", "It takes: active_customers, buyers"),
    ),
    "complement of nothing": (
        PREDICTIONS,
        predictions(churn_60d={"complement_of": "purchase_60d"}),
        ("'churn_60d'", "complement of 'purchase_60d'", "There are: purchase_30d, purchase_90d"),
    ),
    "complement of a complement": (
        PREDICTIONS,
        predictions(stay_90d={"complement_of": "churn_90d"}),
        ("'stay_90d'", "no prediction with a model of its own"),
    ),
    "complement of what is left out": (
        PREDICTIONS,
        predictions(purchase_90d=None),
        ("'churn_90d'", "complement of 'purchase_90d'", "There are: purchase_30d, churn_90d"),
    ),
    "horizon of no days": (
        PREDICTIONS,
        predictions(purchase_30d={"horizon_days": 0}),
        ("'purchase_30d'", "horizon_days, a whole number from 1 to 730", "has '0'"),
    ),
    "horizon of three years": (
        PREDICTIONS,
        predictions(purchase_30d={"horizon_days": 1095}),
        ("a whole number from 1 to 730", "has '1095'"),
    ),
    "no horizon": (
        PREDICTIONS,
        predictions(purchase_7d={"outcome": "purchase"}),
        ("'purchase_7d'", "needs horizon_days"),
    ),
    "no outcome": (
        PREDICTIONS,
        predictions(answer_30d={"horizon_days": 30}),
        ("'answer_30d'", "has no outcome", "coterie__custom_outcomes_relation"),
    ),
    "own outcome without a relation": (
        PREDICTIONS,
        predictions(answer_30d={"outcome": "answered", "horizon_days": 30}),
        ("the outcome 'answered'", "set the var coterie__custom_outcomes_relation"),
    ),
    "left out feature that is none": (
        PREDICTIONS,
        predictions(purchase_30d={"left_out_features": ["order_count", "shoe_size"]}),
        ("'purchase_30d'", "leaves out 'shoe_size'", "Its features: days_since_last_order"),
    ),
    "unknown family": (
        LIFETIME_VALUE,
        {"coterie__lifetime_value": {"family": "pareto_nbd"}},
        ("coterie__lifetime_value", "unknown family 'pareto_nbd'", "It takes mbg_nbd or bg_nbd"),
    ),
    "unknown key of lifetime value": (
        LIFETIME_VALUE,
        {"coterie__lifetime_value": {"familly": "bg_nbd"}},
        ("coterie__lifetime_value", "unknown key 'familly'", "annual_discount_rate, family"),
    ),
    "horizon that is no number of days": (
        "coterie.value_horizons()",
        {"coterie__lifetime_value": {"horizon_days": [90, "a year"]}},
        ("coterie__lifetime_value", "whole numbers of days from 1 to 730", "holds 'a year'"),
    ),
    "unknown mode of RFM": (
        RFM,
        {"coterie__rfm": {"mode": "ntile"}},
        ("coterie__rfm", "unknown mode 'ntile'", "It takes: quantile, frozen, fixed"),
    ),
    "unknown key of RFM": (
        RFM,
        {"coterie__rfm": {"cutpoints": {}}},
        (
            "coterie__rfm",
            "unknown key 'cutpoints'",
            "It takes: cut_points, min_customer_count, mode",
        ),
    ),
    "RFM that is never frozen anew": (
        RFM,
        {"coterie__rfm": {"mode": "frozen", "refreeze_days": 0}},
        ("coterie__rfm needs refreeze_days, a whole number above 0", "has '0'"),
    ),
    "fixed without cut points": (
        RFM,
        {"coterie__rfm": {"mode": "fixed"}},
        (
            "coterie__rfm has mode: fixed and so needs cut_points",
            "recency_days: [30, 60, 120, 240]",
        ),
    ),
    "cut points without fixed": (
        RFM,
        {"coterie__rfm": {"cut_points": CUT_POINTS}},
        ("coterie__rfm has cut_points", "its mode is 'quantile'", "Set mode: fixed"),
    ),
    "unknown key of cut points": (
        RFM,
        fixed(monetary=[1, 2, 3, 4]),
        ("unknown key 'monetary' under cut_points", "recency_days, order_count, net_amount"),
    ),
    "three cut points": (
        RFM,
        fixed(recency_days=[30, 60, 120]),
        (
            "a list recency_days of four whole numbers",
            "still scores 5, 4, 3 and 2",
            "[30, 60, 120]",
        ),
    ),
    "cut points that do not rise": (
        RFM,
        fixed(order_count=[10, 5, 3, 2]),
        ("a list order_count of four whole numbers above 0 that rise", "scores 2, 3, 4 and 5"),
    ),
    "cut points that are equal as amounts": (
        RFM,
        fixed(net_amount=[50, 99.999, 100.001, 1000]),
        ("a list net_amount of four amounts above 0 that rise", "99.999"),
    ),
    "cut points that are text": (
        RFM,
        fixed(net_amount=[50, "100); drop table orders; --", 250, 1000]),
        ("a list net_amount of four amounts",),
    ),
    "cut points that are one number": (
        RFM,
        fixed(net_amount=50),
        ("a list net_amount of four amounts", "but has: 50"),
    ),
    "cut point of a day and a half": (
        RFM,
        fixed(recency_days=[1.5, 60, 120, 240]),
        ("a list recency_days of four whole numbers",),
    ),
    "margin that is no share": (
        "coterie.margin_rate()",
        {"coterie__margin_rate": 40},
        ("coterie__margin_rate", "from -1 to 1 such as 0.4", "it is '40'"),
    ),
    "more topics than there are numbers": (
        INTERESTS,
        {"coterie__interests": {"max_topics": 13}},
        ("coterie__interests has max_topics: 13", "a whole number from 2 to 12"),
    ),
    "fewer topics at most than at least": (
        INTERESTS,
        {"coterie__interests": {"max_topics": 5}},
        ("coterie__interests has min_topics 8 above max_topics 5",),
    ),
    "half-life of nothing": (
        INTERESTS,
        {"coterie__interests": {"half_life_days": 0}},
        ("coterie__interests has half_life_days: 0", "a number above 0"),
    ),
    "stop words that are no list": (
        INTERESTS,
        {"coterie__interests": {"stop_words": "vintage"}},
        ("must hold a list under stop_words such as [vintage]", "'vintage'"),
    ),
}

#: What is asked without a refusal.
TAKEN: dict[str, tuple[str, Given]] = {
    "shipped": (PREDICTIONS, {}),
    "left out": (PREDICTIONS, predictions(second_order_90d=None)),
    "model and complement left out": (PREDICTIONS, predictions(purchase_90d=None, churn_90d=False)),
    "changed": (PREDICTIONS, predictions(purchase_30d={"horizon_days": 14})),
    "own": (
        PREDICTIONS,
        predictions(
            answer_30d={
                "outcome": "answered",
                "horizon_days": "30",
                "eligibility": "message_receivers",
                "left_out_features": "order_count",
            },
            silence_30d={"complement_of": "answer_30d"},
        )
        | {"coterie__custom_outcomes_relation": "answers"},
    ),
    "RFM": (RFM, {}),
    "RFM by fixed cut points": (RFM, fixed()),
    "bg_nbd": (LIFETIME_VALUE, {"coterie__lifetime_value": {"family": "bg_nbd"}}),
    "further horizon": (
        "coterie.value_horizons()",
        {"coterie__lifetime_value": {"horizon_days": [273, 90]}},
    ),
    "interests fit": (FIT_INTERESTS, {}),
    "interests fit with other scores": (
        FIT_INTERESTS,
        {
            "coterie__interests": {"half_life_days": 90, "view_weight": 0, "min_fit": 0.2},
            "coterie__rfm_lookback_days": 100,
        },
    ),
    "interests fit with other topics": (FIT_INTERESTS, {"coterie__interests": {"max_topics": 9}}),
    "features": (PROPENSITY_FEATURES, {}),
    "features without lifetime value": (
        PROPENSITY_FEATURES,
        {"coterie__lifetime_value_enabled": False},
    ),
}

LISTED = {"features": ["order_count", "age_years", "days_since_signup"]}
ALLOWED = LISTED | {"use_sensitive_attributes": True}
TAKEN |= {
    "sensitive features": (PROPENSITY_FEATURES, {"coterie__propensity": LISTED}),
    "sensitive features, allowed": (PROPENSITY_FEATURES, {"coterie__propensity": ALLOWED}),
    "sensitive reasons, allowed": (REASON_FEATURES, {"coterie__propensity": ALLOWED}),
    "other sensitive features": (
        PROPENSITY_FEATURES,
        {"coterie__propensity": LISTED, "coterie__sensitive_attributes": ["order_count"]},
    ),
    "one sensitive feature": (
        PROPENSITY_FEATURES,
        {"coterie__propensity": LISTED, "coterie__sensitive_attributes": "age_years"},
    ),
    "reasons": (REASON_FEATURES, {}),
}

ATTRIBUTES = "coterie.demographic_attributes()"
SEGMENT_BY = "coterie.demographic_attributes('segment_by')"
CUSTOMER_ATTRIBUTES = "coterie.customer_attributes()"
REFUSED |= {
    "unknown attribute": (
        ATTRIBUTES,
        {"coterie__demographics": {"attributes": ["income_band"]}},
        ("unknown attribute 'income_band'", "It takes: age_band", "coterie__customer_attributes"),
    ),
    "segments by an attribute that is not grouped by": (
        SEGMENT_BY,
        {"coterie__demographics": {"attributes": ["gender"], "segment_by": ["age_band"]}},
        ("'age_band' in segment_by", "Add it there"),
    ),
    "no attributes": (
        ATTRIBUTES,
        {"coterie__demographics": {"attributes": []}},
        ("coterie__demographics must have a list of attributes",),
    ),
    "attribute that breaks quotes": (
        CUSTOMER_ATTRIBUTES,
        {"coterie__customer_attributes": ['a", b']},
        ("lower-case letters, digits and _", "coterie__customers_columns"),
    ),
    "attribute of another meaning": (
        CUSTOMER_ATTRIBUTES,
        {"coterie__customer_attributes": ["valid_from"]},
        ("'valid_from'", "means something else"),
    ),
    "attributes that are no list": (
        CUSTOMER_ATTRIBUTES,
        {"coterie__customer_attributes": "income_band"},
        ("must be a list such as [income_band]",),
    ),
    "lift below 1": (
        "coterie.demographic_threshold('min_lift')",
        {"coterie__demographics": {"min_lift": 0.9}},
        ("from 1 on in min_lift", "'0.9'"),
    ),
    "no cell size": (
        "coterie.min_cell_size()",
        {"coterie__min_cell_size": 0},
        ("coterie__min_cell_size must be a whole number above 0",),
    ),
}
TAKEN |= {
    "demographics": (ATTRIBUTES, {}),
    "further attributes": (
        ATTRIBUTES,
        {
            "coterie__customer_attributes": ["income_band", "gender"],
            "coterie__demographics": {"attributes": ["income_band", "age_band", "income_band"]},
        },
    ),
}


def audience(condition: object, **settings: object) -> Given:
    spec = {"channel": "email", "conditions": [condition]} | settings
    return {"coterie__audiences": {"mine": spec}}


ORDERS = {"column": "order_count", "operator": ">=", "value": 2}

REFUSED |= {
    "audiences that are no map": (
        AUDIENCES,
        {"coterie__audiences": ["win_back"]},
        ("coterie__audiences must be a map", "{big_spenders: {channel: email"),
    ),
    "code that breaks quotes": (
        AUDIENCES,
        {"coterie__audiences": {"a'; drop table b; --": {"channel": "email"}}},
        ("A code has small letters", "such as big_spenders"),
    ),
    "unknown key of an audience": (
        AUDIENCES,
        audience(ORDERS, exclude=["win_back"]),
        ("unknown key 'exclude' under 'mine'", "It takes: description, channel"),
    ),
    "audience without a channel": (
        AUDIENCES,
        audience(ORDERS, channel=None),
        ("The audience 'mine'", "has no channel", "such as email or sms"),
    ),
    "audience without conditions": (
        AUDIENCES,
        {"coterie__audiences": {"mine": {"channel": "email"}}},
        ("The audience 'mine'", "no list of conditions", "{column: order_count"),
    ),
    "unknown column": (
        AUDIENCES,
        audience({"column": "order_cuont", "operator": ">=", "value": 2}),
        (
            "The audience 'mine' of the var coterie__audiences",
            "'order_cuont'",
            "Nearest: order_count",
        ),
    ),
    "SQL for a column": (
        AUDIENCES,
        audience({"column": "1 = 1 or order_count", "operator": ">=", "value": 2}),
        ("unknown column '1 = 1 or order_count'", "A condition names a column of"),
    ),
    "unknown prediction in a condition": (
        AUDIENCES,
        audience({"column": "purchase_60d.probability", "operator": ">=", "value": 0.5}),
        ("'purchase_60d.probability'", "purchase_30d.probability"),
    ),
    "unknown segmentation in a condition": (
        AUDIENCES,
        audience({"column": "segment:interests", "operator": "=", "value": "topic_1"}),
        ("'segment:interests'", "Nearest: segment:interest"),
    ),
    "column of a topic that is off": (
        AUDIENCES,
        {"coterie__propensity_enabled": False}
        | audience({"column": "purchase_30d.probability", "operator": ">=", "value": 0.5}),
        ("which the topic propensity makes", "Set coterie__propensity_enabled to true"),
    ),
    "unknown operator": (
        AUDIENCES,
        audience({"column": "order_count", "operator": "like", "value": 2}),
        (
            "unknown operator 'like' for the column 'order_count'",
            "=, !=, <, <=, >, >=, in, between",
        ),
    ),
    "text for a number": (
        AUDIENCES,
        audience({"column": "order_count", "operator": ">=", "value": "2) or (1 = 1"}),
        ("'order_count'", "needs a number"),
    ),
    "number for a text": (
        AUDIENCES,
        audience({"column": "rfm_segment_code", "operator": "=", "value": 1}),
        ("'rfm_segment_code'", "needs a text; write numbers in quotes"),
    ),
    "order of texts": (
        AUDIENCES,
        audience({"column": "rfm_segment_code", "operator": "<", "value": "champion"}),
        ("'rfm_segment_code' by <", "it holds text"),
    ),
    "no day": (
        AUDIENCES,
        audience({"column": "expected_next_order_on", "operator": "<", "value": "tomorrow"}),
        ("'expected_next_order_on'", "an ISO date such as 2025-10-01"),
    ),
    "between of three": (
        AUDIENCES,
        audience({"column": "order_count", "operator": "between", "value": [1, 2, 3]}),
        ("a list of two values, the lower one first", "[1, 2, 3]"),
    ),
    "value of nothing": (
        AUDIENCES,
        audience({"column": "order_count", "operator": "is_null", "value": 1}),
        ("operator is_null", "It takes none"),
    ),
    "unknown rival": (
        AUDIENCES,
        audience(ORDERS, excludes=["winback"]),
        ("excludes 'winback', which is no audience", "Nearest: win_back"),
    ),
    "share above one": (
        AUDIENCES,
        audience(ORDERS, max_shrink=60),
        ("max_shrink a share above 0 and up to 1", "has '60'"),
    ),
}

TAKEN |= {
    "audiences": (AUDIENCES, {}),
    "own audiences": (
        AUDIENCES,
        {
            "coterie__audiences": {
                "win_back": {"max_shrink": None},
                "second_order": None,
                "o_clock": {
                    "channel": " SMS ",
                    "conditions": [
                        {"column": "segment_name", "operator": "in", "value": ["O'Brien", "x"]}
                    ],
                    "priority": 0,
                },
            }
        },
    ),
    "audiences without predictions": (AUDIENCES, {"coterie__propensity_enabled": False}),
    "audiences with a prediction left out": (
        AUDIENCES,
        {"coterie__predictions": {"churn_90d": None}},
    ),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """Return what each question got: [value, None] or [None, words of the refusal]."""
    project = tmp_path_factory.mktemp("settings")
    settings = yaml.safe_load((REPOSITORY / "dbt_project.yml").read_text(encoding="utf-8"))
    # Settings need no models but the columns of marts, and such a project is parsed in a second.
    kept = ("name", "version", "config-version", "profile", "macro-paths", "model-paths", "vars")
    (project / "dbt_project.yml").write_text(yaml.safe_dump({key: settings[key] for key in kept}))
    os.symlink(REPOSITORY / "macros", project / "macros")
    (project / "models").mkdir()
    (project / "python_models").mkdir()
    for name in ("customers", "customer_lifetime_values", "customer_predictions"):
        path = REPOSITORY / "models" / "marts" / f"coterie__{name}.yml"
        mart = yaml.safe_load(path.read_text(encoding="utf-8"))["models"][0]
        columns = [
            {key: column[key] for key in ("name", "data_type")} for column in mart["columns"]
        ]
        stub = {"models": [{"name": mart["name"], "columns": columns}]}
        (project / "models" / path.name).write_text(yaml.safe_dump(stub))
        (project / "models" / f"{mart['name']}.sql").write_text("select 1 as nothing")
    output = {"type": "duckdb", "path": ":memory:"}
    profile = {settings["profile"]: {"target": "dev", "outputs": {"dev": output}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profile))
    questions = [[call, given] for call, given, _ in REFUSED.values()] + list(TAKEN.values())
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=project,
        env=os.environ | {"DO_NOT_TRACK": "1", "PYTHONIOENCODING": "utf-8"},
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((project / "answers.json").read_text(encoding="utf-8"))
    return dict(zip([*REFUSED, *TAKEN], told, strict=True))


@pytest.fixture(scope="module")
def taken(answers) -> Callable[[str], object]:
    """Return a function that gives the value of a setting that is taken."""

    def get(name: str) -> object:
        value, refusal = answers[name]
        assert refusal is None, refusal
        return value

    return get


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_by_name(answers, name):
    value, refusal = answers[name]
    assert value is None
    words = " ".join(refusal.split())
    missing = [part for part in REFUSED[name][2] if part not in words]
    assert not missing, f"{missing} not in: {words}"


def by_name(found: list[dict]) -> dict[str, dict]:
    return {prediction["name"]: prediction for prediction in found}


def test_four_predictions_are_shipped(taken):
    found = by_name(taken("shipped"))
    horizons = {name: spec["horizon_days"] for name, spec in found.items()}
    assert horizons == {
        "purchase_30d": 30,
        "purchase_90d": 90,
        "churn_90d": 90,
        "second_order_90d": 90,
    }
    models = {spec["model_name"] for spec in found.values()}
    assert models == {"purchase_30d", "purchase_90d", "second_order_90d"}


def test_null_leaves_a_prediction_out(taken):
    assert set(by_name(taken("left out"))) == {"purchase_30d", "purchase_90d", "churn_90d"}
    assert set(by_name(taken("model and complement left out"))) == {
        "purchase_30d",
        "second_order_90d",
    }


def test_what_is_given_goes_over_what_is_shipped_key_by_key(taken):
    changed = by_name(taken("changed"))["purchase_30d"]
    shipped = by_name(taken("shipped"))["purchase_30d"]
    assert changed == shipped | {"horizon_days": 14}


def test_an_own_outcome_and_its_complement_share_a_model(taken):
    found = by_name(taken("own"))
    own, complement = found["answer_30d"], found["silence_30d"]
    assert (own["outcome"], own["horizon_days"]) == ("answered", 30)
    assert own["left_out_features"] == ["order_count"]
    assert (complement["model_name"], complement["outcome"]) == ("answer_30d", "answered")
    assert complement["horizon_days"] == 30


def test_rfm_ranks_unless_told_otherwise(taken):
    assert taken("RFM")["mode"] == "quantile"
    assert taken("RFM")["cut_points"] is None


def test_cut_points_are_read_as_the_boundaries_of_the_scores_from_2_to_5(taken):
    assert taken("RFM by fixed cut points")["cut_points"] == {
        "recency": [240, 120, 60, 30],
        "frequency": [2, 3, 5, 10],
        "monetary": [50, 100, 250, 1000],
    }


def test_values_of_a_quarter_and_a_year_are_always_among_the_horizons(taken):
    assert taken("further horizon") == [90, 273, 365]


def test_topics_are_fitted_anew_for_what_changes_them_alone(taken):
    shipped = taken("interests fit")
    assert taken("interests fit with other scores") == shipped
    assert taken("interests fit with other topics") == shipped | {"max_topics": 9}


def test_a_topic_that_is_off_gives_no_features(taken):
    theirs = {"nbd_probability_alive", "nbd_purchase_probability_90d"}
    assert taken("bg_nbd")["family"] == "bg_nbd"
    assert theirs <= set(taken("features"))
    without = set(taken("features without lifetime value"))
    assert without == set(taken("features")) - theirs


def test_sensitive_attributes_are_read_only_when_told_so_and_never_told(taken):
    assert taken("sensitive features") == ["order_count", "days_since_signup"]
    assert taken("sensitive features, allowed") == LISTED["features"]
    assert taken("sensitive reasons, allowed") == ["order_count"]
    assert taken("other sensitive features") == ["age_years", "days_since_signup"]
    assert taken("one sensitive feature") == ["order_count", "days_since_signup"]


def test_what_nobody_can_act_on_is_no_reason(taken):
    hidden = {"nbd_probability_alive", "nbd_purchase_probability_90d", "days_since_signup"}
    assert set(taken("features")) - set(taken("reasons")) == hidden


def test_customers_are_grouped_by_the_attributes_that_are_asked_for(taken):
    assert taken("demographics") == ["age_band", "gender", "country_code", "region"]
    assert taken("further attributes") == ["income_band", "age_band"]


def by_code(found: list[dict]) -> dict[str, dict]:
    return {audience["code"]: audience for audience in found}


def test_five_audiences_are_shipped_in_the_order_of_their_priority(taken):
    assert [audience["code"] for audience in taken("audiences")] == [
        "high_value_at_risk",
        "protect_champions",
        "win_back",
        "second_order",
        "likely_to_buy",
    ]
    assert all(audience["is_enabled"] for audience in taken("audiences"))


def test_own_audiences_go_over_the_shipped_ones_and_values_are_quoted(taken):
    found = by_code(taken("own audiences"))
    assert next(iter(found)) == "o_clock"
    assert "second_order" not in found
    own = found["o_clock"]
    assert own["channel"] == "sms"
    assert own["conditions"][0]["values"] == ["cast('O''Brien' as string)", "cast('x' as string)"]
    assert own["stay_conditions"] == own["conditions"]
    assert own["entry_words"] == "segment name is one of O'Brien, x"
    shipped = by_code(taken("audiences"))["win_back"]
    assert found["win_back"] == shipped | {"max_shrink": None}


def test_examples_that_cannot_be_told_are_disabled_and_say_why(taken):
    for name in ("audiences without predictions", "audiences with a prediction left out"):
        found = by_code(taken(name))
        assert found["win_back"]["is_enabled"]
        assert not found["protect_champions"]["is_enabled"]
        assert found["protect_champions"]["missing"] == "propensity"
