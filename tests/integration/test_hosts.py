"""The package in other people's projects."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from harness import HOSTS, REPOSITORY, differences
from scenarios import ONE_MODEL, TOPICS, WITHOUT_TESTS
from shops import simulate_orders

RFM_CODES = {
    "champion",
    "loyal",
    "potential_loyalist",
    "new_customer",
    "promising",
    "need_attention",
    "about_to_sleep",
    "at_risk",
    "cant_lose",
    "hibernating",
    "lapsed",
    "prospect",
}

INPUTS = [
    "orders",
    "customers",
    "order_lines",
    "products",
    "events",
    "identities",
    "messages",
    "feedback",
]

BUILT = ["odd_names", "every_input", "own_schemas", "scattered_inputs"]

MARTS = {
    "coterie__customers",
    "coterie__customer_segments",
    "coterie__segment_profiles",
    "coterie__segment_traits",
    "coterie__group_product_demand",
    "coterie__customer_predictions",
    "coterie__customer_lifetime_values",
    "coterie__value_concentration",
    "coterie__model_versions",
    "coterie__model_metrics",
    "coterie__model_curves",
    "coterie__model_features",
    "coterie__prediction_outcomes",
    "coterie__interest_topics",
    "coterie__customer_interests",
    "coterie__audiences",
    "coterie__audience_changes",
    "coterie__audience_statuses",
    "coterie__crm_customers",
}


@pytest.fixture(params=BUILT)
def host(request):
    built = request.getfixturevalue(request.param)
    return getattr(built, "host", built)


def test_a_build_ends_without_errors(host):
    results = host.last_build.results
    assert results
    bad = [r["unique_id"] for r in results if r["status"] in {"error", "fail", "skipped"}]
    assert bad == []


def test_the_hosts_own_nodes_are_built_too(host):
    own = [r for r in host.last_build.results if r["unique_id"].split(".")[1] == host.name]
    assert {r["status"] for r in own} <= {"success", "pass"}


def test_demo_seeds_and_unit_tests_stay_at_home(host):
    ran = [r["unique_id"] for r in host.last_build.results]
    assert [i for i in ran if i.startswith("unit_test.")] == []
    assert [i for i in ran if "coterie__demo_" in i] == []
    assert [n for n in host.manifest["nodes"] if "coterie__demo_" in n] == []
    assert host.manifest["unit_tests"] == {}


def test_every_customer_has_one_code_of_each_kind(host):
    customers = host.table("coterie__customers")
    assert len(customers) > 0
    assert customers["customer_id"].is_unique
    assert set(customers["rfm_segment_code"]) <= RFM_CODES
    assert customers["segment_code"].notna().all()
    assert customers["segment_name"].notna().all()
    segments = host.table("coterie__customer_segments").set_index("customer_id")
    assert segments.index.is_unique
    codes = ["rfm_segment_code", "segment_code"]
    both = customers.set_index("customer_id")
    pd.testing.assert_frame_equal(
        both[codes].sort_index(), segments[codes].sort_index(), check_like=True
    )


def test_every_score_has_a_status(host):
    predictions = host.table("coterie__customer_predictions")
    shown = predictions["score_status"].isin(["scored", "baseline_rate", "cohort_rate"])
    assert predictions["probability"].notna().equals(shown)
    assert predictions.loc[shown, "probability"].between(0, 1).all()
    assert not predictions.duplicated(["customer_id", "prediction_name"]).any()


def test_marts_keep_their_contracts(host):
    marts = [n for n in host.package_nodes("model") if "marts" in n["fqn"]]
    assert {n["name"] for n in marts} >= MARTS
    assert [n["name"] for n in marts if not n["config"]["contract"]["enforced"]] == []


@pytest.mark.parametrize(
    ("name", "prefix"), [("odd_names", "main_"), ("every_input", "main_"), ("own_schemas", "dwh_")]
)
def test_schemas_follow_the_hosts_rule(request, name, prefix):
    host = request.getfixturevalue(name)
    schemas = {n["schema"] for n in host.package_nodes("model", "seed")}
    assert schemas == {f"{prefix}coterie{part}" for part in ("", "_staging", "_internal")}
    assert host.node("coterie__customers")["schema"] == f"{prefix}coterie"
    assert host.node("stg_coterie__orders")["schema"] == f"{prefix}coterie_staging"
    assert host.node("int_coterie__customer_features")["schema"] == f"{prefix}coterie_internal"


# ---- odd_names ---------------------------------------------------------------------------------


def test_odd_names_and_types_add_up(odd_names):
    own = odd_names.query(
        """
        with known as (
            select
                "KundenNr" as customer_id,
                "select" as ordered_on,
                "Total (net)"
                    - case when "Refunded When" < as_of.as_of_date then "from" else 0 end
                    as net_amount
            from {sales_headers}
            cross join (select max(as_of_date) as as_of_date from {coterie__customers}) as as_of
            where
                -- The wall time in UTC, whatever the zone of this session.
                not coalesce(
                    "group" = 'Storno'
                    and coalesce("Group's Since" at time zone 'UTC', "select")
                        < as_of.as_of_date,
                    false
                )
                and "select" < as_of.as_of_date
        )
        select
            cast(customer_id as varchar) as customer_id,
            count(*) as order_count,
            round(sum(net_amount), 2) as net_amount
        from known
        where net_amount > 0
        group by customer_id
        """
    ).set_index("customer_id")
    customers = odd_names.table("coterie__customers").set_index("customer_id")
    bought = customers[customers["order_count"] > 0].loc[own.index]
    assert len(bought) == (customers["order_count"] > 0).sum()
    assert bought["order_count"].astype(int).tolist() == own["order_count"].astype(int).tolist()
    difference = bought["net_amount"].astype(float) - own["net_amount"].astype(float)
    assert difference.abs().max() < 0.005


def test_ids_of_any_type_become_plain_text(odd_names):
    ids = odd_names.query("select order_id, customer_id from {int_coterie__orders}")
    assert ids["order_id"].str.fullmatch(r"1000000000\d{5}").all()
    assert ids["customer_id"].str.fullmatch(r"[1-9]\d{0,2}").all()


def test_a_column_of_our_name_is_found_in_any_case(odd_names):
    staged = odd_names.query(
        "select count(coupon_code) as coupons, count(payment_method) as payments, "
        "count(sales_channel) as channels from {stg_coterie__orders}"
    ).iloc[0]
    # Coupon_Code is ours but for the case; "Sales Channel" is another name and is not mapped.
    assert staged.tolist() == [2400 // 7, 2400, 0]


def test_inputs_that_are_not_mapped_are_empty(odd_names):
    for name in INPUTS[1:]:
        assert odd_names.value(f"select count(*) from {{stg_coterie__{name}}}") == 0


# ---- every_input -------------------------------------------------------------------------------


def accepted_rows(name: str) -> str:
    """Return the query of how many rows of an input are accepted; events are kept by session."""
    if name == "events":
        sessions = "{int_coterie__checked_events}"
        return f"select sum(event_count) from {sessions} where rejection_rule is null"
    return f"select count(*) from {{int_coterie__{name}}}"


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_is_read_whole(every_input, name):
    theirs = {
        "orders": "erp_sales",
        "customers": "crm_contacts",
        "order_lines": "erp_sale_items",
        "products": "pim_articles",
        "events": "web_hits",
        "identities": "web_logins",
        "messages": "mail_sends",
        "feedback": "shop_reviews",
    }
    given = every_input.value(f"select count(*) from {{{theirs[name]}}}")
    staged = every_input.value(f"select count(*) from {{stg_coterie__{name}}}")
    assert staged == given > 0
    accepted = every_input.value(accepted_rows(name))
    assert accepted > 0.95 * given


def test_audiences_hold_only_who_has_granted_their_channel(every_input):
    consents = every_input.query(
        "select * from {crm_permissions} order by said_at, is_allowed desc"
    )
    newest = consents[consents["medium"] == "email"].groupby("contact_code")["is_allowed"].last()
    members = set(every_input.table("coterie__audiences")["customer_id"])
    assert members
    assert members <= set(newest.index[newest])
    erased = set(every_input.table("crm_deletions")["contact_code"])
    assert set(every_input.table("int_coterie__erased_customers")["customer_id"]) == erased
    assert len(erased) == 6


def test_metrics_are_told_apart_by_what_is_known_of_customers(every_input):
    metrics = every_input.query(
        "select * from {coterie__model_metrics} where origin = 'pooled' and scorer_name = 'model' "
        # Of a second order there is too little to part.
        "and model_name like 'purchase%'"
    )
    names = ["gender", "country_code", "region", "city", "acquisition_channel", "age_band"]
    assert sorted(metrics["group_name"].unique()) == sorted(["all", *names])
    keys = ["model_version", "group_name", "group_value"]
    wide = metrics.pivot(index=keys, columns="metric_name", values="metric_value").reset_index()
    totals = wide[wide["group_name"] == "all"].set_index("model_version")["row_count"]
    for name in names:
        counts = wide[wide["group_name"] == name].groupby("model_version")["row_count"].sum()
        # Groups of fewer than 50 customers are left out.
        assert (counts <= totals).all()
        assert (counts > 0.5 * totals).all()
    assert wide["row_count"].min() >= 50
    women = every_input.query(
        """
        select backtests.model_version, backtests.outcome, backtests.probability
        from {int_coterie__propensity_backtests} as backtests
        inner join {int_coterie__customer_attributes} as attributes
            on backtests.customer_id = attributes.customer_id
        where
            backtests.scorer_name = 'model'
            and backtests.model_name = 'purchase_30d'
            and attributes.is_current
            and attributes.gender = 'female'
        """
    )
    assert women["model_version"].nunique() == 1
    told = wide[wide["group_value"] == "female"].set_index("model_version")
    told = told.loc[women["model_version"].iloc[0]]
    assert told["row_count"] == len(women)
    assert told["observed_rate"] == pytest.approx(women["outcome"].mean(), abs=1e-9)
    expected = women["probability"].sum() / women["outcome"].sum()
    assert told["predicted_over_observed"] == pytest.approx(expected, abs=1e-9)


def test_every_input_reaches_the_lineage(every_input):
    parents = {
        parent
        for name in INPUTS
        for parent in every_input.node(f"stg_coterie__{name}")["depends_on"]["nodes"]
    }
    assert len([p for p in parents if p.startswith("model.every_input.")]) >= len(INPUTS)


# ---- own_schemas -------------------------------------------------------------------------------


def test_a_model_called_customers_is_left_alone(own_schemas):
    node = own_schemas.manifest["nodes"]["model.own_schemas.customers"]
    assert (node["schema"], node["alias"]) == ("warehouse", "customers")
    customers = own_schemas.query("select * from warehouse.customers")
    assert list(customers.columns) == ["customer_id", "signed_up_at", "remark"]
    assert set(customers["remark"]) == {"a model of the host"}
    source = own_schemas.query('select id from webshop_raw."CustomerTable"')
    assert sorted(customers["customer_id"]) == sorted(source["id"])


def test_the_hosts_calendar_and_hooks_are_left_alone(own_schemas):
    assert own_schemas.value("select count(*) from warehouse.metricflow_time_spine") == 1461
    assert own_schemas.value("select count(*) from audit.runs") >= 1
    spines = [n for n, m in own_schemas.manifest["nodes"].items() if m.get("time_spine")]
    assert spines == ["model.own_schemas.metricflow_time_spine"]


def test_customers_are_those_of_both_inputs(own_schemas):
    expected = own_schemas.query(
        'select id from webshop_raw."CustomerTable" '
        'union select customer_id from webshop_raw."OrderTable" where customer_id is not null'
    )
    customers = own_schemas.table("coterie__customers")
    assert sorted(customers["customer_id"]) == sorted(expected["id"])


# ---- scattered_inputs --------------------------------------------------------------------------


def test_a_package_that_is_built_before_its_inputs_says_what_is_missing(scattered_inputs):
    run = scattered_inputs.too_early
    assert run.return_code != 0
    assert run.results_with("error", "fail") == ["model.coterie.stg_coterie__customers"]
    message = run.result("stg_coterie__customers")["message"]
    assert '"shopCustomers" that the var coterie__customers_relation names does not' in message
    assert "--select +package:coterie" in message


def test_a_slim_build_leaves_the_hosts_models_alone(scattered_inputs):
    ran = {r["unique_id"].split(".")[1] for r in scattered_inputs.host.last_build.results}
    assert ran - {"scattered_inputs"} == {"coterie"}
    own = [
        r["unique_id"]
        for r in scattered_inputs.host.last_build.results
        if r["unique_id"].startswith("model.scattered_inputs.")
    ]
    assert own == []


def test_orders_in_another_database_add_up(scattered_inputs):
    customers = scattered_inputs.host.table("coterie__customers").set_index("customer_id")
    orders = scattered_inputs.fct_orders
    # The last hour is too short for a cancellation to be known.
    is_known = orders['Status "as of"'] < pd.Timestamp(customers["as_of_date"].iloc[0])
    valid = orders[~(is_known & orders["select"].eq("Cancelled"))]
    own = valid.groupby("customerRef")["Total Amount (net)"].agg(["count", "sum"])
    bought = customers[customers["order_count"] > 0]
    assert sorted(bought.index) == sorted(own.index)
    bought = bought.loc[own.index]
    assert bought["order_count"].astype(int).tolist() == own["count"].tolist()
    np.testing.assert_allclose(bought["net_amount"].astype(float), own["sum"], atol=0.005)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        pytest.param("orders", "fct_orders", id="attached database"),
        pytest.param("customers", "dim_customers", id="model of the host"),
        pytest.param("order_lines", "order_lines", id="several Parquet files"),
        pytest.param("products", "products", id="one Parquet file"),
        pytest.param("events", "web_hits", id="table that a hook loads"),
    ],
)
def test_inputs_are_read_wherever_they_are(scattered_inputs, name, table):
    accepted = scattered_inputs.host.value(accepted_rows(name))
    assert accepted == len(getattr(scattered_inputs, table)) > 0


def test_an_attached_database_is_not_written(scattered_inputs):
    with duckdb.connect(str(scattered_inputs.host.target / "erp.duckdb"), read_only=True) as erp:
        names = erp.execute("select table_name from information_schema.tables").fetchall()
    assert sorted(names) == [("Dim Customers",), ("Fct Orders",)]


def test_a_check_finds_no_change_where_there_is_none(scattered_inputs):
    assert scattered_inputs.modified == []


def test_a_check_without_fits_scores_by_what_production_has_fitted(scattered_inputs):
    ci, production = scattered_inputs.ci, scattered_inputs.host
    bad = [r["unique_id"] for r in ci.last_build.results if r["status"] not in {"success", "pass"}]
    assert [i for i in bad if "stg_coterie__" not in i] == []
    fits = [n["name"] for n in ci.package_nodes("model") if "fit" in n["tags"]]
    assert {"int_coterie__propensity_weights", "int_coterie__segment_centers"} <= set(fits)
    assert not any(ci.exists(name) for name in [*fits, "shop_customers"])
    theirs, ours = production.snapshot(MARTS), ci.snapshot(MARTS)
    fitted = theirs["coterie__model_versions"].query("model_version != 'none'")
    models = {"default", "purchase_30d", "purchase_90d", "value_90d", "value_365d"}
    assert models >= set(fitted["model_name"]) >= {"purchase_30d"}
    assert set(theirs) == set(ours) == MARTS
    assert differences(theirs, ours) == []


# ---- topics ------------------------------------------------------------------------------------


def assert_topics_are_off(host, topics):
    bad = [r["unique_id"] for r in host.last_build.results if r["status"] in {"error", "fail"}]
    assert bad == []
    customers = host.table("coterie__customers")
    assert len(customers) == 40
    codes = {"rfm": "rfm_segment_code", "segmentation": "segment_code"}
    for topic, column in codes.items():
        assert customers[column].isna().all() == (topic in topics)
    is_disabled = customers["purchase_score_status_30d"].eq("disabled")
    assert is_disabled.all() == ("propensity" in topics)
    relations = host.package_relations()
    assert ("coterie__customer_segments" in relations) == ("segmentation" not in topics)
    assert ("int_coterie__customer_nbd" in relations) == ("lifetime_value" not in topics)
    assert ("coterie__customer_predictions" in relations) == ("propensity" not in topics)
    assert ("coterie__customer_interests" in relations) == ("interests" not in topics)
    assert ("coterie__lookalikes" in relations) == ("lookalikes" not in topics)
    assert ("coterie__audiences" in relations) == ("activation" not in topics)


@pytest.mark.matrix
def test_a_slim_build_without_any_topic_leaves_the_customers(topics_off):
    assert_topics_are_off(topics_off, TOPICS)


@pytest.mark.matrix
@pytest.mark.parametrize("topic", TOPICS)
def test_each_topic_can_be_switched_off(new_host, topic):
    host = new_host("bare_shop")
    host.write({"shop.orders": simulate_orders(40, seed=61)})
    host.variables |= {f"coterie__{topic}_enabled": False}
    host.dbt("build", *WITHOUT_TESTS)
    assert_topics_are_off(host, [topic])


@pytest.mark.matrix
def test_predictions_are_learned_without_purchase_models(new_host):
    host = new_host("bare_shop")
    host.write({"shop.orders": simulate_orders(4000, seed=62)})
    host.variables |= {"coterie__lifetime_value_enabled": False, "coterie__predictions": ONE_MODEL}
    host.dbt("build")
    version = host.table("coterie__model_versions").iloc[0]
    assert version["gate_status"] in {"published", "provisional"}
    assert version["learner"] == "additive"
    features = set(host.table("coterie__model_features")["feature"])
    assert "days_since_last_order" in features
    assert [name for name in features if name.startswith("nbd_")] == []
    scorers = host.query("select distinct scorer_name from {coterie__model_metrics}")
    assert set(scorers["scorer_name"]) == {"model", "base_rate", "rfm_cell"}


# ---- all ---------------------------------------------------------------------------------------


def test_every_host_installs_the_package_beside_it():
    for project in sorted(HOSTS.iterdir()):
        if (project / "dbt_project.yml").exists():
            packages = (project / "packages.yml").read_text()
            assert "local: ../.." in packages
            assert (project / "../..").resolve() == REPOSITORY
