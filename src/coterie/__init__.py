"""Coterie: customer segments and per-customer predictions, learned from tables, kept as tables.

The library is the learning half of the dbt package of the same name. It takes tables and returns
tables, and knows neither dbt nor a database:

- ``coterie.binning``: cut numeric features once into integer bins.
- ``coterie.additive``: an additive classifier and regressor whose fitted form is one table of
  weights.
- ``coterie.learning``: what the learners of outcomes and of amounts share.
- ``coterie.propensity``: the probability of an outcome, learned from the past and tested on it.
- ``coterie.drift``: the features that move with time, and what they cost.
- ``coterie.segmentation``: k-means segments whose fitted form is one table of centers.
- ``coterie.charts``: tables drawn as SVG.
- ``coterie.demo``: a generated shop with a known truth.

Beside it stands the command line ``coterie`` (``coterie.cli``), which reads built databases:
``coterie.warehouse`` opens them, ``coterie.report``, ``coterie.summary`` and ``coterie.doctor`` say
what is in them. Models use none of these.
"""

__version__ = "0.1.0"
