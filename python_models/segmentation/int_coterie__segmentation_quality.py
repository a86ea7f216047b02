from coterie.runs import read_run
from coterie.segmentation import segmentation_quality


def model(dbt, session):
    centers = dbt.ref("int_coterie__segment_centers").to_arrow_table()
    sample = dbt.ref("int_coterie__segmentation_sample").to_arrow_table()
    outcomes = dbt.ref("int_coterie__segmentation_outcomes").to_arrow_table()
    fit_settings = dbt.ref("int_coterie__fit_settings").to_arrow_table()
    as_of = dbt.ref("int_coterie__as_of").to_arrow_table()
    stored = None
    if dbt.is_incremental:
        stored = session.sql(f"select * from {dbt.this}").to_arrow_table()

    as_of_date, settings = read_run(fit_settings, as_of, topic="segmentation")
    return segmentation_quality(
        centers, sample, stored, outcomes=outcomes, as_of_date=as_of_date, settings=settings
    )
