"""What customers are worth: how often they will buy, whether they have left, what they will spend.

`purchases` learns from the dates of purchases alone how often customers buy and when they leave for
good (MBG/NBD, BG/NBD); `spend` learns what they spend at a purchase (Gamma-Gamma). Each model has
an estimator in the manner of scikit-learn, which reads any rows in any unit of time or money, and a
function from tables to tables, which fits one set of parameters for each date on customers counted
by state; SQL scores customers from these parameters.
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
from coterie.lifetime_value.spend import (
    GAMMA_GAMMA_PARAMETERS,
    GAMMA_GAMMA_PARAMETERS_SCHEMA,
    GammaGamma,
    fit_gamma_gamma_parameters,
)

__all__ = [
    "FAMILIES",
    "GAMMA_GAMMA_PARAMETERS",
    "GAMMA_GAMMA_PARAMETERS_SCHEMA",
    "MEAN_ROUNDING_WEEKS",
    "NBD_PARAMETERS_SCHEMA",
    "PARAMETERS",
    "BetaGeometricNBD",
    "Convergence",
    "GammaGamma",
    "ModifiedBetaGeometricNBD",
    "fit_gamma_gamma_parameters",
    "fit_nbd_parameters",
    "unrounded_weeks",
]
