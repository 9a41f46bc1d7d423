"""Annealed importance sampling in both directions: stochastic bounds where the likelihood cannot be enumerated.

A path (`layered`, `graph`, `neural`) leads from independent units to a model through the laws of the energies (1 -
beta_k) E_base + beta_k E, and moves chains by kernels that leave each of them unchanged; `log_likelihood` and
`log_partition` are the same for all.

Forward (Neal 2001; for RBMs Salakhutdinov & Murray 2008): chains drawn exactly from the independent units are annealed
to the model. Their weights have mean Z / Z_base, so log Z_base plus the log of the mean weight is in expectation at
most log Z (Jensen's inequality), and a log-likelihood computed with it in expectation too high. It overshoots log Z by
b nats with probability below exp(-b) (Markov's inequality), but may undershoot by any amount: hence the other
direction.

Reverse (Burda, Grosse & Salakhutdinov 2015, "Accurate and conservative estimates of MRF log-likelihood using reverse
annealing"): chains start at rows of data and are annealed back to independent units. Their weights have as mean,
exactly, the probability of that row in the *annealing model*, the law of the last state of a forward chain that makes
the same moves reversed in time. So in expectation the estimate is at most the log-likelihood of the annealing model,
which tends to that of the model as the annealing slows, and is below it on average over rows that the model itself
would make (a Kullback-Leibler divergence); for other rows it is conservative in practice, not by theorem. Chains that
start at exact samples of the model instead bound log Z itself from above (Grosse, Ghahramani & Adams 2015); samples of
a chain do so as far as it has mixed.

Hidden units of layered models are summed out along the way. Those of graphs are annealed with the visible ones, and
where the pieces that they fall into given the data have 16 nodes or fewer, a chain starts at an exact draw of them with
f(v) enumerated. Larger pieces are annealed themselves with the data clamped: forward, whose weights have mean f(v) and
may be multiplied with those of the chain that goes on from there, and back from where those chains ended, an upper
bound as far as they follow p(h | v). All of it goes into the two bounds.

One increment of a layered model is log f_k(v) - log f_{k-1}(v). As a difference of two float32 free energies of
hundreds of nats it would lose all its digits when the betas lie close, so it is computed as log(1 + sigmoid(x) (e^d -
1)), d being the change of a hidden unit's logit x, and increments are added with the rounding error of each sum carried
along (Knuth's two-sum): log weights are good to 1e-6 of their size over 10,000 betas, by test. Weights are averaged on
the host in float64.
"""

from ebm.ais.annealing import Run, forward, geometric_betas, linear_betas, reverse
from ebm.ais.bounds import LEAST_EFFECTIVE_CHAINS, TRUSTED_GAP_NATS, Sandwich, log_likelihood, log_partition
from ebm.ais.energy_path import EnergyPath, neural, with_tuned_step
from ebm.ais.graph_path import GraphPath, graph
from ebm.ais.layered_path import LayeredPath, layered
from ebm.ais.path import Path

__all__ = [
    "LEAST_EFFECTIVE_CHAINS",
    "TRUSTED_GAP_NATS",
    "EnergyPath",
    "GraphPath",
    "LayeredPath",
    "Path",
    "Run",
    "Sandwich",
    "forward",
    "geometric_betas",
    "graph",
    "layered",
    "linear_betas",
    "log_likelihood",
    "log_partition",
    "neural",
    "reverse",
    "with_tuned_step",
]
