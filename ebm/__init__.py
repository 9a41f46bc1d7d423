"""Energy-based models: energies, samplers, training and exact likelihoods, with counts for the hardware they need."""

from ebm import data, losses, rules
from ebm.counts import pcd_step_counts, pcd_step_operations
from ebm.energies import boltzmann, gaussian, neural, potts, rbm
from ebm.likelihood import log_likelihood, log_partition
from ebm.samplers import gibbs
from ebm.train import Diverged, TrainState, fit

__all__ = [
    "Diverged",
    "TrainState",
    "boltzmann",
    "data",
    "fit",
    "gaussian",
    "gibbs",
    "log_likelihood",
    "log_partition",
    "losses",
    "neural",
    "pcd_step_counts",
    "pcd_step_operations",
    "potts",
    "rbm",
    "rules",
]
