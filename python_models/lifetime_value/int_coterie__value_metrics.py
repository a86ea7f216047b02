from coterie.lifetime_value import value_metrics
from coterie.runs import read_run


def model(dbt, session):
    backtests = dbt.ref("int_coterie__value_backtests").to_arrow_table()
    fit_settings = dbt.ref("int_coterie__fit_settings").to_arrow_table()
    as_of = dbt.ref("int_coterie__as_of").to_arrow_table()
    stored = None
    if dbt.is_incremental:
        stored = session.sql(f"select * from {dbt.this}").to_arrow_table()

    as_of_date, settings = read_run(fit_settings, as_of, topic="value")
    return value_metrics(backtests, stored, as_of_date=as_of_date, settings=settings)
