from coterie.quality import bootstrap_intervals
from coterie.runs import read_run


def model(dbt, session):
    backtests = dbt.ref("int_coterie__propensity_backtests").to_arrow_table()
    fit_settings = dbt.ref("int_coterie__fit_settings").to_arrow_table()
    as_of = dbt.ref("int_coterie__as_of").to_arrow_table()
    stored = None
    if dbt.is_incremental:
        stored = session.sql(f"select * from {dbt.this}").to_arrow_table()

    _, settings = read_run(fit_settings, as_of, topic="propensity")
    return bootstrap_intervals(backtests, stored, is_empty=settings["is_empty"])
