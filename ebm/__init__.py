"""Energy-based models: energies, samplers, training and exact likelihoods, with counts for the hardware they need."""

from ebm import ais, analog, coloring, data, diagnostics, exact, interpret, layouts, losses, planted, rules, sensitivity
from ebm.counts import pcd_step_counts, pcd_step_operations
from ebm.energies import boltzmann, gaussian, neural, potts, rbm
from ebm.graph_likelihood import graph_log_likelihood, graph_log_partition
from ebm.likelihood import log_likelihood, log_partition
from ebm.samplers import annealing, chromatic, gibbs, gwg, hmc, langevin, mala, metropolis, multispin, tempering
from ebm.train import Diverged, TrainState, fit

__all__ = [
    "Diverged",
    "TrainState",
    "ais",
    "analog",
    "annealing",
    "boltzmann",
    "chromatic",
    "coloring",
    "data",
    "diagnostics",
    "exact",
    "fit",
    "gaussian",
    "gibbs",
    "graph_log_likelihood",
    "graph_log_partition",
    "gwg",
    "hmc",
    "interpret",
    "langevin",
    "layouts",
    "log_likelihood",
    "log_partition",
    "losses",
    "mala",
    "metropolis",
    "multispin",
    "neural",
    "pcd_step_counts",
    "pcd_step_operations",
    "planted",
    "potts",
    "rbm",
    "rules",
    "sensitivity",
    "tempering",
]
