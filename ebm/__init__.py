"""Energy-based models: energies, samplers, training and exact likelihoods, with counts for the hardware they need."""

from ebm import ais, analog, coloring, data, exact, layouts, losses, rules, sensitivity
from ebm.counts import pcd_step_counts, pcd_step_operations
from ebm.energies import boltzmann, gaussian, neural, potts, rbm
from ebm.likelihood import graph_log_likelihood, graph_log_partition, log_likelihood, log_partition
from ebm.samplers import chromatic, gibbs, multispin
from ebm.train import Diverged, TrainState, fit

__all__ = [
    "Diverged",
    "TrainState",
    "ais",
    "analog",
    "boltzmann",
    "chromatic",
    "coloring",
    "data",
    "exact",
    "fit",
    "gaussian",
    "gibbs",
    "graph_log_likelihood",
    "graph_log_partition",
    "layouts",
    "log_likelihood",
    "log_partition",
    "losses",
    "multispin",
    "neural",
    "pcd_step_counts",
    "pcd_step_operations",
    "potts",
    "rbm",
    "rules",
    "sensitivity",
]
