"""Energy-based models: energies, samplers, exact likelihoods and training, on digital or analog hardware."""

from ebm import data, losses
from ebm.energies import rbm
from ebm.likelihood import log_likelihood, log_partition
from ebm.samplers import gibbs
from ebm.train import Diverged, TrainState, fit

__all__ = [
    "Diverged",
    "TrainState",
    "data",
    "fit",
    "gibbs",
    "log_likelihood",
    "log_partition",
    "losses",
    "rbm",
]
