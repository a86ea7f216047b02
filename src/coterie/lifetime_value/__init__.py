"""What customers are worth: how often they will buy, whether they have left, what they will spend.

`purchases` learns from the dates of purchases alone how often customers buy and when they leave for
good (MBG/NBD, BG/NBD); `spend` learns what they spend at a purchase (Gamma-Gamma). Each model has
an estimator in the manner of scikit-learn, which reads any rows in any unit of time or money, and a
function from tables to tables, which fits one set of parameters for each date on customers counted
by state. SQL scores customers from these parameters; what has no closed form there, `expectations`
tabulates from both: the orders to come within a horizon and the distribution of their value.
`value` learns from past dates what customers will spend, joins it with the purchase model, and
predicts past dates again; `metrics` tells how good that was.
"""

from coterie.lifetime_value.expectations import (
    HORIZON_DAYS,
    LEVELS,
    STATE_EXPECTATIONS_SCHEMA,
    state_expectations,
)
from coterie.lifetime_value.fitting import Convergence
from coterie.lifetime_value.metrics import VALUE_METRICS_SCHEMA, value_metrics
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
from coterie.lifetime_value.value import (
    VALUE_BACKTEST_SCHEMA,
    VALUE_WEIGHTS_SCHEMA,
    backtest_values,
    fit_value_weights,
    predict_values,
)

__all__ = [
    "FAMILIES",
    "GAMMA_GAMMA_PARAMETERS",
    "GAMMA_GAMMA_PARAMETERS_SCHEMA",
    "HORIZON_DAYS",
    "LEVELS",
    "MEAN_ROUNDING_WEEKS",
    "NBD_PARAMETERS_SCHEMA",
    "PARAMETERS",
    "STATE_EXPECTATIONS_SCHEMA",
    "VALUE_BACKTEST_SCHEMA",
    "VALUE_METRICS_SCHEMA",
    "VALUE_WEIGHTS_SCHEMA",
    "BetaGeometricNBD",
    "Convergence",
    "GammaGamma",
    "ModifiedBetaGeometricNBD",
    "backtest_values",
    "fit_gamma_gamma_parameters",
    "fit_nbd_parameters",
    "fit_value_weights",
    "predict_values",
    "state_expectations",
    "unrounded_weeks",
    "value_metrics",
]
