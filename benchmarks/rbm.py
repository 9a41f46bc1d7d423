"""RBM(16) on binarised digits: exact test log-likelihood and CPU time, beside scikit-learn's BernoulliRBM.

    python benchmarks/rbm.py [--write]

Rival: `sklearn.neural_network.BernoulliRBM`, at the learning rate and length that did best of four settings, on the
same split; its likelihood is computed exactly too. CPU time of the whole training, compilation included.
"""

import sys
import time

import jax.numpy as jnp
import numpy as np
from record import record, table
from sklearn.neural_network import BernoulliRBM

import ebm
import ebm.run
from ebm.data import digits
from ebm.energies.rbm import Rbm

SEEDS = (1, 2, 3, 4, 5)
SKLEARN = [(0.1, 10), (0.1, 100), (0.01, 10), (0.01, 100)]


def main() -> None:
    data = digits()
    rows = []
    values, seconds = [], []
    for seed in SEEDS:
        start = time.process_time()
        state = ebm.run.fit(ebm.run.Settings(seed=seed), data.train)
        seconds.append(time.process_time() - start)
        values.append(float(ebm.log_likelihood(state.params, data.test).mean()))
    each = ", ".join(f"{value:.3f}" for value in values)
    rows.append(["ours, PCD-10, 12,000 steps", f"{np.median(values):.3f}", each, f"{np.median(seconds):.1f}"])
    for rate, epochs in SKLEARN:
        values, seconds = [], []
        for seed in SEEDS[:3]:
            start = time.process_time()
            model = BernoulliRBM(16, learning_rate=rate, n_iter=epochs, batch_size=10, random_state=seed).fit(
                data.train
            )
            seconds.append(time.process_time() - start)
            learned = (model.components_.T, model.intercept_visible_, model.intercept_hidden_)
            params = Rbm(*(jnp.asarray(array, jnp.float32) for array in learned))
            values.append(float(ebm.log_likelihood(params, data.test).mean()))
        each = ", ".join(f"{value:.3f}" for value in values)
        rows.append(
            [
                f"scikit-learn, rate {rate}, {epochs} epochs",
                f"{np.median(values):.3f}",
                each,
                f"{np.median(seconds):.1f}",
            ]
        )
    text = "Exact test log-likelihood in nats an image (360 images); aim: median of five seeds ≥ -18.75.\n\n" + table(
        ["model", "median", "seeds", "CPU s"], rows
    )
    record("RBM(16) on digits", text, write="--write" in sys.argv)


if __name__ == "__main__":
    main()
