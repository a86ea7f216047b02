from coterie.lifetime_value import fit_value_weights
from coterie.runs import read_run


def model(dbt, session):
    training_rows = dbt.ref("int_coterie__value_training_rows").to_arrow_table()
    feature_bins = dbt.ref("int_coterie__value_feature_bins").to_arrow_table()
    purchase_parameters = dbt.ref("int_coterie__nbd_parameters").to_arrow_table()
    spend_parameters = dbt.ref("int_coterie__gamma_gamma_parameters").to_arrow_table()
    fit_settings = dbt.ref("int_coterie__fit_settings").to_arrow_table()
    as_of = dbt.ref("int_coterie__as_of").to_arrow_table()
    stored = None
    if dbt.is_incremental:
        stored = session.sql(f"select * from {dbt.this}").to_arrow_table()

    as_of_date, settings = read_run(fit_settings, as_of, topic="value")
    return fit_value_weights(
        training_rows,
        feature_bins,
        purchase_parameters,
        spend_parameters,
        stored,
        as_of_date=as_of_date,
        settings=settings,
    )
