"""A decision forest on an analog content-addressable memory: a row a leaf, an interval a feature, matches vote."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from aimc.cam import ThresholdCell, match, noisy_match
from aimc.counts import Counts

ACCEPTED = ("DecisionTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier")
"""Models of scikit-learn that decide for the largest mean of their trees' class shares, as rows that vote do."""


@jax.tree_util.register_static
class Labels:
    """The classes, a numpy array of any dtype; to jax a constant, so that strings do no harm."""

    def __init__(self, values: np.ndarray):
        self.values = np.asarray(values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels) and hash(self) == hash(other) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.values.dtype.str, tuple(self.values.tolist())))


class Forest(NamedTuple):
    """The content of the memory. Row r is up where lo ≤ x < hi in all features (∓inf: the cell does not care)."""

    lo: Float[Array, "n_rows n_features"]
    hi: Float[Array, "n_rows n_features"]
    shares: Float[Array, "n_rows n_classes"]  # of the classes in each leaf
    classes: Labels  # classes.values, (n_classes,): what `predict` counts through
    window: Float[Array, "n_features 2"]  # the values that the data lines can carry
    lo_std: Float[Array, "n_rows n_features"] | None = None  # fresh noise of the bounds, of cells that have any
    hi_std: Float[Array, "n_rows n_features"] | None = None

    def counts(self, n: int) -> Counts:
        """Classifying `n` vectors: every one is compared with all rows, one search each; a vote is an addition."""
        rows, classes = self.shares.shape
        return Counts(cam_searches=n * rows, array_cycles=n, digital_ops=n * rows * classes)


def from_sklearn(model: Any, window: tuple[float, float]) -> Forest:
    """The rows of a fitted scikit-learn decision tree, random forest or extra-trees classifier.

    A path to a leaf is a conjunction of x ≤ t and x > t, so an interval a feature; t is rounded down to float32, in
    which scikit-learn compares. `window` is the range of all features, which the data lines have to carry. Not random.
    The labels stay a numpy array of their own dtype. Raises ValueError for any other model (boosted trees do not vote
    alike, bagged ones may not see all features), one that is not fitted, several outputs, or thresholds outside
    `window`.
    """
    kind = type(model)
    fitted = hasattr(model, "classes_") and (hasattr(model, "tree_") or hasattr(model, "estimators_"))
    if kind.__name__ not in ACCEPTED or not kind.__module__.startswith("sklearn.") or not fitted:
        raise ValueError(f"model must be a fitted {', '.join(ACCEPTED[:-1])} or {ACCEPTED[-1]}, got {model!r}")
    if model.n_outputs_ != 1:
        raise ValueError(f"model must have one output, got {model.n_outputs_}")
    trees = getattr(model, "estimators_", [model])
    parts = [_leaves(tree.tree_) for tree in trees]
    lo, hi, shares = (np.concatenate(part) for part in zip(*parts, strict=True))
    finite = np.concatenate([lo[np.isfinite(lo)], hi[np.isfinite(hi)]])
    if finite.size and not (window[0] <= finite.min() and finite.max() <= window[1]):
        raise ValueError(f"window {window} must hold all thresholds, {finite.min()} to {finite.max()}")
    ends = np.broadcast_to(np.asarray(window, np.float32), (lo.shape[1], 2))
    lo, hi, shares, ends = map(jnp.asarray, (lo, hi, np.float32(shares), ends))
    return Forest(lo, hi, shares, Labels(model.classes_), ends)


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
    """The same forest in a memory whose thresholds turned out as `cell` says. Random: frozen; key is consumed.

    Where the device of `cell` has read noise, `lo_std` and `hi_std` are its spread, for `predict` to draw.
    """
    least, width = forest.window[:, 0], forest.window[:, 1] - forest.window[:, 0]

    def store(key: Array, bounds: Array) -> tuple[Array, Array | None]:
        finite = jnp.isfinite(bounds)
        target = jnp.where(finite, (bounds - least) / width, 0.0)
        built = cell.fabricate(key, target)
        std = cell.read_std(built)
        fresh = None if std is None else jnp.where(finite, width * std, 0.0)
        return jnp.where(finite, bounds + width * (built - target), bounds), fresh

    lo_key, hi_key = jax.random.split(key)
    (lo, lo_std), (hi, hi_std) = store(lo_key, forest.lo), store(hi_key, forest.hi)
    return forest._replace(lo=lo, hi=hi, lo_std=lo_std, hi_std=hi_std)


def predict(
    forest: Forest, x: Float[Array, "batch n_features"], *, key: Key[Array, ""] | None = None, chunk: int = 32
) -> Int[Array, " batch"]:
    """The class with the most votes, as an index: `forest.classes.values[...]` on the host are the labels.

    Every row that is up adds its leaf's shares. The first wins a tie, and where no row is up. Random: read noise of the
    cells, fresh for every cell and vector, where `fabricate` found any; it consumes `key`. Memory: `chunk` vectors'
    match lines at a time. Raises ValueError if there is read noise and no key.
    """
    lo_std, hi_std = forest.lo_std, forest.hi_std

    def vote(lines: Array) -> Array:
        shares = jnp.matmul(lines.astype(jnp.float32), forest.shares, precision=jax.lax.Precision.HIGHEST)
        return jnp.argmax(shares)

    if lo_std is None or hi_std is None:
        return jax.lax.map(lambda vector: vote(match(vector, forest.lo, forest.hi)), x, batch_size=chunk)
    if key is None:
        raise ValueError("key must be given for a memory whose cells have read noise, got None")

    def noisy_vote(one: tuple[Array, Array]) -> Array:
        return vote(noisy_match(one[0], one[1], forest.lo, forest.hi, lo_std, hi_std))

    return jax.lax.map(noisy_vote, (jax.random.split(key, x.shape[0]), x), batch_size=chunk)
