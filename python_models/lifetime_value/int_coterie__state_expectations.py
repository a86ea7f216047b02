from coterie.lifetime_value import state_expectations
from coterie.runs import read_run


def model(dbt, session):
    states = dbt.ref("int_coterie__alive_states").to_arrow_table()
    purchase_parameters = dbt.ref("int_coterie__nbd_parameters").to_arrow_table()
    spend_parameters = dbt.ref("int_coterie__gamma_gamma_parameters").to_arrow_table()
    fit_settings = dbt.ref("int_coterie__fit_settings").to_arrow_table()
    as_of = dbt.ref("int_coterie__as_of").to_arrow_table()

    _, settings = read_run(fit_settings, as_of, topic="value")
    return state_expectations(states, purchase_parameters, spend_parameters, settings=settings)
