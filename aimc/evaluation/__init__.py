"""What the hardware does to a trained model: over a year of drift, and layer by layer."""

from aimc.evaluation.compensation import COMPENSATIONS as COMPENSATIONS
from aimc.evaluation.compensation import Reference as Reference
from aimc.evaluation.compensation import calibration_vectors as calibration_vectors
from aimc.evaluation.compensation import compensate_drift as compensate_drift
from aimc.evaluation.compensation import drift_references as drift_references
from aimc.evaluation.compensation import watched_vectors as watched_vectors
from aimc.evaluation.figures import sensitivity_figure as sensitivity_figure
from aimc.evaluation.figures import time_in_words as time_in_words
from aimc.evaluation.figures import year_figure as year_figure
from aimc.evaluation.intervals import as_rows as as_rows
from aimc.evaluation.intervals import mean_interval as mean_interval
from aimc.evaluation.intervals import share_interval as share_interval
from aimc.evaluation.intervals import summary as summary
from aimc.evaluation.lifetime import follow as follow
from aimc.evaluation.score import Score as Score
from aimc.evaluation.score import score as score
from aimc.evaluation.sensitivity import sensitivity as sensitivity
from aimc.evaluation.sobol import Indices as Indices
from aimc.evaluation.sobol import design as design
from aimc.evaluation.sobol import indices as indices
from aimc.evaluation.year import TIMES_S as TIMES_S
from aimc.evaluation.year import over_time as over_time
