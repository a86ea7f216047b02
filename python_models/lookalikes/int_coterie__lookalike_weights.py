from coterie.lookalikes import fit_lookalikes
from coterie.runs import read_run


def model(dbt, session):
    sample = dbt.ref("int_coterie__lookalike_sample").to_arrow_table()
    fit_settings = dbt.ref("int_coterie__fit_settings").to_arrow_table()
    as_of = dbt.ref("int_coterie__as_of").to_arrow_table()

    as_of_date, settings = read_run(fit_settings, as_of, topic="lookalikes")
    return fit_lookalikes(sample, as_of_date=as_of_date, settings=settings)
