"""What units on noisy sums do, and whether counts follow a law, in NumPy: for the tests of simulated chips."""

from math import erf

import numpy as np

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
WEIGHTS = WEIGHTS / WEIGHTS.sum()

phi = np.vectorize(lambda z: 0.5 * (1.0 + erf(z / np.sqrt(2.0))))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def smeared(x, sigma):
    """E sigmoid(x + sigma n)."""
    return sum(weight * sigmoid(x + sigma * node) for node, weight in zip(NODES, WEIGHTS, strict=True))


def z_of(counts, law):
    """z of the squared distance between histograms and laws, summed over models. With S_k the sum of p^k, the mean of a
    multinomial's is (1 - S2)/n and its variance is [4 n (S3 - S2²) + 2 n (n - 1)(S2 - 2 S3 + S2²)]/n⁴, both exactly."""
    p, n = law.reshape(len(law), -1), counts[0].sum()
    found = ((counts / n - p) ** 2).sum(1)
    s2, s3 = (p**2).sum(1), (p**3).sum(1)
    variance = (4 * n * (s3 - s2**2) + 2 * n * (n - 1) * (s2 - 2 * s3 + s2**2)) / n**4
    return float((found - (1 - s2) / n).sum() / np.sqrt(variance.sum()))
