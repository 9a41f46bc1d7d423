"""An analog content-addressable memory: cells that match an interval, rows that match where all their cells do."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from aimc.devices.base import Device, Level, ideal, static
from aimc.noise import normal


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ThresholdCell:
    """How one bound of an analog-CAM cell is stored: a conductance, which sets the voltage at which the cell switches.

    The threshold τ, as a fraction of the window of the data line, is a monotone function of g = G/g_max. In a 6T2M cell
    (Li et al. 2020) the conductance and a transistor divide a voltage that gates the pull-down of the match line. With
    the transistor in its linear region its conductance, so the data-line voltage at which the divider switches, is
    proportional to G: `law` "linear", τ = (g − g_0)/(1 − g_0). Below threshold its conductance is exponential in the
    voltage: "log", τ = ln(g/g_0)/ln(1/g_0). g_0 = max(g_min of the device, 1/`on_off`).

    Frozen: what `device.write` leaves of g, and with `elapsed` what `device.age` makes of the cells in so many seconds
    (drift, relaxation, 1/f noise; None: just as written, never aged), mapped to τ: to first order dτ/dg times the error
    of g. And `mismatch`, standard deviation of the transistors' own threshold, as a fraction of the window. Fresh: the
    read noise of a cell, where its device has any, moves its threshold anew in every comparison, by the standard
    deviation `read_std`. Both laws and their numbers are of class assumption: no coefficients of measured cells are
    published.

    Raises ValueError for another `law`.
    """

    device: Device = field(default_factory=ideal)
    mismatch: Level | None = None
    elapsed: Level | None = None
    on_off: Level = 20.0
    law: str = static("linear")
    evidence: str = static("assumption")
    source: str = static("circuit of Li et al. 2020 (Nat. Commun. 11, 1638); both laws assumed")

    def __post_init__(self) -> None:
        if self.law not in ("linear", "log"):
            raise ValueError(f"ThresholdCell.law must be linear or log, got {self.law!r}")

    def _least(self) -> Array:
        return jnp.maximum(self.device.g_min, 1.0 / jnp.asarray(self.on_off, jnp.float32))

    def conductance(self, threshold: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The conductance, in units of g_max, that stores a threshold in [0, 1]."""
        least = self._least()
        return least + threshold * (1.0 - least) if self.law == "linear" else least ** (1.0 - threshold)

    def threshold(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The threshold, as a fraction of the window, that a conductance stores."""
        least = self._least()
        if self.law == "linear":
            return (g - least) / (1.0 - least)
        return 1.0 - jnp.log(jnp.maximum(g, 1e-6)) / jnp.log(least)

    def fabricate(self, key: Key[Array, ""], thresholds: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Thresholds (fractions of the window) as they turn out when each is written to its own cell. Random: all of
        it, frozen; key is consumed. The cells' fresh read noise is not in it: see `read_std`."""
        write_key, mismatch_key = jax.random.split(key)
        cells = self.device.write(write_key, self.conductance(thresholds))
        if self.elapsed is not None:
            cells = self.device.age(jax.random.fold_in(write_key, 1), cells, 0.0, self.elapsed)
        built = self.threshold(self.device.conductance(cells, self._age()))
        return built if self.mismatch is None else built + self.mismatch * normal(mismatch_key, thresholds.shape)

    def read_std(self, thresholds: Float[Array, "*shape"]) -> Float[Array, "*shape"] | None:
        """Standard deviation of the fresh noise of a threshold, √((dτ/dg)² Var g), as a fraction of the window; None
        where the device has no read noise.

        `thresholds` are those of `fabricate`; g is what stores them (with `mismatch`, which is not stored in g, that is
        off by as much). To first order in the read noise. Not random.
        """
        least = self._least()
        g = jnp.maximum(self.conductance(thresholds), 0.0)
        variance = self.device.read_variance(g, self._age())
        if variance is None:
            return None
        slope = 1.0 / (1.0 - least) if self.law == "linear" else -1.0 / (jnp.maximum(g, 1e-6) * jnp.log(least))
        return jnp.broadcast_to(jnp.sqrt(variance) * slope, thresholds.shape)

    def _age(self) -> Level:
        return 0.0 if self.elapsed is None else self.elapsed


def match(
    x: Float[Array, "*batch n_features"], lo: Float[Array, "n_rows n_features"], hi: Float[Array, "n_rows n_features"]
) -> Bool[Array, "*batch n_rows"]:
    """Match lines: row r is up where lo[r] ≤ x < hi[r] in every feature. A bound of ∓inf matches everything.

    Not random. One feature after the other, so that nothing larger than the match lines is in memory.
    """

    def search(lines: Array, column: tuple[Array, Array, Array]) -> tuple[Array, None]:
        value, low, high = column
        return lines & (value[..., None] >= low) & (value[..., None] < high), None

    lines = jnp.ones((*x.shape[:-1], lo.shape[0]), bool)
    return jax.lax.scan(search, lines, (jnp.moveaxis(x, -1, 0), lo.T, hi.T))[0]


def noisy_match(
    key: Key[Array, ""],
    x: Float[Array, "*batch n_features"],
    lo: Float[Array, "n_rows n_features"],
    hi: Float[Array, "n_rows n_features"],
    lo_std: Float[Array, "n_rows n_features"],
    hi_std: Float[Array, "n_rows n_features"],
) -> Bool[Array, "*batch n_rows"]:
    """`match` with bounds that move by Gaussian noise of the given standard deviations, in units of x, at every search.

    Random: the noise of every bound, fresh for every vector; key is consumed. Memory as `match`: a feature at a time.
    """

    def search(lines: Array, column: tuple[Array, ...]) -> tuple[Array, None]:
        number, value, low, high, low_std, high_std = column
        low_key, high_key = jax.random.split(jax.random.fold_in(key, number))
        low = low + low_std * normal(low_key, lines.shape)
        high = high + high_std * normal(high_key, lines.shape)
        return lines & (value[..., None] >= low) & (value[..., None] < high), None

    lines = jnp.ones((*x.shape[:-1], lo.shape[0]), bool)
    columns = (jnp.arange(x.shape[-1]), jnp.moveaxis(x, -1, 0), lo.T, hi.T, lo_std.T, hi_std.T)
    return jax.lax.scan(search, lines, columns)[0]
