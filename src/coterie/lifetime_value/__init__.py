"""What customers are worth: how often they will buy, whether they have left, what they will spend.

`purchases` learns from the dates of purchases alone how often customers buy and when they leave for
good (MBG/NBD, BG/NBD). Each model has an estimator in the manner of scikit-learn, which any rows in
any unit of time can be given to, and a function from tables to tables, which fits one set of
parameters for each date on customers counted by state; SQL scores customers from these parameters.
"""

from coterie.lifetime_value.fitting import Convergence
from coterie.lifetime_value.purchases import (
    FAMILIES,
    MEAN_ROUNDING_WEEKS,
    NBD_PARAMETERS_SCHEMA,
    PARAMETERS,
    BetaGeometricNBD,
    ModifiedBetaGeometricNBD,
    fit_nbd_parameters,
    unrounded_weeks,
)

__all__ = [
    "FAMILIES",
    "MEAN_ROUNDING_WEEKS",
    "NBD_PARAMETERS_SCHEMA",
    "PARAMETERS",
    "BetaGeometricNBD",
    "Convergence",
    "ModifiedBetaGeometricNBD",
    "fit_nbd_parameters",
    "unrounded_weeks",
]
