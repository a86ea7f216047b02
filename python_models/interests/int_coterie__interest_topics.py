from coterie.interests import fit_topics
from coterie.runs import read_run


def model(dbt, session):
    documents = dbt.ref("int_coterie__interest_documents").to_arrow_table()
    fit_settings = dbt.ref("int_coterie__fit_settings").to_arrow_table()
    as_of = dbt.ref("int_coterie__as_of").to_arrow_table()
    stored = None
    if dbt.is_incremental:
        stored = session.sql(f"select * from {dbt.this}").to_arrow_table()

    as_of_date, settings = read_run(fit_settings, as_of, topic="interests")
    return fit_topics(documents, stored, as_of_date=as_of_date, settings=settings)
