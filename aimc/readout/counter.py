"""Integrate and fire: a column's charge is counted in packets."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from aimc.counts import Counts
from aimc.devices.base import Level, static
from aimc.noise import normal, uniform
from aimc.readout.base import PerColumn, Readout, check_choice, straight_through

STARTS = ("empty", "half", "random", "carried")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class IntegrateAndFire(Readout):
    """N = min(⌊Q/Q_th + r⌋, `max_count`) for the positive and, on a second counter, for the negative sums.

    Q/Q_th = |u| `max_count` (1 + gain): full scale is `max_count` packets. The sign of the sum selects the integrator
    that charges; the result is their difference. `start` says what charge r, in packets, an integrator begins with:

    * "empty": none; what is left at the end is lost. Rounds toward zero, half a packet too small on average.
    * "half": reset to half a packet, which makes it round to nearest.
    * "random": uniform in [0, 1), drawn for every read. Unbiased: E N = |u| max_count below `max_count`.
    * "carried": what the read before left on the same integrator, the first uniform in [0, 1). The batch is the order
      of time, its last axis running fastest. Unbiased, and the sum of many reads is exact to one packet. Carried within
      one call of `read` or `codes` only, whose batch is all the time there is: every call begins with a new uniform
      charge. An array makes one call for each tile of rows, each slice and each bit plane, so nothing is carried from
      one of these to the next, nor from one product to another.

    Frozen: `mismatch_std`, relative error of the charge one reset removes, hence a gain of each of the two integrators
    of a column. Fresh: r, and `noise`. Gradient: straight-through, 1 where |u| ≤ 1. Counts: at most `max_count` pulses
    a column. Source: integrate-and-fire counting as in the textbooks; mismatch of class assumption.
    """

    max_count: Level = 127.0
    start: str = static("empty")
    mismatch_std: Level | None = None

    def __post_init__(self) -> None:
        check_choice("IntegrateAndFire.start", self.start, STARTS)

    def fabricate(self, key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "..."] | None:
        """Gain errors (n_tiles, n_columns, 2) of the positive and negative integrators, or None. Random: frozen."""
        return None if self.mismatch_std is None else self.mismatch_std * normal(key, (*shape, 2))

    def _net(self, key: Array, u: Array, errors: Any) -> Array:
        """The difference of the two counters, as a float."""
        packets = jnp.abs(u) * self.max_count
        if errors is not None:
            packets = packets * (1.0 + jnp.where(u > 0, errors[..., 0], errors[..., 1]))
        if self.start == "carried":
            count = _fire_in_turn(key, packets, u > 0)
        elif self.start == "random":
            count = jnp.floor(packets + uniform(key, u.shape))
        else:
            count = jnp.floor(packets + (0.5 if self.start == "half" else 0.0))
        return jnp.sign(u) * jnp.minimum(count, self.max_count)

    def read(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: Float[Array, "..."]
    ) -> Float[Array, "*batch n_columns"]:
        """The net count over `max_count`, times `unit`. Random: the charge at the start, where it is."""
        net = self._net(key, jax.lax.stop_gradient(u), errors)
        return straight_through(net, jnp.clip(u, -1.0, 1.0) * self.max_count) * (unit / self.max_count)

    def codes(
        self, key: Key[Array, ""], u: Float[Array, "*batch n_columns"], errors: Any, unit: PerColumn = 1.0
    ) -> Int[Array, "*batch n_columns"]:
        """Net counts, ±max_count at most."""
        return self._net(key, u, errors).astype(jnp.int32)

    def counts(self, n: int) -> Counts:
        """An upper bound: every counter full."""
        return Counts(pulses=n * int(self.max_count))


def _fire_in_turn(key: Array, packets: Array, positive: Array) -> Array:
    """Packets fired by each of a row of reads, of which the positive and the others charge an integrator each."""
    in_order = packets.reshape(-1, packets.shape[-1])

    def charge(held: Array, arriving: tuple[Array, Array]) -> tuple[Array, Array]:
        amount, up = arriving
        total = jnp.where(up, held[0], held[1]) + amount
        fired = jnp.floor(total)
        left = total - fired
        return jnp.stack([jnp.where(up, left, held[0]), jnp.where(up, held[1], left)]), fired

    start = uniform(key, (2, in_order.shape[-1]))
    return jax.lax.scan(charge, start, (in_order, positive.reshape(in_order.shape)))[1].reshape(packets.shape)
