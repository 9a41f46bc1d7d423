"""What samples are worth: is the chain long enough, is the law the right one, and how large is chance's share.

Every function returns a small NamedTuple: a value, and beside it its error or what chance alone would give. They run on
the host in float64.
"""

from ebm.diagnostics.autocorrelation import TauInt, tau_int
from ebm.diagnostics.convergence import BulkEss, RHat, bulk_ess, r_hat
from ebm.diagnostics.distance import TotalVariation, total_variation
from ebm.diagnostics.moments import CorrelationError, correlation_error
from ebm.diagnostics.temperature import BetaEff, beta_eff, flip_fields
from ebm.diagnostics.two_samples import AdversarialAccuracy, Mmd, adversarial_accuracy, mmd

__all__ = [
    "AdversarialAccuracy",
    "BetaEff",
    "BulkEss",
    "CorrelationError",
    "Mmd",
    "RHat",
    "TauInt",
    "TotalVariation",
    "adversarial_accuracy",
    "beta_eff",
    "bulk_ess",
    "correlation_error",
    "flip_fields",
    "mmd",
    "r_hat",
    "tau_int",
    "total_variation",
]
