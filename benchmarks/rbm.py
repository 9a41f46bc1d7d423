"""RBMs on binarised digits: test log-likelihood of 16 and of 64 hidden units, and what pseudo-likelihood says instead.

    python benchmarks/rbm.py [--write]

Rival: `sklearn.neural_network.BernoulliRBM`, at the learning rate and length that did best of four settings, on the
same split; its likelihood is computed exactly too. Settings of ours were chosen on rows held out of the training part
(`benchmarks/rbm_settings.py`). CPU time of the whole training, compilation included.
"""

import sys
import time
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from record import record, table
from sklearn.neural_network import BernoulliRBM

import ebm
import ebm.run
from ebm import ais, losses
from ebm.data import Split, digits
from ebm.energies import rbm

SEEDS = (1, 2, 3, 4, 5)
SKLEARN = [(0.1, 10), (0.1, 100), (0.01, 10), (0.01, 100)]
LARGE = ebm.run.Settings(hidden=64, learning_rate=0.02, weight_decay=0.05)
BETAS = 5000


def exact(params: Any, rows: np.ndarray) -> float:
    return float(ebm.log_likelihood(params, rows).mean())


def small(data: Split) -> str:
    rows, trap = [], []
    values, seconds = [], []
    for seed in SEEDS:
        start = time.process_time()
        state = ebm.run.fit(ebm.run.Settings(seed=seed), data.train)
        seconds.append(time.process_time() - start)
        values.append(exact(state.params, data.test))
    rows.append(["ours, PCD-10, 12,000 steps", *_summary(values), f"{np.median(seconds):.1f}"])
    for rate, epochs in SKLEARN:
        values, seconds, pseudo = [], [], []
        for seed in SEEDS[:3]:
            start = time.process_time()
            model = BernoulliRBM(16, learning_rate=rate, n_iter=epochs, batch_size=10, random_state=seed).fit(
                data.train
            )
            seconds.append(time.process_time() - start)
            learned = (model.components_.T, model.intercept_visible_, model.intercept_hidden_)
            params = rbm.Rbm(*(jnp.asarray(array, jnp.float32) for array in learned))
            values.append(exact(params, data.test))
            pseudo.append(float(losses.pseudo_log_likelihood(rbm.free_energy, params, jnp.asarray(data.test)).mean()))
        name = f"scikit-learn, rate {rate}, {epochs} epochs"
        rows.append([name, *_summary(values), f"{np.median(seconds):.1f}"])
        trap.append([name, f"{np.median(pseudo):.2f}", f"{np.median(values):.2f}"])
    text = "Exact test log-likelihood in nats an image (360 images); aim: median of five seeds ≥ -18.75.\n\n"
    text += table(["model", "median", "seeds", "CPU s"], rows)
    text += "\n\nThe same models by pseudo-log-likelihood, medians of three seeds: at rate 0.1 it calls the longer "
    text += "training better, whose likelihood is lower.\n\n"
    return text + table(["model", "pseudo-log-likelihood", "exact log-likelihood"], trap)


def large(data: Split) -> str:
    """Bounds of the test rows: annealing forward (upper) and back from the rows (lower)."""
    rows, middle = [], []
    for seed in SEEDS:
        start = time.process_time()
        params = ebm.run.fit(replace(LARGE, seed=seed), data.train).params
        seconds = time.process_time() - start
        base = params.independent(jnp.asarray(data.train.mean(axis=0)))
        found = ais.log_likelihood(
            jax.random.key(seed), ais.layered(params, base), data.test, n_chains=256, betas=ais.linear_betas(BETAS)
        )
        middle.append(0.5 * (found.lower + found.upper))
        rows.append([seed, f"{found.lower:.3f}", f"{found.upper:.3f}", f"{found.gap:.3f}", f"{found.ess:.0f}"])
        rows[-1].append(f"{seconds:.1f}")
        print(*rows[-1], file=sys.stderr, flush=True)
    text = f"Test log-likelihood in nats an image between its bounds ({BETAS:,} temperatures, 256 chains); aim: median "
    text += "of five seeds ≥ -17.5 with the bounds within 0.3 nat. A mixture of 64 Bernoulli vectors: -18.58.\n\n"
    text += table(["seed", "lower", "upper", "gap", "effective chains", "CPU s"], rows)
    return text + f"\n\nMedian of the middles: {np.median(middle):.3f}."


def _summary(values: list[float]) -> tuple[str, str]:
    return f"{np.median(values):.3f}", ", ".join(f"{value:.3f}" for value in values)


def main() -> None:
    data = digits()
    record("RBM(64) on digits", large(data), write="--write" in sys.argv)
    record("RBM(16) on digits", small(data), write="--write" in sys.argv)


if __name__ == "__main__":
    main()
