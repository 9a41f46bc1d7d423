"""What the analog road costs: energy, time and money per step, beside the digital computer.

    counts of events  x  sourced rates  ->  joules, seconds, dollars, each with an interval and its evidence

Importing this package needs the standard library only.
"""

from .analog import CHIPS, AnalogWork, Chip
from .compare import Evaluation, compare, evaluate
from .digital.gpu import Op
from .events import BOUNDARIES, EVENTS
from .price import Cost, Price, price
from .rates import load
from .uncertainty import EVIDENCE, Rate, monte_carlo, probability_above, propagate, sobol, tornado
from .work import Measured, Workload

__all__ = [
    "BOUNDARIES",
    "CHIPS",
    "EVENTS",
    "EVIDENCE",
    "AnalogWork",
    "Chip",
    "Cost",
    "Evaluation",
    "Measured",
    "Op",
    "Price",
    "Rate",
    "Workload",
    "compare",
    "evaluate",
    "load",
    "monte_carlo",
    "price",
    "probability_above",
    "propagate",
    "sobol",
    "tornado",
]
