"""Cells that do not obey: stuck low, stuck high."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int8, Key

from aimc.devices.base import Level
from aimc.noise import uniform


class Faults(NamedTuple):
    """Share of cells that are stuck, independently of each other, for the life of the array.

    `stuck_off` of them conduct `g_off`, `stuck_on` of them `g_on` (in units of g_max), whatever is written; their read
    noise is that of a healthy cell at that conductance. Published shares: 13.5 % and 10 % of two ReRAM arrays
    (device presets of IBM aihwkit 4545f11; class: silicon, as noted there).
    """

    stuck_off: Level = 0.0
    stuck_on: Level = 0.0
    g_off: Level = 0.0
    g_on: Level = 1.0


def draw(key: Key[Array, ""], shape: tuple[int, ...], faults: Faults) -> Int8[Array, "*shape"]:
    """Which cells are stuck: −1 off, 1 on, 0 healthy. key is consumed."""
    u = uniform(key, shape)
    return jnp.where(u < faults.stuck_off, -1, jnp.where(u < faults.stuck_off + faults.stuck_on, 1, 0)).astype(jnp.int8)


def apply(g: Float[Array, "*shape"], mask: Int8[Array, "*shape"], faults: Faults) -> Float[Array, "*shape"]:
    """The conductances with stuck cells in their places."""
    return jnp.where(mask == 0, g, jnp.where(mask < 0, faults.g_off, faults.g_on))
