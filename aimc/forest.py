"""A decision forest on an analog content-addressable memory: a row a leaf, an interval a feature, matches vote."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from aimc.cam import ThresholdCell, match
from aimc.counts import Counts


class Forest(NamedTuple):
    """The content of the memory. Row r is up where lo ≤ x < hi in all features (∓inf: the cell does not care)."""

    lo: Float[Array, "n_rows n_features"]
    hi: Float[Array, "n_rows n_features"]
    shares: Float[Array, "n_rows n_classes"]  # of the classes in each leaf
    classes: Array  # (n_classes,): the label of each
    window: Float[Array, "n_features 2"]  # the values that the data lines can carry

    def counts(self, n: int) -> Counts:
        """Classifying `n` vectors: every one is compared with all rows, one search each; a vote is an addition."""
        rows, classes = self.shares.shape
        return Counts(cam_searches=n * rows, array_cycles=n, digital_ops=n * rows * classes)


def from_sklearn(model: Any, window: tuple[float, float]) -> Forest:
    """The rows of a fitted scikit-learn decision tree, random forest or extra-trees classifier.

    A path to a leaf is a conjunction of x ≤ t and x > t, so an interval a feature; t is rounded down to float32, in
    which scikit-learn compares. `window` is the range of all features, which the data lines have to carry. Not random.
    Raises ValueError for a model without trees, with several outputs, or with thresholds outside `window`.
    """
    trees = getattr(model, "estimators_", [model])
    if not all(hasattr(tree, "tree_") for tree in trees) or not hasattr(model, "classes_"):
        raise ValueError(f"model must be a fitted tree or forest classifier of scikit-learn, got {model!r}")
    if getattr(model, "n_outputs_", 1) != 1:
        raise ValueError(f"model must have one output, got {model.n_outputs_}")
    parts = [_leaves(tree.tree_) for tree in trees]
    lo, hi, shares = (np.concatenate(part) for part in zip(*parts, strict=True))
    finite = np.concatenate([lo[np.isfinite(lo)], hi[np.isfinite(hi)]])
    if finite.size and not (window[0] <= finite.min() and finite.max() <= window[1]):
        raise ValueError(f"window {window} must hold all thresholds, {finite.min()} to {finite.max()}")
    ends = np.broadcast_to(np.asarray(window, np.float32), (lo.shape[1], 2))
    return Forest(*map(jnp.asarray, (lo, hi, np.float32(shares), np.asarray(model.classes_), ends)))


def _leaves(tree: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower bounds, upper bounds (n_leaves, n_features) and class shares of the leaves of one tree."""
    everything = np.full(tree.n_features, np.inf, np.float32)
    los, his, shares, todo = [], [], [], [(0, -everything, everything)]
    while todo:
        node, lo, hi = todo.pop()
        if tree.children_left[node] == -1:
            los.append(lo)
            his.append(hi)
            shares.append(tree.value[node, 0] / tree.value[node, 0].sum())
            continue
        feature, threshold = tree.feature[node], tree.threshold[node]
        below = np.float32(threshold)
        if below > threshold:
            below = np.nextafter(below, np.float32(-np.inf))
        edge = np.nextafter(below, np.float32(np.inf))  # x ≤ t is x < the next number
        left, right = hi.copy(), lo.copy()
        left[feature], right[feature] = min(hi[feature], edge), max(lo[feature], edge)
        todo += [(tree.children_right[node], right, hi), (tree.children_left[node], lo, left)]
    return np.array(los), np.array(his), np.array(shares)


def fabricate(key: Key[Array, ""], forest: Forest, cell: ThresholdCell) -> Forest:
    """The same forest in a memory whose thresholds turned out as `cell` says. Random: frozen; key is consumed."""
    least, width = forest.window[:, 0], forest.window[:, 1] - forest.window[:, 0]

    def store(key: Array, bounds: Array) -> Array:
        finite = jnp.isfinite(bounds)
        target = jnp.where(finite, (bounds - least) / width, 0.0)
        return jnp.where(finite, bounds + width * (cell.fabricate(key, target) - target), bounds)

    lo_key, hi_key = jax.random.split(key)
    return forest._replace(lo=store(lo_key, forest.lo), hi=store(hi_key, forest.hi))


def predict(forest: Forest, x: Float[Array, "batch n_features"], *, chunk: int = 32) -> Int[Array, " batch"]:
    """The label with the most votes: every row that is up adds its leaf's shares. The first wins a tie, and where no
    row is up. Not random. Memory: `chunk` vectors' match lines at a time."""

    def vote(vector: Array) -> Array:
        lines = match(vector, forest.lo, forest.hi).astype(jnp.float32)
        return jnp.argmax(jnp.matmul(lines, forest.shares, precision=jax.lax.Precision.HIGHEST))

    return forest.classes[jax.lax.map(vote, x, batch_size=chunk)]
